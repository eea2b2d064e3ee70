"""What every engine holds; an engine is added by a place that knows how to start it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from snfpipe.engines.base import Engine, EngineState
from snfpipe.engines.local import LocalEngine
from snfpipe.errors import Refused
from snfpipe.jobs.spec import AttemptFolder
from tests.jobs.attempts import make_attempt, record, submission


@dataclass(frozen=True, slots=True)
class Place:
    """An engine under test: how to reach it (from any process), and how many it runs at once."""

    make: Callable[[], Engine]
    slots: int
    root: Path


@pytest.fixture(params=["local"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    slots = 4
    engine = LocalEngine(tmp_path / ".local", slots)
    yield Place(lambda: LocalEngine(tmp_path / ".local", slots), slots, tmp_path)
    engine.cancel(list(engine.snapshot()))
    wait_until(lambda: not engine.snapshot())


def wait_until(holds: Callable[[], bool], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def submit_all(engine: Engine, folders: list[AttemptFolder]) -> dict[str, str]:
    """Submit until all are taken."""
    waiting = {(job := submission(folder)).token: job for folder in folders}
    taken: dict[str, str] = {}
    while waiting:
        new = engine.submit(list(waiting.values()))
        taken |= new
        for token in new:
            del waiting[token]
        if waiting:
            time.sleep(0.02)
    return taken


def ended(engine: Engine, folders: list[AttemptFolder]) -> list[dict]:
    """Wait for the end of attempts; return their last records."""
    wait_until(lambda: not engine.snapshot())
    ends = [record(folder, "end") for folder in folders]
    assert all(ends), [folder.err.read_text() for folder in folders]
    return ends


def test_a_job_runs_and_its_end_is_told(place):
    engine = place.make()
    folder = make_attempt(place.root, "echo out; echo err >&2")
    [engine_id] = engine.submit([submission(folder)]).values()
    assert engine.snapshot() == {engine_id: EngineState.RUNNING}
    [end] = ended(engine, [folder])
    assert (end["exit_status"], end["signal"], end["limit"]) == (0, None, "")
    assert folder.out.read_text().startswith("out")
    assert "err" in folder.err.read_text()


def test_many_jobs_run_once_each_and_never_more_than_there_are_slots(place):
    log = place.root / "starts"
    body = f'echo "$$ +" >> {log}; sleep 0.2; echo "$$ -" >> {log}'
    folders = [make_attempt(place.root, body, unit=f"06_{n:03}") for n in range(1, 13)]
    engine = place.make()
    taken = submit_all(engine, folders)
    ended(engine, folders)
    assert len(set(taken.values())) == 12
    at_once = most = 0
    for line in log.read_text().splitlines():
        at_once += 1 if line.endswith("+") else -1
        most = max(most, at_once)
    assert len(log.read_text().splitlines()) == 24
    assert 1 < most <= place.slots


def test_slots_are_shared_by_everybody(place):
    one, other = place.make(), place.make()
    folders = [make_attempt(place.root, "sleep 5", unit=f"06_{n:03}") for n in range(1, 7)]
    first = one.submit([submission(folder) for folder in folders[:3]])
    assert (one.capacity(), other.capacity()) == (place.slots - 3, place.slots - 3)
    second = other.submit([submission(folder) for folder in folders[3:]])
    assert len(second) == place.slots - 3
    assert other.capacity() == 0
    assert one.snapshot().keys() == {*first.values(), *second.values()}
    one.cancel([*first.values(), *second.values()])
    wait_until(lambda: one.capacity() == place.slots)


@pytest.mark.parametrize("status", [1, 2, 3, 127])
def test_exit_codes_of_programs_are_told(place, status):
    engine = place.make()
    folder = make_attempt(place.root, f"exit {status}")
    engine.submit([submission(folder)])
    ended(engine, [folder])
    assert record(folder, "outcome")["exit_status"] == status


def test_a_signal_is_told_from_an_exit(place):
    engine = place.make()
    folder = make_attempt(place.root, "kill -9 $PPID; sleep 9")  # the script, not the program
    engine.submit([submission(folder)])
    [end] = ended(engine, [folder])
    assert (end["exit_status"], end["signal"]) == (None, 9)


def test_limits_on_cpu_time_memory_and_time_are_told_apart(place):
    eat = "x = bytearray(300_000_000)\nimport time; time.sleep(60)"
    bodies = {
        "cpu_s": ("while :; do :; done", {"cpu_s": 1}),
        "memory_mb": (f"{sys.executable} -c '{eat}'", {"memory_mb": 150}),
        "wall_s": ("sleep 60", {"wall_s": 1}),
    }
    folders = {
        limit: make_attempt(place.root, body, unit=f"06_{n:03}", **limits)
        for n, (limit, (body, limits)) in enumerate(bodies.items(), 1)
    }
    engine = place.make()
    submit_all(engine, list(folders.values()))
    ended(engine, list(folders.values()))
    assert {limit: record(folder, "end")["limit"] for limit, folder in folders.items()} == {
        limit: limit for limit in bodies
    }
    assert record(folders["cpu_s"], "end")["cpu_s"] < 3
    assert record(folders["memory_mb"], "end")["memory_mb"] > 150


def test_limits_hold_over_the_whole_tree(place):
    spin = "while :; do :; done"
    body = f"for n in 1 2 3; do setsid bash -c '{spin}' & done; sleep 60"
    folder = make_attempt(place.root, body, cpu_s=1)
    engine = place.make()
    engine.submit([submission(folder)])
    [end] = ended(engine, [folder])
    assert end["limit"] == "cpu_s"
    assert not _running(str(folder.path))


def test_a_descendant_that_daemonises_is_ended_with_its_job(place):
    pid_file = place.root / "daemon.pid"
    daemon = f"trap '' TERM; echo $$ > {pid_file}; while :; do sleep 1; done"
    body = f'( setsid bash -c "{daemon.replace("$", chr(92) + "$")}" & ) ; sleep 0.5'
    folder = make_attempt(place.root, body)
    engine = place.make()
    engine.submit([submission(folder)])
    [end] = ended(engine, [folder])
    assert end["exit_status"] == 0
    assert end["leftovers"] >= 1
    assert not Path(f"/proc/{pid_file.read_text().strip()}").exists()


def test_cancel_ends_what_runs(place):
    engine = place.make()
    folder = make_attempt(place.root, "sleep 60")
    [engine_id] = engine.submit([submission(folder)]).values()
    wait_until(lambda: record(folder, "program") is not None)
    engine.cancel([engine_id, "1:1", "999999999:12345"])
    [end] = ended(engine, [folder])
    assert end["stopped_by"] == "SIGTERM"
    engine.cancel([engine_id])  # gone: no error


def test_submissions_are_found_by_their_tokens_by_another_process(place):
    engine = place.make()
    folders = [make_attempt(place.root, "sleep 20", unit=f"06_{n:03}") for n in (1, 2)]
    taken = engine.submit([submission(folder) for folder in folders])
    [token, other] = taken
    assert place.make().find([token, "f" * 16]) == {token: taken[token]}
    engine.cancel([taken[other]])
    wait_until(lambda: place.make().find(taken) == {token: taken[token]})


SUBMITTER = """
import sys, os, signal
from pathlib import Path
sys.path.insert(0, {source!r})
from snfpipe.engines.local import LocalEngine
from snfpipe.jobs.spec import AttemptFolder
from tests.jobs.attempts import submission
folder = AttemptFolder.find(Path({folder!r}))
LocalEngine(Path({slots!r}), 4).submit([submission(folder)])
os.killpg(0, signal.SIGKILL)
"""


def test_a_job_outlives_a_killed_submitter_and_is_adopted(place):
    folder = make_attempt(place.root, "sleep 1; echo survived")
    text = SUBMITTER.format(
        source=str(Path(__file__).parents[2]), folder=str(folder.path),
        slots=str(place.root / ".local"),
    )  # fmt: skip
    done = subprocess.run([sys.executable, "-c", text], process_group=0, check=False)
    assert done.returncode == -signal.SIGKILL
    engine = place.make()
    token = folder.load().token
    found = engine.find([token])
    assert list(engine.snapshot()) == [found[token]]
    [end] = ended(engine, [folder])
    assert end["exit_status"] == 0
    assert "survived" in folder.out.read_text()


def test_nobody_hears_of_a_job_whose_tree_was_killed(place):
    folder = make_attempt(place.root, "sleep 60")
    engine = place.make()
    [engine_id] = engine.submit([submission(folder)]).values()
    wait_until(lambda: record(folder, "program") is not None)
    os.killpg(int(engine_id.partition(":")[0]), signal.SIGKILL)
    wait_until(lambda: not engine.snapshot())
    assert record(folder, "end") is None
    assert engine.capacity() == place.slots


def test_a_script_outlives_its_wrapper_and_keeps_its_slot(place):
    folder = make_attempt(place.root, "sleep 1; echo survived")
    engine = place.make()
    [engine_id] = engine.submit([submission(folder)]).values()
    wait_until(lambda: record(folder, "program") is not None)
    os.kill(int(engine_id.partition(":")[0]), signal.SIGKILL)
    assert list(engine.snapshot()) == [engine_id]
    wait_until(lambda: not engine.snapshot())
    assert record(folder, "ending")["exit_status"] == 0


def test_hold_and_release_are_done_or_refused_with_a_reason(place):
    engine = place.make()
    if engine.name == "local":
        for act in (engine.hold, engine.release):
            with pytest.raises(Refused, match="local engine"):
                act(["1:1"])


def test_a_job_gets_an_allow_listed_environment(place, monkeypatch):
    monkeypatch.setenv("SNF_CANARY", "canary-secret")
    monkeypatch.setenv("PGPASSWORD", "canary-secret")
    folder = make_attempt(place.root, "env; tr '\\0' '\\n' < /proc/$PPID/environ", SNF_MINE="yes")
    engine = place.make()
    engine.submit([submission(folder)])
    ended(engine, [folder])
    seen = folder.out.read_text()
    assert "SNF_MINE=yes" in seen
    assert "OMP_NUM_THREADS=1" in seen
    assert "LC_ALL=C.UTF-8" in seen
    assert "canary" not in seen + folder.ledger.read_text()


def _running(text: str) -> list[int]:
    """Return the processes whose command line names `text`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if text.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found
