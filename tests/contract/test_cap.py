"""The cap on jobs at once, over arrays of several productions and drivers, on real schedulers."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from snfpipe.engines.base import Engine, EngineState
from snfpipe.services.grid_engine import GridEngineCell
from snfpipe.services.slurm import SlurmCluster
from snfpipe.worker.spec import AttemptFolder
from tests.contract.places import Place, most_at_once
from tests.jobs.attempts import make_attempt, record, submission

pytestmark = pytest.mark.services

SOAK = pytest.mark.soak


@pytest.fixture(params=["grid_engine", "slurm_by_file"])
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A farm of many slots; the site's cap is 5."""
    service = request.getfixturevalue(request.param)
    settings = {"environment": service.environment}
    return Place(service.name, tmp_path, slots=5, settings=settings)


@pytest.fixture(params=["grid_engine", "slurm"])
def large(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A farm of 500 slots; the site's cap is 360."""
    folder = tmp_path / "service"
    service = (
        GridEngineCell(folder, 500)
        if request.param == "grid_engine"
        else SlurmCluster(folder, 500, patience_s=90)  # two processors for 360 jobs: all is slow
    )
    service.up()
    settings = {"environment": service.environment}
    yield Place(request.param, tmp_path, slots=360, pause_s=1.0, settings=settings)
    service.down()


def test_two_productions_together_never_exceed_the_cap(small):
    hold_the_cap(small, count=9, sleep_s=1.5)


@SOAK
def test_two_productions_of_400_on_500_slots_never_exceed_a_cap_of_360(large):
    hold_the_cap(large, count=400, sleep_s=20)


def hold_the_cap(place: Place, count: int, sleep_s: float) -> None:
    """Submit two productions by two drivers at once; both look after them to their end."""
    log = place.root / "starts"
    body = f'echo "$$ +" >> {log}; sleep {sleep_s}; echo "$$ -" >> {log}'
    folders = [
        make_attempt(place.root, body, unit=f"06_{n:03}", wall_s=600, cpu_s=600)
        for n in range(1, 2 * count + 1)
    ]
    running: list[int] = []
    problems: list[BaseException] = []

    def drive(production: str, mine: list[AttemptFolder]) -> None:
        try:
            engine = place.make()
            batch = [replace(submission(folder), production=production) for folder in mine]
            assert len(engine.submit(batch)) == count
            place.wait_until(lambda: not look(engine), 1200)
        except BaseException as problem:
            problems.append(problem)

    def look(engine: Engine) -> Mapping[str, EngineState]:
        states = place.look(engine)
        running.append(sum(state is EngineState.RUNNING for state in states.values()))
        return states

    drivers = [
        threading.Thread(target=drive, args=("SNF-0203-ONEc", folders[:count])),
        threading.Thread(target=drive, args=("SNF-0203-OTHERc", folders[count:])),
    ]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join()
    assert problems == []
    assert place.slots / 2 < max(running) <= place.slots
    assert most_at_once(log) <= place.slots
    assert all(record(folder, "end")["exit_status"] == 0 for folder in folders)
