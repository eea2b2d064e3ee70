"""What changes re-runs exactly the units that it reaches, whatever the shape of their inputs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tomlkit

from snfpipe.cli.audit import audit, provenance
from snfpipe.cli.audit_jobs import job_attrition
from snfpipe.cli.enter import enter
from snfpipe.cli.manage.jobs import manage_jobs
from snfpipe.cli.status import why
from snfpipe.config.project import load_project
from snfpipe.units.control import retry_jobs
from snfpipe.units.freshness import check
from tests.e2e import survey
from tests.launch.conftest import call, holds_schema
from tests.shapes.conftest import Produced
from tests.shapes.expected import UNITS, stem
from tests.shapes.project import NIGHTS, PACKAGE, SUPERNOVA, Project, copy, make_observed

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("installed")]
_SN = SUPERNOVA.name
_LATER = "07_020"  # 10 days after 07_010, more than 40 after the others


@pytest.fixture
def project(produced: Produced, tmp_path: Path) -> Project:
    """A copy of the production in a folder of its own."""
    return copy(produced.project, tmp_path / "project")


def tried(project: Project, before: dict[str, int]) -> set[str]:
    """Return the units that were tried since, each of them once."""
    now = project.attempts_by_unit()
    more = {unit: count - before.get(unit, 0) for unit, count in now.items()}
    assert set(more.values()) <= {0, 1}
    return {unit for unit, count in more.items() if count}


def test_a_new_night_re_runs_the_units_whose_selection_it_changes(
    produced: Produced, project: Project
) -> None:
    project.observe(_LATER, (SUPERNOVA, survey.Star("SNF20070120-001", "SuperNova")))
    graph = check(load_project(project.root)).graph
    assert f"merged:{_LATER}" not in graph
    project.write_list("nights", [*NIGHTS, _LATER])
    graph = check(load_project(project.root)).graph
    assert sorted(graph[f"target_spectrum:{_SN}"].upstream) == [
        f"{step}:{night}"
        for step in ("merged", "night_flat")
        for night in ("06_334", "06_336", _LATER)
    ]
    assert f"merged:{_LATER}" not in graph["target_spectrum:GD71"].upstream

    project.doit()
    of_night = ("frames", "night_flat", "spectra", "merged", "photometric", "night_zero",
                "reference", "calibrated")  # fmt: skip
    assert tried(project, produced.once) == {
        *(f"{step}:{_LATER}" for step in of_night),
        f"target_spectrum:{_SN}",
        f"light_curve:{_SN}",
        "reference:07_010",  # 07_020 is near, and has more frames
        "night_zero:06_334", "night_zero:06_336",  # nights of the supernova
        "monthly:2006-11", "monthly:2006-12", "monthly:2007-01",
        "half_years:2006h2", "half_years:2007h1",
        "catalogue:all", "groups:everything",
        "calibrated:06_334", "calibrated:06_336", "calibrated:07_010",
    }  # fmt: skip
    (path,) = project.made_by("reference", "07_010")
    assert stem(project.content(path)["from"]["flat"]["name"]) == f"{_LATER}_000_000_6_030_000"
    (path,) = project.made_by("target_spectrum", _SN)
    assert [stem(it["name"]) for it in project.content(path)["from"]["spectra"]] == [
        f"{night}_{run}_003_6_670_100"
        for night, run in (("06_334", "002"), ("06_336", "001"), (_LATER, "001"))
    ]
    assert "up to date" in project.doit()
    assert call(project, "--verify", command=audit).code == 0


def test_a_target_that_is_added_to_a_list_re_runs_the_unit_of_that_list(
    produced: Produced, project: Project
) -> None:
    project.write_list("standards", ["GD71", _SN])
    project.doit()
    assert tried(project, produced.once) == {"groups:standards"}
    (path,) = project.made_by("groups", "standards")
    assert len(project.content(path)["from"]["spectra"]) == 2


def test_a_value_by_hand_re_runs_its_unit_and_what_was_selected_by_it(
    produced: Produced, project: Project
) -> None:
    words = ("photometricity", "06_336", "photometric=0", "--why", "clouds, from 3 h UT on")
    told = holds_schema("enter", call(project, "-n", "--json", *words, command=enter).out)
    assert told["entered"] is False
    assert not (project.root / "lists" / "photometricity.csv").exists()
    assert call(project, *words, command=enter).code == 0

    (one,) = json.loads(call(project, "--json", "photometric:06_336", command=why).out)
    assert one["runs"] is True
    (difference,) = one["differences"]
    assert difference["what"] == "input entered in lists/photometricity.csv"
    assert difference["new"].startswith("photometric=0 (clouds, from 3 h UT on; ")
    project.doit()
    assert tried(project, produced.once) == {"photometric:06_336", "half_years:2006h2"}
    (path,) = project.made_by("photometric", "06_336")
    assert project.content(path)["values"] == {"photometric": 0.0}
    (half,) = project.made_by("half_years", "2006h2")
    assert [stem(it["name"]) for it in project.content(half)["from"]["photometric"]] == [
        "06_334_000_000_6_995_042"
    ]
    found = json.loads(call(project, "--json", path, command=provenance).out)
    (entered,) = found["nodes"][found["process"]]["made_by"]["entered"]
    assert (entered["values"], entered["why"]) == ({"photometric": "0"}, "clouds, from 3 h UT on")
    assert entered["who"]
    assert entered["when"].startswith("20")

    before = project.attempts_by_unit()
    again = ("photometricity", "06_336", "photometric=0", "--why", "the guider says so, too")
    assert call(project, *again, command=enter).code == 0
    (one,) = json.loads(call(project, "--json", "photometric:06_336", command=why).out)
    assert (one["runs"], one["differences"]) == (False, [])
    project.doit()
    assert tried(project, before) == set()
    assert call(project, command=audit).code == 0


def test_a_change_of_code_that_plans_of_a_package_share_is_noticed(
    project: Project, tmp_path: Path
) -> None:
    shutil.copytree(PACKAGE, tmp_path / "other-survey")

    def states() -> dict[str, dict[str, int]]:
        done = project.run("snf", "status", "--json", PYTHONPATH=str(tmp_path / "other-survey"))
        return {it["key"]: it["states"] for it in json.loads(done.stdout)["steps"]}

    assert states() == {step: {"done": count} for step, count in UNITS.items()}
    module = tmp_path / "other-survey" / "other_survey" / "work.py"
    text = module.read_text()
    assert "best = max(" in text
    module.write_text(text.replace("best = max(", "best = min("))
    assert {step: it for step, it in states().items() if it.keys() != {"done"}} == {
        "night_zero": {"outdated": 1, "done": 2},  # 06_334 has two targets
        "reference": {"outdated": 3},  # each has another one near by
    }


def test_a_step_that_comes_first_as_a_whole_is_waited_for_and_for_whoever_validates_it(
    tmp_path: Path,
) -> None:
    project = make_observed(tmp_path / "project", ("frames", "night_flat", "reference"))
    project.write_list("nights", ["06_334"])
    path = project.root / "configs" / "productions" / "all.toml"
    content = tomlkit.parse(path.read_text())
    content["steps"][1]["validate"] = "person"
    path.write_text(tomlkit.dumps(content))

    def states() -> dict[str, dict[str, int]]:
        return {it["key"]: it["states"] for it in project.status()["steps"]}

    assert states()["reference"] == {"waiting": 1}
    assert "reference:06_334 waiting for validation" in project.doit()
    assert states() == {
        "frames": {"done": 1}, "night_flat": {"done": 1}, "reference": {"waiting for validation": 1}
    }  # fmt: skip
    assert call(project, "-j", "OTHER-0100-ALLb-06334", "-s", "2", command=manage_jobs).code == 0
    project.doit()
    assert states()["reference"] == {"done": 1}
    (path_made,) = project.made_by("reference")
    assert stem(project.content(path_made)["from"]["flat"]["name"]) == "06_334_000_000_6_030_000"


def test_a_unit_is_tried_again_with_the_failed_ones_of_a_whole_step_before_it(
    project: Project,
) -> None:
    failed = ("OTHER-0100-ALLb-07010", "OTHER-0100-ALLa-06334", "OTHER-0100-ALLj-06334")
    for name in (*failed, "OTHER-0100-ALLg-20061129-003"):
        project.query("UPDATE job SET state = 'failed' WHERE name = :name", name=name)
    changes = retry_jobs(load_project(project.root), failed[-1:], dry_run=True)
    assert [it.task for it in changes] == ["frames:06_334", "night_flat:07_010", "reference:06_334"]


def test_attrition_follows_a_failure_through_forks_and_joins(project: Project) -> None:
    """The zero point of a night fails; its month and what needs it stop, the half year goes on."""
    archive = project.root / "work" / "archive"
    for path in project.made_by("target_spectrum", "GD71"):
        (archive / path).chmod(0o644)
        (archive / path).write_bytes((archive / path).read_bytes()[:-100])
    job = load_project(project.root).step("night_zero").job_name("06_334")
    words = ("-j", job, "-d", "--keep-descendants", "--yes")
    assert call(project, *words, command=manage_jobs).code == 0
    project.doit(exit_code=1)
    said = call(project, "--json", command=job_attrition)
    assert said.code == 1
    reports = json.loads(said.out)
    chains = {it["audit"].partition(": ")[2]: it["table"] for it in reports[1:]}
    counted = {
        (kind, row["step"]): (row["in"], row["go on"], row["stop"])
        for kind in ("nights", "months", "half_years", "targets")
        for row in chains[kind]
    }
    assert counted["nights", "night_zero"] == (3, 2, 1)
    assert counted["nights", "calibrated"] == (2, 2, 0)
    assert counted["nights", "reference"] == (3, 3, 0)
    assert counted["months", "monthly"] == (3, 2, 1)
    assert counted["half_years", "half_years"] == (2, 2, 0)
    assert counted["targets", "night_zero"] == (2, 2, 0)  # each has another night
    assert all(came == on + stopped for came, on, stopped in counted.values())
    for row in reports[0]["table"]:
        counts = list(row.values())[1:]
        assert counts[0] == sum(counts[1:])
