"""What goes wrong with a real Slurm, and how it ends; ends told by slurmdbd and by file."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from snfpipe.engines.base import Engine, EngineState
from snfpipe.errors import ServiceUnavailable
from snfpipe.services.slurm import SlurmCluster
from snfpipe.worker.spec import AttemptFolder
from tests.contract.places import Place
from tests.jobs.attempts import has_record, make_attempt, submission

pytestmark = pytest.mark.services


@pytest.fixture
def place(slurm: SlurmCluster, tmp_path: Path) -> Place:
    return Place("slurm", tmp_path, settings={"environment": slurm.environment})


@pytest.fixture
def place_by_file(slurm_by_file: SlurmCluster, tmp_path: Path) -> Place:
    return Place("slurm", tmp_path, settings={"environment": slurm_by_file.environment})


@pytest.fixture(params=["slurmdbd", "file"])
def either(request: pytest.FixtureRequest) -> Place:
    name = "place" if request.param == "slurmdbd" else "place_by_file"
    found: Place = request.getfixturevalue(name)
    return found


def submit(place: Place, *folders: AttemptFolder) -> tuple[Engine, list[str]]:
    engine = place.make()
    taken = engine.submit([submission(folder) for folder in folders])
    return engine, list(taken.values())


def test_ends_are_told_whoever_keeps_them(either):
    bodies = {"06_001": "exit 0", "06_002": "kill -9 $PPID; sleep 9", "06_003": "sleep 60"}
    folders = [make_attempt(either.root, body, unit=unit) for unit, body in bodies.items()]
    engine, ids = submit(either, *folders)
    either.wait_until(lambda: has_record(folders[2], "program"))
    engine.cancel([ids[2]])
    either.wait_until_empty(engine)
    either.wait_until(lambda: len(either.make().outcomes(ids)) == 3)
    outcomes = either.make().outcomes(ids)
    assert all(outcomes[it].final and outcomes[it].started for it in ids)
    assert outcomes[ids[0]].exit_status == 0
    assert outcomes[ids[1]].exit_status == 1  # the wrapper's: its script was killed
    assert outcomes[ids[2]].failure or outcomes[ids[2]].exit_status
    tokens = [folder.load().token for folder in folders]
    assert either.make().find(tokens) == dict(zip(tokens, ids, strict=True))


def test_a_partition_that_takes_no_jobs_is_told(place, slurm):
    folder = make_attempt(place.root)
    control(slurm, "PartitionName=main", "State=DOWN")
    try:
        engine, [engine_id] = submit(place, folder)
        place.wait_until(lambda: engine.snapshot() and engine.notices)
        [notice] = engine.notices
        assert notice == "1 waiting: Slurm says 'PartitionDown'"
    finally:
        control(slurm, "PartitionName=main", "State=UP")
    place.wait_until_empty(engine)
    assert not engine.notices
    place.wait_until(lambda: engine_id in engine.outcomes([engine_id]))


def control(cluster: SlurmCluster, *words: str) -> None:
    command = ["scontrol", "update", *words]
    subprocess.run(command, env=os.environ | cluster.environment, check=True)


def test_a_refused_job_ends_with_the_schedulers_words(place_by_file):
    place = replace(place_by_file, settings={**place_by_file.settings, "queue": "nosuch"})
    engine, [engine_id] = submit(place, make_attempt(place.root))
    assert place.look(engine) == {}
    outcome = place.make().outcomes([engine_id])[engine_id]
    assert outcome.final
    assert "Invalid partition name" in outcome.failure


def test_what_can_never_start_is_shown_then_withdrawn_with_the_reason(place_by_file, slurm_by_file):
    place = place_by_file
    full = replace(place, slots=0).make()
    [engine_id] = full.submit([submission(make_attempt(place.root))]).values()
    failing = slurm_by_file.command(
        "sbatch", "--parsable", "--mem=10", "--output=/dev/null", "--wrap=exit 1"
    )
    job = engine_id.partition(".")[0]
    needs = f"Dependency=afterok:{failing}"
    slurm_by_file.command("scontrol", "update", f"JobId={job}_1", needs)
    engine = place.make()
    seen: set[EngineState] = set()

    def is_gone() -> bool:
        seen.update(place.look(engine).values())
        return not engine.snapshot()

    place.wait_until(is_gone)
    assert EngineState.ERROR in seen
    place.wait_until(lambda: engine.outcomes([engine_id]))
    assert "could not be started" in engine.outcomes([engine_id])[engine_id].failure


def test_a_job_whose_output_cannot_be_opened_has_failed(place_by_file):
    place = place_by_file
    folder = make_attempt(place.root)
    job = submission(folder)
    folder.path.rename(folder.path.with_name("away"))
    engine = place.make()
    [engine_id] = engine.submit([job]).values()
    place.wait_until_empty(engine)
    place.wait_until(lambda: engine.outcomes([engine_id]))
    outcome = engine.outcomes([engine_id])[engine_id]
    assert outcome.exit_status != 0
    assert outcome.failure


def test_jobs_go_on_without_a_controller_and_nothing_is_lost(place_by_file, slurm_by_file):
    place = place_by_file
    running = make_attempt(place.root, "sleep 3", unit="06_001")
    later = make_attempt(place.root, unit="06_002")
    engine, [first] = submit(place, running)
    place.wait_until(lambda: has_record(running, "program"))
    slurm_by_file.daemons.stop("slurmctld")
    try:
        for call in (engine.snapshot, lambda: engine.submit([submission(later)])):
            with pytest.raises(ServiceUnavailable, match="slurm controller"):
                call()
        place.wait_until(lambda: has_record(running, "end"))
    finally:
        slurm_by_file.start_controller()
    place.wait_until_empty(engine)
    assert engine.find([later.load().token]) == {}
    [second] = engine.submit([submission(later)]).values()
    place.wait_until(lambda: len(engine.outcomes([first, second])) == 2)
    assert {it.exit_status for it in engine.outcomes([first, second]).values()} == {0}


def test_ends_are_told_once_slurmdbd_is_back(place, slurm):
    engine, [engine_id] = submit(place, make_attempt(place.root, "sleep 2"))
    slurm.daemons.stop("slurmdbd", kill=True)
    try:
        place.wait_until_empty(engine)  # the queue needs no slurmdbd
        with pytest.raises(ServiceUnavailable, match="sacct"):
            engine.outcomes([engine_id])
    finally:
        slurm.start_slurmdbd()
    place.wait_until(lambda: engine.outcomes([engine_id]), 90)
    assert engine.outcomes([engine_id])[engine_id].exit_status == 0


def test_arrays_are_cut_to_what_the_controller_takes(place_by_file, slurm_by_file):
    place = replace(place_by_file, slots=0)  # nothing starts
    limit = slurm_by_file.largest_array - 1
    folder = make_attempt(place.root)
    job = submission(folder)
    batch = [replace(job, token=f"{n:016x}") for n in range(limit + 5)]
    engine = place.make()
    ids = engine.submit(batch)
    assert len(ids) == len(batch)
    assert len({it.partition(".")[0] for it in ids.values()}) == 2
    assert set(engine.snapshot().values()) == {EngineState.QUEUED}
    engine.cancel(ids.values())
    place.wait_until_empty(engine)
