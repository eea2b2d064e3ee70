"""Repairs: what they do, what they refuse, and the way back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from snfpipe.errors import ConfigError, Refused
from snfpipe.reconcile.repair import read_plan, write_plan
from snfpipe.storage.local import LocalPlace
from tests.audit.conftest import Case
from tests.reconcile.conftest import (
    CUBE,
    FOLDER,
    fix,
    flip,
    problems,
    scan,
    scan_twice,
    state_of,
    take_back,
    words,
)

SPECTRUM = "06_334_001_003_4_038_100_02-03_000.fits"


def cube(case: Case) -> Path:
    return case.archive / FOLDER / CUBE


def second_generation(case: Case) -> None:
    case.driven.query(
        "INSERT INTO process (id_process, fclass, xfclass, channel, version, idx, night, job_id, "
        "status, quality, quality_s, state) SELECT '633400100340220000203001', fclass, xfclass, "
        "channel, version, 1, night, job_id, status, quality, quality_s, 'live' FROM process "
        "WHERE id_process = '633400100340220000203000'"
    )


def second_row(case: Case) -> None:
    case.driven.query(
        "INSERT INTO file (name, area, path, size, checksum, id_process, role, night) "
        f"SELECT name, area, '{FOLDER}//{CUBE}', size, checksum, id_process, role, night "
        f"FROM file WHERE name = '{CUBE}'"
    )


def edited(column: str, value: str) -> Callable[[Case], None]:
    def change(case: Case) -> None:
        case.driven.query(f"UPDATE file SET {column} = {value} WHERE name = '{CUBE}'")

    return change


def forgotten_product(case: Case) -> None:
    """Take away all rows of a product that nothing was made from."""
    name = "06_334_001_003_4_038_100_02-03_000"
    ident = "633400100340381000203000"
    case.driven.query("DELETE FROM process_parent WHERE child = :id", id=ident)
    case.driven.query("DELETE FROM file WHERE name LIKE :name", name=f"{name}%")
    case.driven.query("DELETE FROM process WHERE id_process = :id", id=ident)


def leftover(case: Case) -> None:
    folder = case.archive / ".incoming" / "feedfeedfeedfeed"
    folder.mkdir(parents=True)
    (folder / "x.fits").write_bytes(b"x")


#: Problem -> how to make it, and the units that have to be redone.
TROUBLES: dict[str, tuple[Callable[[Case], object], set[str]]] = {
    "deleted": (lambda case: cube(case).unlink(), {"cube_generation"}),
    "short": (lambda case: cube(case).write_bytes(b"short"), {"cube_generation", "extract_star"}),
    "flipped": (lambda case: flip(cube(case)), {"cube_generation", "extract_star"}),
    "last deleted": (lambda case: (cube(case).parent / SPECTRUM).unlink(), {"extract_star"}),
    "added": (lambda case: (cube(case).parent / "strange.fits").write_bytes(b"x"), set()),
    "moved": (lambda case: cube(case).rename(case.archive / CUBE), set()),
    "copied": (lambda case: shutil.copy2(cube(case), case.archive / CUBE), set()),
    "link": (lambda case: (cube(case).parent / "link").symlink_to("/etc/passwd"), set()),
    "left": (leftover, set()),
    "checksum edited": (edited("checksum", f"'{'0' * 64}'"), set()),
    "size edited": (edited("size", "7"), set()),
    "path edited": (edited("path", f"'Prod/02-03/06/336/{CUBE}'"), set()),
    "row gone": (edited("area", "'lost'"), set()),
    "rows gone": (forgotten_product, {"extract_star"}),
    "two rows": (second_row, set()),
    "two generations": (second_generation, set()),
}


@pytest.mark.parametrize("problem", TROUBLES)
def test_every_trouble_is_mended_and_every_repair_can_be_taken_back(case, problem):
    inject, _redone = TROUBLES[problem]
    inject(case)
    spoilt = state_of(case)
    found = scan_twice(case, verify=True)
    assert not found.report.clean
    assert all(result.outcome == "done" for result in fix(case, found.plan))
    assert scan_twice(case, verify=True).report.clean
    assert {result.outcome for result in fix(case, found.plan)} == {"done before"}
    assert all(result.outcome == "done" for result in take_back(case))
    assert state_of(case) == spoilt
    assert take_back(case) == []
    fix(case, found.plan)
    assert scan_twice(case, verify=True).report.clean


@pytest.mark.parametrize("problem", ["deleted", "flipped", "last deleted", "rows gone"])
def test_doit_redoes_exactly_what_a_lost_product_reaches(case, problem):
    inject, redone = TROUBLES[problem]
    inject(case)
    before = case.driven.attempts_of()
    fix(case, scan_twice(case, verify=True).plan)
    told = case.driven.run("snf", "why", "cube_generation:06_334", exit_code=None).stdout
    assert ("was lost (srb_cleanup" in told) == ("cube_generation" in redone)
    case.driven.doit()
    after = case.driven.attempts_of()
    changed = {task for task, count in after.items() if count != before[task]}
    assert changed == {f"SNF-02-03/{step}:06_334" for step in redone}
    case.driven.run("snf", "audit", "--verify")
    assert scan_twice(case, verify=True).report.clean
    assert case.driven.doit() and case.driven.attempts_of() == after


def test_good_bytes_come_from_a_copy_and_nothing_is_redone(case, tmp_path):
    shutil.copytree(case.archive, tmp_path / "mirror")
    mirror = LocalPlace(tmp_path / "mirror")
    gone = case.file("06_336_001_003_2_022_*.fits")
    gone.unlink()
    flip(cube(case))
    flip(tmp_path / "mirror" / FOLDER / SPECTRUM)
    flip(case.archive / FOLDER / SPECTRUM)  # both are bad: the copy is of no use
    before = case.driven.attempts_of()
    found = scan(case, verify=True, copies=(mirror,))
    assert words(found) == {CUBE: "restore", gone.name: "restore", SPECTRUM: "quarantine"}
    fix(case, found.plan)
    assert scan(case, verify=True).report.clean
    case.driven.doit()
    changed = {it for it, count in case.driven.attempts_of().items() if count != before[it]}
    assert changed == {"SNF-02-03/extract_star:06_334"}


def test_a_restored_file_goes_and_the_bad_one_comes_back_on_undo(case, tmp_path):
    shutil.copytree(case.archive, tmp_path / "mirror")
    flip(cube(case))
    spoilt = state_of(case)
    fix(case, scan(case, verify=True, copies=(LocalPlace(tmp_path / "mirror"),)).plan)
    assert scan(case, verify=True).report.clean
    assert [result.outcome for result in take_back(case)] == ["done"]
    assert state_of(case) == spoilt


def test_a_lost_file_that_comes_back_is_registered_again(case):
    kept = cube(case).read_bytes()
    cube(case).unlink()
    fix(case, scan(case).plan)
    cube(case).write_bytes(kept)
    found = scan_twice(case, verify=True)
    assert words(found) == {CUBE: "re-register"}
    write_plan(case.driven.root / "again.plan", found.plan)
    case.driven.run("srb_cleanup", "--apply", "again.plan")
    assert scan_twice(case, verify=True).report.clean
    ((state,),) = case.driven.query(
        "SELECT process.state FROM process JOIN file USING (id_process) WHERE file.name = :name",
        name=CUBE,
    )
    assert state == "live"


def change_file(case: Case) -> None:
    cube(case).write_bytes(b"another length")


def change_row(case: Case) -> None:
    case.driven.query("UPDATE file SET size = 5 WHERE name = :name", name=CUBE)


def change_job(case: Case) -> None:
    case.driven.query("UPDATE job SET state = 'claimed' WHERE name LIKE '%SAMPLEe-06334'")


def occupy(case: Case) -> None:
    plan = read_plan(case.driven.root / "fix.plan")
    target = case.archive / plan.repairs[0].moves[0].to
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(b"?")


@pytest.mark.parametrize("change", [change_file, change_row, change_job, occupy])
def test_a_repair_is_refused_where_something_changed_since(case, change):
    flip(cube(case))
    plan = scan(case, verify=True).plan
    write_plan(case.driven.root / "fix.plan", plan)
    change(case)
    before = state_of(case)
    (result,) = fix(case, plan)
    assert result.outcome == "refused"
    assert "since" in result.why or "another file" in result.why
    assert state_of(case) == before
    done = case.driven.run("srb_cleanup", "--apply", "fix.plan", exit_code=1)
    assert "refused" in done.stdout


def test_a_change_between_looking_and_committing_moves_the_file_back(case, monkeypatch):
    from snfpipe.reconcile import repair_apply

    flip(cube(case))
    plan = scan(case, verify=True).plan
    before = state_of(case)
    moving = repair_apply._move

    def meanwhile(*arguments):
        moving(*arguments)
        change_job(case)

    monkeypatch.setattr(repair_apply, "_move", meanwhile)
    (result,) = fix(case, plan)
    assert result.outcome == "refused"
    assert state_of(case)[0] == before[0]
    assert state_of(case)[1]["file"] == before[1]["file"]


def test_undo_is_refused_once_a_newer_generation_stands(case):
    flip(cube(case))
    fix(case, scan(case, verify=True).plan)
    case.driven.doit()
    after = state_of(case)
    (result,) = take_back(case)
    assert result.outcome == "refused"
    assert state_of(case) == after


def test_a_validated_job_is_not_redone_until_somebody_reopens_it(case):
    case.driven.query("UPDATE job SET state = 'validated' WHERE name LIKE '%SAMPLEc-06334'")
    before = case.driven.attempts_of()
    flip(cube(case))
    fix(case, scan(case, verify=True).plan)
    case.driven.doit(exit_code=None)
    after = case.driven.attempts_of()
    assert after["SNF-02-03/cube_generation:06_334"] == before["SNF-02-03/cube_generation:06_334"]
    status = json.dumps(case.driven.status())
    assert "validated but outdated" in status


def test_nothing_is_planned_for_a_product_whose_job_is_in_hand(case):
    cube(case).unlink()
    case.driven.query("UPDATE job SET state = 'running' WHERE name LIKE '%SAMPLEc-06334'")
    found = scan(case)
    assert problems(found) == {CUBE: "missing"}
    assert found.plan.repairs == ()
    assert "wait until" in found.report.findings[0].next_step


def test_a_plan_of_another_archive_or_database_is_refused(case):
    cube(case).unlink()
    plan = scan(case).plan
    with pytest.raises(Refused, match="made for the archive"):
        fix(case, replace(plan, archive="/elsewhere"))
    with pytest.raises(Refused, match="made for the database"):
        fix(case, replace(plan, database="sqlite:////elsewhere.db"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"path": "Prod', '"path": "../Prod'),
        ('"to": ".quarantine', '"to": "/tmp'),
        ('"table": "file"', '"table": "file; DROP TABLE file"'),
        ('"becomes": {"area"', '"becomes": {"password"'),
        ('{"repair"', '["repair"'),
    ],
)
def test_a_plan_that_was_tampered_with_names_its_line_and_changes_nothing(case, old, new):
    flip(cube(case))
    before = state_of(case)
    path = case.driven.root / "fix.plan"
    write_plan(path, scan(case, verify=True).plan)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ConfigError, match=r"fix\.plan:2"):
        read_plan(path)
    done = case.driven.run("srb_cleanup", "--apply", "fix.plan", exit_code=2)
    assert "fix.plan:2" in done.stderr
    assert state_of(case) == before
