"""Disks that are away for a while: no job is judged by what cannot be seen, nothing is dropped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from snfpipe import clock
from snfpipe.daemon.osiris import Event, Osiris
from snfpipe.engines.base import EngineState
from snfpipe.errors import Refused, ServiceUnavailable
from snfpipe.jobs import driver
from snfpipe.jobs.harvest import LATE
from snfpipe.states import State
from snfpipe.storage import archive
from snfpipe.worker.spec import AttemptFolder, JobSpec
from tests.bench import unit_plan
from tests.daemon.test_ends import GRACE_S, A, B, ScriptedBench, give_up, says, scripted, submit
from tests.jobs.test_many import pretend

__all__ = ["scripted"]  # a fixture


def ended(bench: ScriptedBench, unit: str = A) -> JobSpec:
    """Submit a job that runs to its end at once, and leaves its products."""
    spec = submit(bench, unit)
    pretend(spec)
    says(bench, spec, exit_status=0)
    return spec


@contextmanager
def away(folder: Path) -> Iterator[None]:
    """Let a folder be out of reach, as one on a file server that is down."""
    aside = folder.with_name(f"{folder.name}.away")
    folder.rename(aside)
    try:
        yield
    finally:
        aside.rename(folder)


def test_products_of_a_job_whose_folder_was_away_for_too_long_wait_for_its_late_end(scripted):
    spec = ended(scripted)
    harvester = scripted.harvester()
    with away(AttemptFolder.of(spec).path):
        give_up(harvester)
        assert scripted.job(A).state == State.LOST
        harvester.clear_incoming()
    [finished] = harvester.look(clock.utc_now() - LATE)
    assert finished.state is State.DONE
    scripted.hold_together()


def test_what_a_lost_job_left_goes_once_it_cannot_end_any_more(scripted, manual_clock):
    spec = ended(scripted)
    harvester = scripted.harvester()
    with away(AttemptFolder.of(spec).path):
        give_up(harvester)
    manual_clock.move(LATE.total_seconds())
    harvester.clear_incoming()
    assert archive.incoming_tokens(scripted.project.site.archive) == [spec.token]
    manual_clock.move(1)
    harvester.clear_incoming()
    assert archive.incoming_tokens(scripted.project.site.archive) == []


def test_while_the_folder_of_all_jobs_is_away_none_is_given_up(scripted):
    ended(scripted)
    harvester = scripted.harvester()
    with away(scripted.project.site.jobs):
        for _look in range(3):
            with pytest.raises(ServiceUnavailable, match="out of reach"):
                harvester.look()
            clock.sleep(GRACE_S / 2)
        assert not scripted.project.site.jobs.exists()
    [finished] = harvester.look()
    assert finished.state is State.DONE
    scripted.hold_together()


def test_while_the_archive_is_away_jobs_stay_in_hand_and_keep_what_they_made(scripted):
    ended(scripted)
    harvester = scripted.harvester()
    with away(scripted.project.site.archive):
        assert harvester.look() == []
        assert harvester.problem is not None
        assert scripted.job(A).state == State.ENDED
    [finished] = harvester.look()
    assert (finished.state, harvester.problem) == (State.DONE, None)
    scripted.hold_together()


@pytest.mark.parametrize("error", [PermissionError(1, "Operation not permitted"), OSError(28, "")])
def test_a_night_that_the_archive_does_not_take_holds_no_other_up(scripted, monkeypatch, error):
    stuck, other = ended(scripted, A), ended(scripted, B)
    link = os.link

    def refuse(source: str, target: str) -> None:
        if stuck.token in source:
            raise error
        link(source, target)

    said: list[Event] = []
    osiris = Osiris(scripted.project, scripted.database, scripted.engine, said.append)
    osiris.begin()
    with monkeypatch.context() as patched:
        patched.setattr(os, "link", refuse)
        with pytest.raises(ServiceUnavailable, match=stuck.job):
            osiris.once()
    assert [event.job for event in said if event.kind == "finished"] == [other.job]
    assert {unit: scripted.job(unit).state for unit in (A, B)} == {A: "ended", B: "done"}
    assert len(archive.incoming_names(scripted.project.site.archive, stuck.token)) > 0
    [finished] = scripted.harvester().look()
    assert finished.state is State.DONE
    scripted.hold_together()


def test_a_product_that_is_gone_fails_its_job(scripted):
    spec = ended(scripted)
    place = archive.incoming(scripted.project.site.archive, spec.token)
    sorted(place.iterdir())[0].unlink()
    [finished] = scripted.harvester().look()
    assert finished.state is State.FAILED
    assert "could not be registered" in finished.reason
    assert archive.incoming_tokens(scripted.project.site.archive) == []


def test_a_job_that_the_engine_still_has_is_left_alone_when_its_folder_is_away(scripted):
    spec = submit(scripted)
    scripted.engine.queue[f"id-{spec.token}"] = EngineState.RUNNING
    harvester = scripted.harvester()
    with away(AttemptFolder.of(spec).path):
        clock.sleep(GRACE_S)
        assert harvester.look() == []
    assert scripted.job(A).state == State.QUEUED


def with_jobs_in(bench: ScriptedBench, folder: Path) -> ScriptedBench:
    """The same database and engine, as a checkout with a folder of jobs of its own has them."""
    name = bench.project.site.jobs.name
    site = replace(bench.project.site, jobs=folder / name, engine=bench.engine.name)
    return replace(bench, project=replace(bench.project, site=site))


def test_nobody_with_another_folder_of_jobs_judges_or_makes_jobs_while_some_are_in_hand(
    scripted, tmp_path
):
    scripted = with_jobs_in(scripted, tmp_path / "here")
    ended(scripted)
    other = with_jobs_in(scripted, tmp_path / "elsewhere")
    for attempt in (other.harvester().look, lambda: other.claim([unit_plan(B)])):
        with pytest.raises(Refused, match="have their folders below") as refusal:
            attempt()
        assert str(scripted.project.site.jobs.parent) in str(refusal.value)
    [finished] = scripted.harvester().look()
    assert finished.state is State.DONE
    assert other.harvester().look() == []
    assert len(other.claim([unit_plan(B)]).claimed) == 1


def test_a_lost_job_of_another_folder_keeps_nobody_from_looking(scripted, tmp_path):
    scripted = with_jobs_in(scripted, tmp_path / "here")
    submit(scripted)
    harvester = scripted.harvester()
    give_up(harvester)
    with_jobs_in(scripted, tmp_path / "elsewhere").claim([unit_plan(B)])
    (tmp_path / "elsewhere").mkdir()
    assert harvester.look(clock.utc_now() - LATE) == []


def test_nobody_with_another_folder_of_jobs_takes_over_a_claim(scripted, tmp_path, monkeypatch):
    scripted = with_jobs_in(scripted, tmp_path / "here")
    scripted.submitter().add(scripted.claim([unit_plan(A)]).claimed)
    monkeypatch.setattr(driver, "identity", lambda: {"host": "heir", "process": "1"})
    monkeypatch.setattr(driver, "has_let_go", lambda *_claim: True)
    with pytest.raises(Refused, match="have their folders below"):
        with_jobs_in(scripted, tmp_path / "elsewhere").submitter().adopt()
    heir = scripted.submitter()
    assert heir.adopt() == []
    assert heir.waiting == 1


def test_a_folder_of_jobs_that_was_moved_holds_nobody_up(scripted, tmp_path):
    here, there = tmp_path / "here", tmp_path / "moved"
    scripted = with_jobs_in(scripted, here)
    ended(scripted)
    here.rename(there)
    moved = with_jobs_in(scripted, there)
    [finished] = moved.harvester().look()
    assert finished.state is State.DONE
    assert len(moved.claim([unit_plan(B)]).claimed) == 1
