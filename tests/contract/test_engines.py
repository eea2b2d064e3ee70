"""What every engine holds; an engine is added by a place that knows how to start it."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from snfpipe.engines.base import EngineState
from snfpipe.errors import Refused
from snfpipe.worker import processes
from tests.contract.places import most_at_once
from tests.jobs.attempts import has_record, make_attempt, record, submission

QUEUED_OR_RUNNING = {EngineState.QUEUED, EngineState.RUNNING}


def test_a_job_runs_and_its_end_is_told(place):
    engine = place.make()
    folder = make_attempt(place.root, "echo out; echo err >&2")
    [engine_id] = engine.submit([submission(folder)]).values()
    [(known, state)] = engine.snapshot().items()
    assert known == engine_id
    assert state in QUEUED_OR_RUNNING
    [end] = place.ended(engine, [folder])
    assert (end["exit_status"], end["signal"], end["limit"]) == (0, None, "")
    assert folder.out.read_text().startswith("out")
    assert "err" in folder.err.read_text()


@pytest.mark.parametrize("count", [12, pytest.param(500, marks=pytest.mark.soak)])
def test_many_jobs_run_once_each_and_never_more_than_there_are_slots(place, count):
    place = replace(place, slots=4 if count < 100 else 40)
    log = place.root / "starts"
    body = f'echo "$$ +" >> {log}; sleep 0.3; echo "$$ -" >> {log}'
    folders = [make_attempt(place.root, body, unit=f"06_{n:03}") for n in range(1, count + 1)]
    engine = place.make()
    taken = place.submit_all(engine, folders)
    place.wait_until_empty(engine, 600)
    assert all(record(folder, "end")["exit_status"] == 0 for folder in folders)
    assert len(set(taken.values())) == count
    assert len(log.read_text().splitlines()) == 2 * count
    assert 1 < most_at_once(log) <= place.slots


def test_slots_are_shared_by_everybody(place):
    one, other = place.make(), place.make()
    log = place.root / "starts"
    body = f'echo "$$ +" >> {log}; sleep 3; echo "$$ -" >> {log}'
    folders = [make_attempt(place.root, body, unit=f"06_{n:03}") for n in range(1, 7)]
    first = one.submit([submission(folder) for folder in folders[:3]])
    assert (one.capacity(), other.capacity()) == (place.slots - 3, place.slots - 3)
    second = other.submit([submission(folder) for folder in folders[3:]])
    assert len(first) == 3
    assert len(second) in (place.slots - 3, 3)  # taken as far as there is room, or queued
    assert other.capacity() == 0
    assert one.snapshot().keys() == {*first.values(), *second.values()}
    place.wait_until_empty(one)
    assert one.capacity() == place.slots
    assert 1 < most_at_once(log) <= place.slots


def test_exit_codes_of_programs_are_told(place):
    engine = place.make()
    statuses = [1, 2, 3, 127]
    folders = [make_attempt(place.root, f"exit {it}", unit=f"06_{it:03}") for it in statuses]
    place.submit_all(engine, folders)
    place.ended(engine, folders)
    assert [record(folder, "outcome")["exit_status"] for folder in folders] == statuses


def test_a_signal_is_told_from_an_exit(place):
    engine = place.make()
    folder = make_attempt(place.root, "kill -9 $PPID; sleep 9")  # the script, not the program
    engine.submit([submission(folder)])
    [end] = place.ended(engine, [folder])
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
    place.submit_all(engine, list(folders.values()))
    place.ended(engine, list(folders.values()))
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
    [end] = place.ended(engine, [folder])
    assert end["limit"] == "cpu_s"
    assert not _running(str(folder.path))


def test_a_descendant_that_daemonises_is_ended_with_its_job(place):
    pid_file = place.root / "daemon.pid"
    daemon = f"trap '' TERM; echo $$ > {pid_file}; while :; do sleep 1; done"
    body = f'( setsid bash -c "{daemon.replace("$", chr(92) + "$")}" & ) ; sleep 0.5'
    folder = make_attempt(place.root, body)
    engine = place.make()
    engine.submit([submission(folder)])
    [end] = place.ended(engine, [folder])
    assert end["exit_status"] == 0
    assert end["leftovers"] >= 1
    assert not Path(f"/proc/{pid_file.read_text().strip()}").exists()


def test_cancel_ends_what_runs(place):
    engine = place.make()
    folder = make_attempt(place.root, "sleep 60")
    [engine_id] = engine.submit([submission(folder)]).values()
    place.wait_until(lambda: has_record(folder, "program"))
    engine.cancel([engine_id, "1:1", "999999999:12345", f"999999.1@{'f' * 14}"])
    [end] = place.ended(engine, [folder])
    assert end["stopped_by"] in ("SIGTERM", "SIGUSR2")
    assert end["wall_s"] < 20
    engine.cancel([engine_id])  # gone: no error


def test_submissions_are_found_by_their_tokens_by_anybody(place):
    engine = place.make()
    folders = [make_attempt(place.root, "sleep 20", unit=f"06_{n:03}") for n in (1, 2)]
    taken = engine.submit([submission(folder) for folder in folders])
    [token, other] = taken
    assert place.make().find([token, "f" * 16]) == {token: taken[token]}
    engine.cancel([taken[other]])
    place.wait_until(lambda: set(engine.snapshot()) == {taken[token]})
    found = place.make().find(taken)
    assert found[token] == taken[token]
    assert found.get(other, taken[other]) == taken[other]  # ended: accounting may know it


SUBMITTER = """
import sys, os, signal
from pathlib import Path
sys.path.insert(0, {source!r})
from snfpipe.worker.spec import AttemptFolder
from tests.contract.places import Place
from tests.jobs.attempts import has_record, submission
folder = AttemptFolder.at(Path({folder!r}))
Place.from_json({place!r}).make().submit([submission(folder)])
os.killpg(0, signal.SIGKILL)
"""


def test_a_job_outlives_a_killed_submitter_and_is_adopted(place):
    folder = make_attempt(place.root, "sleep 2; echo survived")
    text = SUBMITTER.format(
        source=str(Path(__file__).parents[2]), folder=str(folder.path), place=place.to_json()
    )
    done = subprocess.run([sys.executable, "-c", text], process_group=0, check=False)
    assert done.returncode == -signal.SIGKILL
    engine = place.make()
    token = folder.load().token
    found = engine.find([token])
    assert list(engine.snapshot()) == [found[token]]
    [end] = place.ended(engine, [folder])
    assert end["exit_status"] == 0
    assert "survived" in folder.out.read_text()


def test_nobody_hears_of_a_job_whose_tree_was_killed(place):
    folder = make_attempt(place.root, f"touch {place.root}/in; exec sleep 60")
    engine = place.make()
    [engine_id] = engine.submit([submission(folder)]).values()
    place.wait_until((place.root / "in").exists)
    tree = [folder.pid.read_text(), *processes.descendants(folder.pid.read_text())]
    for process in tree:
        processes.send(process, signal.SIGKILL)
    place.wait_until_empty(engine)
    assert not has_record(folder, "end")
    assert engine.capacity() == place.slots
    if engine.name != "local":  # there the slot's lock is all that is known
        place.wait_until(lambda: engine.outcomes([engine_id]))
        outcome = engine.outcomes([engine_id])[engine_id]
        assert outcome.final
        assert outcome.signal == signal.SIGKILL or outcome.failure


def test_hold_and_release_are_done_or_refused_with_a_reason(place):
    engine = place.make()
    if engine.name == "local":
        for act in (engine.hold, engine.release):
            with pytest.raises(Refused, match="local engine"):
                act(["1:1"])
        return
    place = replace(place, slots=2)
    engine = place.make()
    folders = [make_attempt(place.root, "sleep 1", unit=f"06_{n:03}") for n in range(1, 7)]
    taken = list(engine.submit([submission(folder) for folder in folders]).values())
    engine.hold(taken[3:])
    assert [engine.snapshot()[it] for it in taken[3:]] == [EngineState.HELD] * 3
    place.wait_until(lambda: set(place.look(engine)) == {*taken[3:]})
    assert not any(folder.taken.exists() for folder in folders[3:])
    assert place.make().capacity() == place.slots  # what an operator holds takes no room
    engine.release([taken[3], taken[5]])
    place.wait_until(lambda: set(place.look(engine)) == {taken[4]})
    assert [folder.taken.exists() for folder in folders] == [True, True, True, True, False, True]
    engine.cancel([taken[4]])
    place.wait_until_empty(engine)


def test_a_job_gets_an_allow_listed_environment(place, monkeypatch):
    monkeypatch.setenv("SNF_CANARY", "canary-secret")
    monkeypatch.setenv("PGPASSWORD", "canary-secret")
    folder = make_attempt(place.root, "env; tr '\\0' '\\n' < /proc/$PPID/environ", SNF_MINE="yes")
    engine = place.make()
    engine.submit([submission(folder)])
    place.ended(engine, [folder])
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
