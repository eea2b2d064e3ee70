"""Killed anywhere while repairs are done or taken back, the same command finishes them."""

from __future__ import annotations

import pytest

from snfpipe.reconcile.repair import write_plan
from tests.audit.conftest import Case
from tests.reconcile.conftest import CUBE, FOLDER, State, flip, scan, scan_twice, state_of

APPLY = ["repair:begun", "repair:moved", "repair:committed"]
UNDO = ["undo:begun", "undo:committed", "undo:moved"]


def spoil(case: Case) -> None:
    """Do what needs a move and rows, rows alone, and a move alone."""
    flip(case.archive / FOLDER / CUBE)
    case.file("06_336_001_003_2_022_*.fits").unlink()
    (case.archive / FOLDER / "strange.fits").write_bytes(b"x")


def plain(state: State, plan_id: str) -> State:
    """Return a state without the time of its plan."""
    files, rows = state
    return files, {name: str(content).replace(plan_id, "ID") for name, content in rows.items()}


@pytest.mark.parametrize("turn", [2, *(pytest.param(n, marks=pytest.mark.soak) for n in (1, 3))])
@pytest.mark.parametrize("point", [*APPLY, *UNDO])
def test_a_kill_at_any_point_is_finished_by_the_same_command(case, point, turn):
    spoil(case)
    spoilt = state_of(case)
    plan = scan_twice(case, verify=True).plan
    assert len(plan.repairs) == 3
    write_plan(case.driven.root / "it.plan", plan)
    undo = ["srb_cleanup", "--undo", "it.plan.journal"]
    apply = ["srb_cleanup", "--apply", "it.plan"]
    if point in UNDO:
        case.driven.run(*apply)
    command = undo if point in UNDO else apply
    case.driven.run(*command, exit_code=-9, SNF_KILL_AT=f"{point}@{turn}")
    case.driven.run(*command)
    if point in APPLY:
        assert scan_twice(case, verify=True).report.clean
        quarantined = list((case.archive / ".quarantine" / plan.id).glob("**/*.fits"))
        assert sorted(path.name for path in quarantined) == [CUBE, "strange.fits"]
        case.driven.run(*undo)
    assert state_of(case) == spoilt
    case.driven.run(*apply)
    assert scan(case, verify=True).report.clean


def test_a_journal_cut_in_the_middle_of_a_line_is_gone_on_with(case):
    spoil(case)
    plan = scan_twice(case, verify=True).plan
    path = case.driven.root / "it.plan"
    write_plan(path, plan)
    case.driven.run("srb_cleanup", "--apply", "it.plan", exit_code=-9,
                    SNF_KILL_AT="repair:moved@2")  # fmt: skip
    journal = case.driven.root / "it.plan.journal"
    whole = journal.read_bytes()
    journal.write_bytes(whole[: whole.rstrip(b"\n").rindex(b"\n") + 40])
    case.driven.run("srb_cleanup", "--apply", "it.plan")
    assert scan_twice(case, verify=True).report.clean


def test_what_was_begun_and_killed_can_be_taken_back_at_once(case):
    spoil(case)
    spoilt = state_of(case)
    write_plan(case.driven.root / "it.plan", scan_twice(case, verify=True).plan)
    case.driven.run("srb_cleanup", "--apply", "it.plan", exit_code=-9,
                    SNF_KILL_AT="repair:moved@3")  # fmt: skip
    case.driven.run("srb_cleanup", "--undo", "it.plan.journal")
    assert state_of(case) == spoilt
