"""A person's word on jobs: validated, reopened, waived."""

from __future__ import annotations

import json
from typing import Any

from tests.deletion.conftest import EXPOSURES
from tests.deletion.synthetic import Synthetic
from tests.deletion.test_delete import CUBES, STARS


def states(made: Synthetic) -> dict[str, tuple[str, str]]:
    return {name: (state, reason) for name, state, reason in made.rows(
        "SELECT name, state, reason FROM job")}  # fmt: skip


def status(made: Synthetic, job: str) -> list[tuple[Any, ...]]:
    return made.rows("SELECT DISTINCT status FROM process JOIN job ON job.id = job_id "
                     "WHERE name = :job AND process.state = 'live'", job=job)  # fmt: skip


def test_validating_closes_a_job_and_gives_its_live_processes_status_two(made, call):
    made.run("UPDATE process SET state = 'superseded' WHERE id_process LIKE '11281001%038%'")
    assert call("-s", "2", "-j", STARS[0], "--by", "nico") == 0
    assert states(made)[STARS[0]] == ("validated", "validated by nico")
    assert status(made, STARS[0]) == [(2,)]
    assert made.rows("SELECT count(*) FROM process WHERE status = 2") == [(EXPOSURES - 1,)]
    assert status(made, STARS[1]) == [(1,)]


def test_reopening_gives_back_what_the_job_was(made, call):
    text = made.rows("SELECT manifest FROM job WHERE name = :name", name=STARS[1])[0][0]
    told = json.dumps(json.loads(text) | {"outcome": "incomplete", "reason": "one fell"})
    made.run("UPDATE job SET state = 'incomplete', reason = 'one fell', manifest = :text "
             "WHERE name = :name", text=told, name=STARS[1])  # fmt: skip
    before = states(made)
    assert call("-s", "2", "-j", "SAMPLEe-*") == 0
    assert {state for state, _reason in (states(made)[name] for name in STARS)} == {"validated"}
    assert call("-s", "1", "-j", "SAMPLEe-*") == 0
    assert states(made) == before
    assert status(made, STARS[0]) == [(1,)]


def test_what_cannot_be_validated_is_left_and_told(made_sqlite, call, capsys):
    made = made_sqlite
    made.run("UPDATE job SET state = 'failed', reason = 'no arc' WHERE name = :n", n=STARS[0])
    made.run("UPDATE job SET state = 'nothing to do' WHERE name = :n", n=STARS[1])
    assert call("-s", "2", "-j", "SAMPLEe-*") == 3
    told = capsys.readouterr().out
    assert "left: it is 'failed' (no arc)" in told
    assert STARS[1] not in told
    found = [states(made)[name][0] for name in STARS]
    assert found == ["failed", "nothing to do", "validated"]


def test_a_dry_run_says_it_all_and_does_nothing(made_sqlite, call, capsys):
    before = made_sqlite.everything()
    assert call("-s", "2", "-j", "SAMPLEe-*", "--dry-run") == 0
    assert "would be" in capsys.readouterr().out
    assert made_sqlite.everything() == before


def test_a_job_is_waived_for_a_reason_by_somebody_and_can_be_reopened(made, call, capsys):
    made.run("UPDATE job SET state = 'failed', reason = 'no arc' WHERE name = :n", n=CUBES[0])
    assert call("--waive", "the lamp was broken", "--by", "greg", "-j", CUBES[0]) == 0
    assert states(made)[CUBES[0]] == ("waived", "the lamp was broken (greg)")
    assert call("--waive", "why not", "-j", CUBES[1]) == 3  # it is done: nothing is missing
    assert states(made)[CUBES[1]][0] == "done"
    assert call("-s", "1", "-j", CUBES[0]) == 0
    assert states(made)[CUBES[0]] == ("created", "to be tried again, was waived")
