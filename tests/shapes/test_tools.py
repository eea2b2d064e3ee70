"""No tool knows fewer shapes of input and output than a declaration can have."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from snfpipe import flags
from snfpipe.cli.audit import audit, provenance
from snfpipe.cli.audit_jobs import check_job_output, job_attrition
from snfpipe.cli.manage.jobs import manage_jobs
from snfpipe.cli.status import status, why
from snfpipe.config.project import load_project
from snfpipe.launch.order import Order, understand
from snfpipe.units.freshness import check
from tests.launch.conftest import call, finish, holds_schema
from tests.shapes.conftest import Produced
from tests.shapes.expected import PRODUCTS, STEPS, UNITS, stem
from tests.shapes.project import Project, copy

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("installed")]
EVERY_STEP = pytest.mark.parametrize("step", STEPS)
_RED = "ES_PRIOR_SEEING"


def plain(made_from: dict[str, Any]) -> dict[str, str | list[str]]:
    """Return what a product says that it is made from, as expectations are written."""
    return {
        role: [stem(it["name"]) for it in given] if isinstance(given, list) else stem(given["name"])
        for role, given in made_from.items()
    }


def product_of(project: Project, step: str) -> str:
    """Return the path of the product of a step that expectations name."""
    (path,) = [
        it for it in project.made_by(step, STEPS[step].unit) if stem(it) == STEPS[step].product
    ]
    return path


# --- doit ----------------------------------------------------------------------------------


def test_doit_makes_every_unit_once_and_nothing_the_second_time(produced: Produced) -> None:
    tasks = [f"{step}:{unit}" for step, unit in units(produced.project)]
    assert Counter(task.partition(":")[0] for task in tasks) == UNITS
    assert produced.once == dict.fromkeys(tasks, 1)
    assert produced.twice == produced.once
    assert f"{len(tasks)} done\n" in produced.said


def units(project: Project) -> list[tuple[str, str]]:
    """Return step and unit of everything in the lists."""
    return [(step.key, unit) for step in load_project(project.root).steps for unit in step.units]


@EVERY_STEP
def test_a_unit_reads_what_its_declaration_says(produced: Produced, step: str) -> None:
    path = product_of(produced.project, step)
    assert plain(produced.project.content(path)["from"]) == STEPS[step].made_from


@EVERY_STEP
def test_the_graph_has_an_edge_a_unit_and_a_barrier_where_edges_would_be_too_many(
    produced: Produced, step: str
) -> None:
    found = check(load_project(produced.project.root))
    unit = found.graph[f"{step}:{STEPS[step].unit}"]
    assert (sorted(unit.upstream), unit.after) == (list(STEPS[step].upstream), STEPS[step].after)


def test_nights_that_are_too_far_away_are_no_candidates(produced: Produced) -> None:
    (path,) = produced.project.made_by("reference", "07_010")
    made_from = plain(produced.project.content(path)["from"])
    assert made_from == {"flat": "07_010_000_000_6_030_000"}  # 06_334 has a better one


def test_units_whose_products_begin_with_one_night_have_products_of_their_own(
    produced: Produced,
) -> None:
    of_list = {
        unit: [*produced.project.made_by("groups", unit)] for unit in ("standards", "everything")
    }
    ((one,), (other,)) = of_list.values()
    assert stem(one) == stem(other)
    assert one != other
    assert [len(produced.project.content(it)["from"]["spectra"]) for it in (one, other)] == [1, 2]


def test_an_optional_output_is_made_where_its_program_makes_it(produced: Produced) -> None:
    maps = produced.project.query(
        "SELECT channel, count(*) FROM process WHERE fclass = 33 AND state = 'live' GROUP BY 1"
    )
    left_out = produced.project.query(
        "SELECT channel, reason, count(*) FROM expected WHERE fclass = 33 AND reason IS NOT NULL "
        "GROUP BY 1, 2"
    )
    assert maps == [(4, 4)]
    assert left_out == [(2, "left out: it is optional", 4)]


def test_several_commands_make_the_products_of_one_step(produced: Produced) -> None:
    made = produced.project.query(
        "SELECT fclass, xfclass, count(*) FROM process JOIN job ON job.id = job_id "
        "JOIN production ON production.id = production_id WHERE plan = 'spectra' GROUP BY 1, 2"
    )
    ((spec,),) = produced.project.query(
        "SELECT spec FROM attempt JOIN job ON job.id = job_id "
        "JOIN production ON production.id = production_id "
        "WHERE plan = 'spectra' AND unit = '06_334'"
    )
    assert sorted(made) == [(38, 100, 8), (38, 110, 8)]
    assert [command[-1] for command in json.loads(spec)["commands"]] == ["spectrum", "background"]


def test_products_of_targets_and_nights_stand_in_rows_as_what_they_are(produced: Produced) -> None:
    rows = produced.project.query(
        "SELECT fclass, process.night, id_run, id_exposure, id_pose, target.name "
        "FROM process LEFT JOIN target ON target.id = process.target_id "
        "WHERE fclass IN (680, 670, 32) AND night = '06_334'"
    )
    assert sorted(rows) == [
        (32, "06_334", None, None, None, None),
        (670, "06_334", 6334001, 6334001003, None, "GD71"),
        (670, "06_334", 6334002, 6334002003, None, "SNF20061129-003"),
        (680, "06_334", 6334001, None, None, "GD71"),
        (680, "06_334", 6334002, None, None, "SNF20061129-003"),
    ]


def test_nights_and_targets_have_measurements_of_their_own(produced: Produced) -> None:
    rows = produced.project.query(
        "SELECT plan, unit, id_entity, measured FROM measurement JOIN job ON job.id = job_id "
        "JOIN production ON production.id = production_id "
        "WHERE plan IN ('night_flat', 'target_spectrum', 'photometric')"
    )
    found = {(plan, unit): (entity, json.loads(told)) for plan, unit, entity, told in rows}
    assert found["night_flat", "06_334"] == (63340000006, {"files": 4})
    assert found["night_flat", "07_010"] == (70100000006, {"files": 2})
    assert found["target_spectrum", "GD71"] == (63340010006, {"files": 4})
    assert found["photometric", "06_336"] == (63360000006, {"files": 0, "photometric": 1.0})


def test_flags_that_a_choice_sets_are_inherited_by_all_that_is_made_from_it(
    produced: Produced,
) -> None:
    rows = produced.project.query(
        "SELECT plan, channel, quality_s FROM process JOIN job ON job.id = job_id "
        "JOIN production ON production.id = production_id"
    )
    flagged: dict[bool, set[tuple[str, int]]] = {True: set(), False: set()}
    for plan, channel, text in rows:
        flagged[flags.decode(text) == (_RED,)].add((plan, channel))
    above = {"frames", "night_flat", "photometric", "reference"}
    assert flagged[False] == {
        ("frames", 2), ("frames", 4), ("night_flat", 6), ("photometric", 6), ("reference", 6),
        ("spectra", 4),
    }  # fmt: skip
    assert {plan for plan, _channel in flagged[True]} == STEPS.keys() - above


# --- batch_jobs ----------------------------------------------------------------------------


@EVERY_STEP
def test_batch_jobs_leaves_alone_what_doit_has_made(produced: Produced, step: str) -> None:
    said = call(produced.project, "-D", "--json", "-p", "ALL", "--meta-prefix", "OTHER-",
                "-m", step, STEPS[step].unit)  # fmt: skip
    assert said.code == 0, said.err
    (unit,) = holds_schema("launch", said.out)["units"]
    assert (unit["state"], unit["action"]) == ("done", "nothing")


def test_batch_jobs_makes_the_same_bytes_of_every_shape(produced: Produced, tmp_path: Path) -> None:
    project = copy(produced.project, tmp_path / "project")
    configured = load_project(project.root)
    orders = {}
    for step, wanted in STEPS.items():
        words = ("-p", "TWO", "--meta-prefix", "OTHER-", "-m", step, wanted.unit)
        foreseen = json.loads(call(project, "-D", "--json", *words).out)["units"]
        assert [(it["action"], it["state"]) for it in foreseen] == [("create", "not created")]
        said = call(project, "-s", *words)
        assert said.code == 0, said.err
        order = Order(step, "TWO", (wanted.unit,), meta_prefix="OTHER-")
        orders[step] = understand(configured, order).project
    for step, wanted in STEPS.items():
        assert finish(orders[step]).get(wanted.unit, "done") == "done"
        mine = project.made_by(step, wanted.unit, "TWO")
        theirs = project.made_by(step, wanted.unit)
        assert [(stem(path), it) for path, it in mine.items()] == [
            (stem(path), it) for path, it in theirs.items()
        ]
        assert mine.keys().isdisjoint(theirs)
    assert clean(call(project, "--json", command=audit).out)


def test_trials_leave_the_products_of_all_units_though_they_begin_with_one_night(
    produced: Produced, tmp_path: Path
) -> None:
    project = copy(produced.project, tmp_path / "project")
    words = ("-L", "-s", "-p", "TRY", "--meta-prefix", "OTHER-", "-m", "groups")
    assert call(project, *words, "standards", "everything").code == 0
    project.wait_for_jobs()
    made = sorted(project.root.glob("06_334_000_000_6_029_000_*.fits"))
    assert [it.stem[-3:] for it in made] == ["000", "001"]
    read = [project.content(str(it))["from"]["spectra"] for it in made]
    assert [len(it) for it in read] == [1, 2]


# --- why, status, attrition, audits --------------------------------------------------------


def test_why_says_that_every_unit_is_fresh(produced: Produced) -> None:
    said = call(produced.project, "--json", "*", command=why).out
    assert holds_schema("why", said)
    told: list[dict[str, Any]] = json.loads(said)
    found = {it["task"]: [it["state"], it["runs"], it["differences"]] for it in told}
    wanted = [f"{step}:{unit}" for step, unit in units(produced.project)]
    assert found == {task: ["done", False, []] for task in wanted}


def test_status_counts_every_unit(produced: Produced) -> None:
    told = json.loads(call(produced.project, "--json", command=status).out)
    assert {it["key"]: it["states"] for it in told["steps"]} == {
        step: {"done": count} for step, count in UNITS.items()
    }


def test_attrition_follows_every_kind_of_unit_and_the_targets(produced: Produced) -> None:
    said = call(produced.project, "--json", command=job_attrition)
    assert said.code == 0, said.out
    chains = {it["audit"].partition(": ")[2]: it["table"] for it in json.loads(said.out)[1:]}
    nights = ["frames", "night_flat", "spectra", "merged", "photometric", "night_zero", "reference",
              "calibrated"]  # fmt: skip
    assert {kind: [tuple(it.values())[:4] for it in rows] for kind, rows in chains.items()} == {
        "nights": [(step, 3, 3, 0) for step in nights],
        "surveys": [("catalogue", 1, 1, 0)],
        "months": [("monthly", 3, 3, 0)],
        "half_years": [("half_years", 2, 2, 0)],
        "lists": [("groups", 2, 2, 0)],
        "targets": [(step, 2, 2, 0) for step in STEPS],
        "exposures": [("frames", "018_000", 8, 8), ("spectra", "038_100", 8, 8),
                      ("calibrated", "023_000", 8, 8)],
    }  # fmt: skip


@EVERY_STEP
def test_check_job_output_counts_what_is_there(produced: Produced, step: str) -> None:
    said = call(produced.project, "--json", "--verify", step, command=check_job_output)
    told = json.loads(said.out)
    assert (said.code, told["findings"]) == (0, [])
    assert sum(row["expected"] for row in told["table"]) == PRODUCTS[step]
    assert sum(row["registered"] for row in told["table"]) == PRODUCTS[step]


def clean(printed: str) -> bool:
    """Tell whether no audit found anything."""
    return all(it["findings"] == [] for it in json.loads(printed))


def test_all_audits_are_clean_and_count_every_product(produced: Produced) -> None:
    said = call(produced.project, "--json", "--verify", command=audit)
    assert said.code == 0, said.out
    assert clean(said.out)
    products = json.loads(said.out)[0]
    counts: Counter[str] = Counter()
    for row in products["table"]:
        assert row["registered"] == row["archived"]
        counts[row["step"]] += row["registered"]
    assert counts == PRODUCTS


@EVERY_STEP
def test_provenance_is_what_the_products_themselves_say(produced: Produced, step: str) -> None:
    project = produced.project
    path = product_of(project, step)
    found = json.loads(call(project, "--json", path, command=provenance).out)
    archive = {it.name: str(it.relative_to(project.root / "work" / "archive"))
               for it in (project.root / "work" / "archive" / "Prod").rglob("*_*.*")}  # fmt: skip
    above: set[str] = set()
    waiting = [path.rpartition("/")[2]]
    while waiting:
        name = waiting.pop()
        if name in archive:
            for given in project.content(archive[name])["from"].values():
                more = {it["name"] for it in (given if isinstance(given, list) else [given])}
                waiting += more - above
                above |= more
    up = {found["nodes"][it]["name"] for its in found["parents"].values() for it in its}
    assert up == above
    made_by = found["nodes"][found["process"]]["made_by"]
    assert (made_by["plan"], made_by["unit"]) == (step, STEPS[step].unit)


# --- deleting ------------------------------------------------------------------------------

_ROWS = {
    "process": "SELECT id_process, process.state, quality_s, job.name FROM process "
    "LEFT JOIN job ON job.id = job_id",
    "file": "SELECT path, checksum, id_process FROM file",
    "parents": "SELECT child, parent FROM process_parent",
    "deleted": "SELECT child, parent FROM deleted_parent",
    "expected": "SELECT id_process, expected.reason, failure, job.name FROM expected "
    "JOIN job ON job.id = job_id",
    "measurement": "SELECT id_entity, measured, job.name FROM measurement "
    "JOIN job ON job.id = job_id",
    "job": "SELECT name, state, manifest, attempts FROM job",
}


def everything(project: Project) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of products, and the archive's files."""
    rows = {table: sorted(project.query(query), key=str) for table, query in _ROWS.items()}
    archive = project.root / "work" / "archive" / "Prod"
    rows["archive"] = sorted((str(it), it.read_bytes()) for it in archive.rglob("*.*"))
    return rows


def test_every_shape_is_deleted_with_its_descendants_known_and_comes_back(
    produced: Produced, tmp_path: Path
) -> None:
    project = copy(produced.project, tmp_path / "project")
    before = everything(project)
    job_of = {ident: job for ident, _state, _flags, job in before["process"]}
    children: dict[str, set[str]] = {}
    for child, parent in before["parents"]:
        children.setdefault(job_of[parent] or "", set()).add(job_of[child])
    step_of = {it.production: it for it in load_project(project.root).steps}
    for step in step_of.values():
        name = step.job_name(STEPS[step.key].unit)
        said = call(project, "-j", name, "-d", "--keep-descendants", "--yes", "--json",
                    command=manage_jobs)  # fmt: skip
        assert said.code == 0, said.err
        below, waiting = set[str](), [name]
        while waiting:
            more = children.get(waiting.pop(), set()) - below
            below |= more
            waiting += more
        assert {it["job"] for it in json.loads(said.out)["descends"]} == below
        gone = project.query("SELECT count(*) FROM job WHERE name = :name", name=name)
        assert gone == [(0,)]
        assert project.made_by(step.key, STEPS[step.key].unit) == {}
        assert call(project, "-j", name, "--restore", command=manage_jobs).code == 0
        assert everything(project) == before
    assert "up to date" in project.doit()
    assert project.attempts_by_unit() == produced.once
