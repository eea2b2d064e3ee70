"""What a configuration comes to: steps, names, inputs of other versions and productions."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from snfpipe import clock
from snfpipe.config.project import Project, load_project
from snfpipe.db import store
from snfpipe.db.models import Exposure, File, Job, Pose, Process, Production, Run
from snfpipe.db.session import Database, open_database
from snfpipe.names import ExposureId, PoseId, ProductName
from snfpipe.plans.candidates import Source, products
from snfpipe.reduce.detector import file_quality
from snfpipe.reduce.spectra import cube_generation
from snfpipe.states import State
from tests.config.conftest import Edit

SWITCH = "configs/production.toml"
SAMPLE = "configs/productions/sample.toml"

FIVE = """[
    "cube_generation",
    { step = "cube_generation", version = "SNF-02-02" },
    { step = "cube_generation", version = "SNF-02-01" },
    { step = "cubes", production = "old" },
    { step = "cubes", production = "old", version = "HEAD" },
    "SNF-0115-Cu0115c",
]"""

OLD = """
title = "Cubes made by one person"
meta_prefix = "NICO-"
outver = 13
[[steps]]
key = "cubes"
plan = "cube_generation"
unit = "night"
prefix = "PATTEST"
list = "lists/sample_nights.list"
"""


def test_the_project_as_it_is(root: Path) -> None:
    project = load_project(root)
    assert (project.version.label, project.number, project.site.name) == ("SNF-02-03", 203, "local")
    assert [step.key for step in project.steps] == [
        "file_quality",
        "cube_generation",
        "extract_star",
    ]
    step = project.step("extract_star")
    assert step.production == "SNF-0203-SAMPLEe"
    assert step.job_name("06_334") == "SNF-0203-SAMPLEe-06334"
    assert step.job_folder("06_334") == "PES/06/334"
    assert step.inputs == {"cubes": ("SNF-0203-SAMPLEc",)}
    assert step.input_steps == {"cubes": ("cube_generation",)}
    assert step.units == ("06_334", "06_336", "06_339", "07_245")
    assert project.site.jobs == root / "work/jobs/SNF-02-03"


@pytest.mark.parametrize("label", ["SNF-02-01", "SNF-02-02", "SNF-02-03", "SNF-02-04", "HEAD"])
def test_every_version_makes_its_own_productions(root: Path, edit: Edit, label: str) -> None:
    edit(SWITCH, "SNF-02-03", label)
    project = load_project(root)
    assert {step.production for step in project.steps} == {
        f"SNF-{project.version.lite}-SAMPLE{letter}" for letter in "zce"
    }
    pinned = {step.program.version for step in project.steps}
    assert ("*" in pinned) == (label == "HEAD") != project.version.released


def test_versions_differ_in_documented_options(root: Path, edit: Edit) -> None:
    options = {}
    for label in ("SNF-02-01", "SNF-02-02", "SNF-02-03", "SNF-02-04"):
        edit(SWITCH, load_project(root).version.label, label)
        project = load_project(root)
        options[label] = (
            project.step("file_quality").options["odd_even"],
            project.step("cube_generation").options["scattered_light"],
            project.step("extract_star").options["host"],
        )
    assert options == {
        "SNF-02-01": (False, False, True), "SNF-02-02": (True, False, True),
        "SNF-02-03": (True, True, True), "SNF-02-04": (True, True, False),
    }  # fmt: skip


@pytest.mark.parametrize("plan", ["file_quality", "cube_generation"])
def test_plans_state_the_options_that_their_programs_have(root: Path, plan: str) -> None:
    module = {"file_quality": file_quality, "cube_generation": cube_generation}[plan]
    stated = load_project(root).step(plan).options
    assert {name: getattr(module.Options(), name) for name in stated} == dict(stated)


def test_options_of_a_step_go_over_those_of_the_version_over_those_of_the_plan(
    root: Path, edit: Edit
) -> None:
    edit(SWITCH, "SNF-02-03", "SNF-02-02")
    plan = load_project(root).step("cube_generation")
    assert plan.options["scattered_light"] is False
    key = 'key = "cube_generation"'
    edit(SAMPLE, key, f"{key}\noptions = {{ scattered_light = true, cosmic_sigma = 7 }}")
    step = load_project(root).step("cube_generation")
    assert step.options == {**plan.options, "scattered_light": True, "cosmic_sigma": 7}
    assert step.identity["options"] == step.options


def test_a_step_reads_productions_of_five_versions_in_its_order(root: Path, edit: Edit) -> None:
    (root / "configs/productions/old.toml").write_text(OLD)
    edit(SAMPLE, '["cube_generation"]', FIVE)
    step = load_project(root).step("extract_star")
    assert step.inputs["cubes"] == (
        "SNF-0203-SAMPLEc", "SNF-0202-SAMPLEc", "SNF-0201-SAMPLEc", "NICO-0013-PATTESTc",
        "SNF-0115-Cu0115c",
    )  # fmt: skip
    assert step.input_steps == {"cubes": ("cube_generation",)}
    edit(SWITCH, "SNF-02-03", "SNF-02-02")  # what is now the same production is read once
    assert load_project(root).step("extract_star").inputs["cubes"] == (
        "SNF-0202-SAMPLEc", "SNF-0201-SAMPLEc", "NICO-0013-PATTESTc", "SNF-0115-Cu0115c",
    )  # fmt: skip


def test_a_plan_stands_twice_under_two_keys(root: Path, edit: Edit) -> None:
    text = (root / SAMPLE).read_text()
    again = text[text.rindex("[[steps]]") :]
    again = again.replace('key = "extract_star"', 'key = "extract_again"')
    again = again.replace('prefix = "SAMPLE"', 'prefix = "AGAIN"').replace('"night"', '"target"')
    again = again.replace("lists/sample_nights.list", "lists/targets.list")
    (root / "lists/targets.list").write_text("GD71\nSNF20061129-003\n")
    (root / SAMPLE).write_text(text + again)
    project = load_project(root)
    first, second = project.step("extract_star"), project.step("extract_again")
    assert first.plan == second.plan == "extract_star"
    assert (first.production, second.production) == ("SNF-0203-SAMPLEe", "SNF-0203-AGAINe")
    assert second.job_name("SNF20061129-003") == "SNF-0203-AGAINe-20061129-003"
    assert second.job_folder("SNF20061129-003") == "PES/SNF20061129-003"


def test_a_production_id_replaces_the_versions_number(root: Path, edit: Edit) -> None:
    edit(SAMPLE, 'meta_prefix = "SNF-"', 'meta_prefix = "NICO-"\noutver = 13')
    project = load_project(root)
    assert project.number == 13
    assert project.step("extract_star").job_name("06_334") == "NICO-0013-SAMPLEe-06334"


def test_the_environment_goes_over_the_sites_database(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNF_DATABASE_URL", "postgresql://snf@host/other")
    assert load_project(root).site.database_url == "postgresql://snf@host/other"


def offer(database: Database, project: Project, numbers: dict[str, int]) -> dict[str, str]:
    """Register one cube of each production, all of one exposure; return production -> id."""
    exposure = ExposureId.parse("06_334_001_003")
    pose = PoseId(exposure, 4)
    ids = {}
    with database.write() as session:
        night = {"night": "06_334"}
        run = exposure.run_id.id_run
        store.insert(session, Run, [{**night, "id_run": run, "run": 1}])
        row = {**night, "id_exposure": exposure.id_exposure, "id_run": run, "exposure": 3}
        store.insert(session, Exposure, [row])
        row = {**night, "id_pose": pose.id_pose, "id_exposure": exposure.id_exposure, "channel": 4}
        store.insert(session, Pose, [row])
        for production, version in numbers.items():
            made = {"name": production, "meta_prefix": "SNF-", "version": "SNF-02-03",
                    "number": version, "outver": None, "prefix": "SAMPLE",
                    "plan": "cube_generation", "unit_kind": "night"}  # fmt: skip
            ident = store.ensure_productions(session, [made])[production]
            now = clock.utc_now()
            job = {"production_id": ident, "unit": "06_334", "unit_kind": "night",
                   "name": f"{production}-06334", "folder": "PCG/06/334", "state": State.DONE,
                   "created": now, "updated": now}  # fmt: skip
            store.insert(session, Job, [job])
            name = ProductName(exposure, 4, 22, 0, version)
            ids[production] = name.id_process
            job_id = session.scalar(sa.select(Job.id).where(Job.production_id == ident))
            process = {**night, "id_process": name.id_process, "fclass": 22, "xfclass": 0,
                       "channel": 4, "version": version, "idx": 0, "id_run": run,
                       "id_exposure": exposure.id_exposure, "id_pose": pose.id_pose,
                       "job_id": job_id}  # fmt: skip
            store.insert(session, Process, [process])
            file = {**night, "name": str(name), "area": "archive", "path": name.archive_path,
                    "size": 1, "checksum": "0" * 64, "id_process": name.id_process}  # fmt: skip
            store.insert(session, File, [file])
    return ids


@pytest.mark.services
def test_of_five_productions_the_first_that_has_a_product_gives_it(
    root: Path, edit: Edit, database_url: str
) -> None:
    (root / "configs/productions/old.toml").write_text(OLD)
    edit(SAMPLE, '["cube_generation"]', FIVE)
    project = load_project(root)
    step = project.step("extract_star")
    wanted = step.inputs["cubes"]
    database = open_database(database_url, create=True)
    numbers = dict(zip(wanted, (203, 202, 201, 13, 115), strict=True))
    ids = offer(database, project, {**numbers, "SNF-0203-OTHERc": 999})

    source = Source(step.inputs["cubes"], frozenset({(22, 0)}), frozenset({"06_334"}), False)

    def read() -> list[str]:
        with database.read() as session:
            found = products(session, step, source)
        return [candidate.id_process for candidate in found]

    for production in wanted:
        assert read() == [ids[production]]
        with database.write() as session:
            session.execute(
                sa.update(Process).where(Process.id_process == ids[production]).values(quality=2)
            )
    assert read() == [], "a production that the step does not name gives nothing"
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Production)) == 6
    database.close()
