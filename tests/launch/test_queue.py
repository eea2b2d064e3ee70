"""One look at the queue for everybody: who shows jobs and who finishes them share it."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest

from snfpipe import clock
from snfpipe.cli.qstat2 import qstat2
from snfpipe.db import lease
from snfpipe.db.models import QueueSnapshot
from snfpipe.engines.base import EngineState
from snfpipe.engines.local import LocalEngine
from snfpipe.errors import ServiceUnavailable
from snfpipe.jobs.queue_snapshot import SharedQueue
from snfpipe.services.grid_engine import GridEngineCell
from tests.bench import Bench, night_of, unit_plan
from tests.daemon.conftest import until
from tests.e2e.project import SOURCE, Project
from tests.launch.conftest import LIST, call, make_project
from tests.launch.farm import to_farm, use_site


class Asked(LocalEngine):
    """The bench's engine, which counts how often it is asked; its look takes some time."""

    asks_scheduler = True

    def __init__(self, bench: Bench, poll_s: float = 40.0) -> None:
        site = bench.project.site
        super().__init__(site.jobs.parent / ".local", site.slots)
        self.bench = bench
        self.snapshots = self.fills = 0
        self.broken = False
        object.__setattr__(bench.project.site, "poll_s", poll_s)

    def snapshot(self) -> Mapping[str, EngineState]:
        self.snapshots += 1
        time.sleep(0.2)
        if self.broken:
            raise ServiceUnavailable("qmaster does not answer")
        return super().snapshot()

    def fill(self) -> None:
        self.fills += 1

    def queue(self) -> SharedQueue:
        return SharedQueue(self.bench.project.site, self.bench.database, self)


class Killed(Asked):
    """One whose process is killed while it looks."""

    def snapshot(self) -> Mapping[str, EngineState]:
        os.kill(os.getpid(), signal.SIGKILL)
        return super().snapshot()


def at_once(*work: Callable[[], object]) -> None:
    threads = [threading.Thread(target=it) for it in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_ten_who_watch_and_one_who_harvests_ask_once(bench):
    asked = Asked(bench)
    at_once(*(asked.queue().watch for _n in range(10)), asked.queue().harvest)
    assert asked.snapshots == 1
    at_once(*(asked.queue().watch for _n in range(10)))
    assert asked.snapshots == 1
    age(bench, 30)
    asked.queue().watch()
    assert asked.snapshots == 1, "who watches leaves it to who harvests"
    filled = asked.fills
    asked.queue().harvest()
    assert (asked.snapshots, asked.fills) == (2, filled + 1)
    age(bench, 90)
    at_once(*(asked.queue().watch for _n in range(10)))
    assert asked.snapshots == 3


def age(bench: Bench, seconds: float) -> None:
    """Make the last look older."""
    with bench.database.write() as session:
        row = session.get_one(QueueSnapshot, "local")
        row.taken -= timedelta(seconds=seconds)


def test_who_dies_while_looking_holds_nobody_up_for_long(bench, manual_clock):
    asked = Asked(bench)
    bench.database.transact(lambda session: lease.take(session, "look local", "a dead one", 20))
    began = clock.monotonic()
    asked.queue().watch()
    assert 20 < clock.monotonic() - began < 21
    asked.broken = True
    age(bench, 90)
    for _again in range(2):  # a failure gives the lease back
        with pytest.raises(ServiceUnavailable):
            asked.queue().watch()


def test_who_was_killed_while_looking_is_not_waited_for(bench, manual_clock):
    asked = Asked(bench)

    def look_and_die() -> None:
        bench.database.engine.dispose(close=False)
        Killed(bench).queue().watch()

    looker = multiprocessing.get_context("fork").Process(target=look_and_die)
    looker.start()
    looker.join(30)
    assert looker.exitcode == -signal.SIGKILL
    began = clock.monotonic()
    asked.queue().watch()
    assert clock.monotonic() == began
    assert asked.snapshots == 1


def test_a_job_younger_than_the_look_is_not_taken_for_gone(bench):
    """With a stale look, a job that runs would be judged by the absence of its id."""
    asked = Asked(bench, poll_s=60)
    asked.queue().harvest()  # an empty queue, good for half a minute
    bench = bench.told(sleep_s=1.5)
    planned = bench.claim([unit_plan("06_001")])
    submitter = bench.submitter()
    submitter.add(planned.claimed)
    submitter.send()
    harvester = bench.harvester()
    harvester._queue = asked.queue()
    for _look in range(3):
        assert harvester.look() == []
        assert bench.job("06_001").state == "queued"
        time.sleep(0.1)
    assert asked.snapshots == 1
    age(bench, 120)
    while not (finished := harvester.look()):
        time.sleep(0.2)
        age(bench, 120)
    assert [str(it.state) for it in finished] == ["done"]


def test_qstat2_shows_state_time_and_cpu_of_every_job_in_hand(project):
    project.write_behaviour(sleep_s=6)
    call(project, "-p", "SAMPLE", "-m", "z", "-s", LIST)
    call(project, "-p", "OTHER", "-m", "c", LIST)
    deadline = time.monotonic() + 30
    while "0:0" not in (shown := call(project, command=qstat2).out):
        assert time.monotonic() < deadline
        time.sleep(0.3)
    head, *rows = shown.split("---")[0].splitlines()
    assert head.split() == ["Jobname", "State", "Time", "CPU", "(used/limit)"]
    states = Counter(row.split()[1] for row in rows)
    assert set(states) <= {"running", "ended"} and sum(states.values()) == 2
    for row in rows:
        assert re.fullmatch(r"SNF-0203-SAMPLEz-0633[46] +(ended|"
                            r"running( +0:00:\d\d  0:00:\d\d/0:10:00)?)", row), row  # fmt: skip
    feet = shown.split("---\n")[1].splitlines()
    assert feet[0] == f"{states['running']} running"
    assert feet[1] == "0 queued"
    told = json.loads(call(project, "--json", "*-06334", command=qstat2).out)
    assert [job["name"] for job in told["jobs"]] == ["SNF-0203-SAMPLEz-06334"]
    schema = json.loads((SOURCE / "docs" / "schemas" / "qstat2.json").read_text())
    jsonschema.validate(told, schema)
    project.doit("file_quality")
    assert call(project, command=qstat2).out.endswith("---\n0 running\n0 queued\n")


def test_qstat2_shows_jobs_that_are_not_registered(project):
    project.write_behaviour(sleep_s=6)
    call(project, "-p", "TRY", "-m", "z", "-L", "-s", "06_334")
    name = "SNF-0203-TRYz-06334"
    (job,) = json.loads(call(project, "--json", command=qstat2).out)["jobs"]
    assert (job["name"], job["state"], job["registered"]) == (name, "running", False)
    until(lambda: re.search(rf"^{name} +running +0:00:\d\d  0:00:\d\d/0:10:00$",
                            call(project, command=qstat2).out, re.MULTILINE))  # fmt: skip
    project.wait_for_jobs()


def test_qstat2_shows_a_job_that_is_not_registered_beside_one_of_its_name(project):
    """Neither hides the other, whether or not the engine's id has reached the database."""
    project.write_behaviour(sleep_s=30)
    call(project, "-p", "TRY", "-m", "z", "-s", "06_334")
    call(project, "-p", "TRY", "-m", "z", "-s", "-L", "06_334")
    until(lambda: len(active_jobs(project)) == 2)
    assert active_jobs(project) == [("SNF-0203-TRYz-06334", False), ("SNF-0203-TRYz-06334", True)]
    project.query("UPDATE attempt SET engine_id = NULL")
    assert active_jobs(project) == [("SNF-0203-TRYz-06334", False), ("SNF-0203-TRYz-06334", True)]
    project.wait_for_jobs()


def active_jobs(project: Project) -> list[tuple[str, bool]]:
    """Return name, and whether it is registered, of the jobs that qstat2 shows."""
    told = json.loads(call(project, "--json", command=qstat2).out)
    return sorted((job["name"], job["registered"]) for job in told["jobs"])


@dataclass(frozen=True, slots=True)
class Watcher:
    """A ``qstat2 --watch`` that runs, and what it prints."""

    process: subprocess.Popen[str]
    out: Path
    err: Path

    @classmethod
    @contextmanager
    def of(cls, project: Project) -> Iterator[Watcher]:
        """Start one; interrupt it at the end, and hold how it ends."""
        out, err = project.root / "watch.out", project.root / "watch.err"
        err.touch()
        words = "exec qstat2 --watch --every 0.2 2> watch.err"
        process = project.start("sh", "-c", words, log=out.name)
        try:
            yield cls(process, out, err)
        finally:
            process.send_signal(signal.SIGINT)
            code = process.wait(60)
        assert (code, "Traceback" in err.read_text()) == (130, False)

    def sees_the_queue(self) -> None:
        """Wait until the queue is shown anew."""
        size = self.out.stat().st_size
        until(lambda: self.out.stat().st_size > size or self.process.poll() is not None)
        assert self.process.poll() is None, self.err.read_text()

    def complains(self, times: int) -> str:
        """Wait until there are so many lines of problem; return the last."""
        until(lambda: self.err.read_text().count("\n") >= times)
        return self.err.read_text().splitlines()[-1]


def test_who_watches_outlives_a_scheduler_that_is_away(tmp_path):
    project = Project.make(tmp_path / "project", [])
    folder = project.root / "fake"
    folder.mkdir()
    away = project.root / "away"
    (folder / "squeue").write_text(f"#!/bin/sh\n[ ! -e {away} ] || {{ echo no such; exit 1; }}\n")
    (folder / "squeue").chmod(0o755)
    use_site(project, "slurm", {"PATH": f"{folder}:/usr/bin:/bin"}, poll_s=0.1, slots=4)
    project.run("snf", "db", "init")
    away.touch()
    assert call(project, command=qstat2).code == 4
    with Watcher.of(project) as watcher:
        assert watcher.complains(1).startswith("qstat2: squeue")
        for outage in (1, 2):
            time.sleep(2)  # some cycles
            assert watcher.err.read_text().count("\n") == outage, watcher.err.read_text()
            away.unlink()
            watcher.sees_the_queue()
            away.touch()
            watcher.complains(outage + 1)
    assert call(project, command=qstat2).code == 4


@pytest.mark.services
def test_who_watches_outlives_a_database_that_is_away(tmp_path, postgresql):
    project = Project.make(tmp_path / "project", [], postgresql.new_database())
    project.run("snf", "db", "upgrade")
    with Watcher.of(project) as watcher:
        watcher.sees_the_queue()
        with postgresql.away():
            assert "cannot be reached" in watcher.complains(1)
            time.sleep(2)  # some cycles
            assert watcher.process.poll() is None
        watcher.sees_the_queue()


@pytest.mark.services
def test_qstat2_tells_why_nothing_starts(project, grid_engine):
    to_farm(project, grid_engine, poll_s=0.5)
    modify(grid_engine, "-d")
    try:
        call(project, "-p", "SAMPLE", "-m", "z", "-s", LIST)
        shown = call(project, command=qstat2).out
        feet = shown.split("---\n")[1].splitlines()
        assert feet[:2] == ["0 running", "2 queued"]
        [notice] = feet[2:]
        assert "all.q@" in notice and "qmod -e" in notice
        told = json.loads(call(project, "--json", command=qstat2).out)
        assert told["notices"] == [notice]
        schema = json.loads((SOURCE / "docs" / "schemas" / "qstat2.json").read_text())
        jsonschema.validate(told, schema)
    finally:
        modify(grid_engine, "-e")
    project.doit("file_quality")
    assert call(project, command=qstat2).out.endswith("---\n0 running\n0 queued\n")


@pytest.mark.services
def test_qstat2_tells_who_lets_jobs_beyond_the_slots_start(project, grid_engine):
    to_farm(project, grid_engine, poll_s=0.5, slots=1)
    call(project, "-p", "SAMPLE", "-m", "z", "-s", LIST)
    [notice] = json.loads(call(project, "--json", command=qstat2).out)["notices"]
    assert notice.startswith("1 waiting for one of 1 slots: doit or osiris")
    project.doit("file_quality")
    assert call(project, command=qstat2).out.endswith("---\n0 running\n0 queued\n")


def modify(cell: GridEngineCell, option: str) -> None:
    """Disable or enable the queues of a cell."""
    words = ["qmod", option, "all.q"]
    subprocess.run(words, env=os.environ | cell.environment, check=True, capture_output=True)


@pytest.mark.services
@pytest.mark.parametrize("count", [2, pytest.param(1300, marks=pytest.mark.soak)])
def test_a_schedulers_calls_do_not_grow_with_those_who_watch(
    tmp_path, grid_engine, postgresql, count
):
    """A production runs, driven by doit, while one and then ten look on."""
    poll_s, cycles = 2.0, 5 if count == 2 else 20
    nights = [night_of(number) for number in range(1800, 1800 + count)]
    project = make_project(tmp_path / "project", postgresql.new_database(), nights)
    calls = to_farm(project, grid_engine, poll_s)
    project.write_behaviour(sleep_s=5)
    project.run("batch_jobs", "-s", "-p", "SAMPLE", "-m", "z", LIST)
    driver = project.start("doit", "file_quality")
    asked: dict[int, dict[str, float]] = {}
    for watchers in (1, 10):
        with watching(project, watchers):
            began = time.time()
            time.sleep(poll_s * (cycles + 1))
            looks = [moment for moment in calls.times("qstat") if moment > began]
            upto = looks[0] + poll_s * (cycles - 0.5)  # whole cycles, from a look on
            asked[watchers] = {
                program: len(within) / cycles
                for program in calls.programs
                if (within := [it for it in calls.times(program) if looks[0] <= it < upto])
            }
    print(f"{count} jobs: calls in each of {cycles} cycles, by how many watch: {asked}")
    # Looks are half a cycle apart or more, whoever takes them, so a cycle has two where the driver
    # has things to finish.  One that lets jobs in costs a qrls, and a qstat on either side of it.
    most = {"qstat": 2.0} if count == 2 else {"qstat": 2.0 * 3, "qrls": 2.0}
    for each in asked.values():
        assert each["qstat"] > 0
        assert set(each) <= set(most)
        assert all(often <= most[program] for program, often in each.items())
    assert driver.wait(3000) == 0, (project.root / "started.log").read_text()
    assert project.query("SELECT state, count(*) FROM job GROUP BY 1") == [("done", count)]


@contextmanager
def watching(project: Project, watchers: int) -> Iterator[None]:
    """Let some people run ``qstat2 --watch``, from the moment on that all of them see a queue."""
    words = ["qstat2", "--watch", "--every", "0.5"]
    logs = [project.root / f"watcher-{watchers}-{n}.log" for n in range(watchers)]
    running = [project.start(*words, log=path.name) for path in logs]
    while not all("running\n" in path.read_text() for path in logs):
        assert all(watcher.poll() is None for watcher in running)
        time.sleep(0.1)
    yield
    for watcher in running:
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(60) in (0, 130)
    assert not any("Traceback" in path.read_text() for path in logs)
