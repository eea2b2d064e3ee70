"""What goes wrong with a real Grid Engine, and how it ends."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from snfpipe.engines.base import Engine, EngineState
from snfpipe.errors import ServiceUnavailable
from snfpipe.services.grid_engine import GridEngineCell
from snfpipe.worker.spec import AttemptFolder
from tests.contract.places import Place
from tests.jobs.attempts import has_record, make_attempt, record, submission

pytestmark = pytest.mark.services


@pytest.fixture
def place(grid_engine: GridEngineCell, tmp_path: Path) -> Place:
    return Place("grid_engine", tmp_path, settings={"environment": grid_engine.environment})


def submit(place: Place, *folders: AttemptFolder) -> tuple[Engine, list[str]]:
    engine = place.make()
    taken = engine.submit([submission(folder) for folder in folders])
    return engine, list(taken.values())


def test_a_task_in_error_is_shown_then_withdrawn_with_the_reason(place):
    folder = make_attempt(place.root)
    job = submission(folder)
    folder.path.rename(folder.path.with_name("away"))  # its output cannot be opened
    engine = place.make()
    [engine_id] = engine.submit([job]).values()
    place.wait_until(lambda: place.look(engine) == {engine_id: EngineState.ERROR})
    began = time.monotonic()
    place.wait_until_empty(engine)
    assert time.monotonic() - began > place.grace_s - 1
    outcome = engine.outcomes([engine_id])[engine_id]
    assert outcome.final
    assert "can't open output file" in outcome.failure


def test_a_refused_job_ends_with_the_schedulers_words(place):
    place = replace(place, settings={**place.settings, "queue": "nosuch.q"})
    folder = make_attempt(place.root)
    engine, [engine_id] = submit(place, folder)
    assert place.look(engine) == {}
    outcome = place.make().outcomes([engine_id])[engine_id]
    assert outcome.final
    assert 'unknown queue "nosuch.q"' in outcome.failure.replace("\\", "")


def test_what_is_no_scheduler_at_all_is_named(place):
    nowhere = {"PATH": "/nonexistent"}
    engine = replace(place, settings={"environment": nowhere}).make()
    with pytest.raises(ServiceUnavailable, match="qstat is not installed"):
        engine.snapshot()


def test_jobs_go_on_without_a_qmaster_and_nothing_is_lost(place, grid_engine):
    running = make_attempt(place.root, "sleep 3", unit="06_001")
    later = make_attempt(place.root, unit="06_002")
    engine, [first] = submit(place, running)
    place.wait_until(lambda: has_record(running, "program"))
    grid_engine.daemons.stop("qmaster", kill=True)
    try:
        for call in (
            engine.snapshot,
            lambda: engine.find([later.load().token]),
            lambda: engine.submit([submission(later)]),
            lambda: engine.cancel([first]),
        ):
            with pytest.raises(ServiceUnavailable, match="qmaster"):
                call()
        place.wait_until(lambda: has_record(running, "end"))
    finally:
        grid_engine.start_master()
        grid_engine.daemons.stop("execd")  # by itself it comes back after half a minute
        grid_engine.start_execd()
    place.wait_until_empty(engine)
    assert engine.find([later.load().token]) == {}
    [second] = engine.submit([submission(later)]).values()
    place.wait_until(lambda: len(engine.outcomes([first, second])) == 2)
    assert {it.exit_status for it in engine.outcomes([first, second]).values()} == {0}


def test_a_job_number_that_comes_round_again_is_another_job(place, grid_engine):
    one = make_attempt(place.root, "exit 3", unit="06_001")
    other = make_attempt(place.root, "exit 4", unit="06_002")
    engine, [first] = submit(place, one)
    place.wait_until(lambda: engine.outcomes([first]))
    number = int(first.partition(".")[0])
    set_next_job_number(grid_engine, number)
    engine, [second] = submit(place, other)
    assert second.partition(".")[0] == str(number)
    assert engine.find([one.load().token]) == {one.load().token: first}
    place.wait_until(lambda: second in engine.outcomes([first, second]))
    assert first in engine.outcomes([first, second])
    assert [record(it, "outcome")["exit_status"] for it in (one, other)] == [3, 4]


def set_next_job_number(cell: GridEngineCell, number: int) -> None:
    """Let the count of jobs come round, as it does after 9,999,999."""
    cell.daemons.stop(kill=True)
    (cell.common.parent / "spool" / "qmaster" / "jobseqnum").write_text(f"{number - 1}\n")
    cell.up()


def test_a_rotated_accounting_file_loses_no_end(place, grid_engine):
    folders = [make_attempt(place.root, f"exit {n}", unit=f"06_{n:03}") for n in (1, 2)]
    engine, [first] = submit(place, folders[0])
    place.wait_until_empty(engine)
    place.wait_until(lambda: place.make().outcomes([first]))
    accounting = grid_engine.common / "accounting"
    accounting.rename(accounting.with_name("accounting.0"))
    _engine, [second] = submit(place, folders[1])
    place.wait_until(lambda: len(engine.outcomes([first, second])) == 2)
    assert len(place.make().outcomes([first, second])) == 2
