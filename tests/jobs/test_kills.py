"""Drivers killed at named points and at random: nothing is lost, nothing happens twice.

The witness of what ran is a log that the program appends to.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from snfpipe.states import State
from snfpipe.worker import ledger
from snfpipe.worker.starting import take
from tests.bench import Bench, make_bench, night_of, unit_plan

SOURCE = Path(__file__).parents[2]
UNITS = [night_of(number) for number in range(1800, 1804)]
POINTS = [
    "plan:before-claim-commit", "plan:after-claim-commit", "submit:before", "submit:after-call",
    "register:before-links", "register:after-links", "register:after-commit",
    "manifest:before-rename",
]  # fmt: skip


def start(
    bench: Bench,
    told: dict[str, Any],
    units: Sequence[str] = UNITS,
    stdout: int | None = None,
    **environment: str,
) -> subprocess.Popen[bytes]:
    url = bench.database.url.render_as_string(hide_password=False).replace("+psycopg2", "")
    return subprocess.Popen(
        [sys.executable, "-m", "tests.jobs.drive", str(bench.project.root), url, *units],
        cwd=SOURCE,
        env=os.environ | environment | {"SNF_TEST_TOLD": json.dumps(told)},
        process_group=0,
        stdout=stdout,
    )


def kill(driver: subprocess.Popen[bytes]) -> bool:
    running = driver.poll() is None
    if running:
        os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    return running


def check(bench: Bench, log: Path, units: Sequence[str] = UNITS) -> None:
    bench.hold_together()
    starts = log.read_text().split()
    assert sorted(starts) == sorted({bench.job(unit).name for unit in units})
    assert {bench.job(unit).state for unit in units} == {State.DONE}
    assert {bench.job(unit).attempts for unit in units} == {1}
    assert len(bench.live()) == len(units) * 9


@pytest.mark.parametrize("point", POINTS)
def test_a_driver_killed_at_a_point_is_completed_by_the_next(sqlite_bench, tmp_path, point):
    kill_at_point(sqlite_bench, tmp_path / "starts", point)


def test_a_kill_between_links_and_commit_is_completed_on_either_database(bench, tmp_path):
    kill_at_point(bench, tmp_path / "starts", "register:after-links")


def kill_at_point(bench: Bench, log: Path, point: str) -> None:
    units = UNITS[:2]
    told = {"log": str(log)}
    assert start(bench, told, units, SNF_KILL_AT=point).wait(60) == -signal.SIGKILL
    assert start(bench, told, units).wait(60) == 0
    check(bench, log, units)


def test_drivers_killed_at_random_moments_lose_nothing_and_repeat_nothing(tmp_path):
    bench = make_bench(tmp_path, f"sqlite:///{tmp_path}/snfpipe.db", nights=40)
    log = tmp_path / "starts"
    told = {"log": str(log), "sleep_s": 0.3}
    chance = random.Random(3)
    units: list[str] = []
    killed = 0
    while killed < 5 and len(units) < 40:
        units.append(night_of(1800 + len(units)))  # something to do for each of them
        driver = start(bench, told, units, stdout=subprocess.PIPE)
        assert driver.stdout is not None
        assert driver.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0, 1))
        killed += kill(driver)
        driver.stdout.close()
    assert killed == 5
    assert start(bench, told, units).wait(60) == 0
    check(bench, log, units)
    bench.database.close()


def test_drivers_at_once_start_every_job_once(bench, tmp_path):
    log = tmp_path / "starts"
    told = {"log": str(log), "sleep_s": 0.2}
    drivers = [start(bench, told) for _n in range(3)]
    assert [driver.wait(60) for driver in drivers] == [0, 0, 0]
    check(bench, log)


def test_a_claim_of_a_living_driver_is_left_alone(sqlite_bench):
    sqlite_bench.claim([unit_plan(UNITS[0])])
    with sqlite_bench.database.write() as session:
        from sqlalchemy import text

        claimer = json.dumps({"claimed_by": {"host": "elsewhere", "process": "1:1"}})
        session.execute(text("UPDATE attempt SET environment = :it"), {"it": claimer})
    heir = sqlite_bench.submitter()
    heir.adopt()
    assert heir.waiting == 0  # another host: not before its grace is over


def test_a_job_killed_with_its_wrapper_is_lost_by_name(sqlite_bench):
    bench = sqlite_bench.told(sleep_s=60)
    [spec] = bench.claim([unit_plan(UNITS[0])]).claimed
    submitter = bench.submitter()
    submitter.add([spec])
    submitter.send()
    [engine_id] = bench.engine.snapshot()
    path = Path(spec.folder) / f"{spec.job}.ledger"
    while not any(record["kind"] == "program" for record in ledger.read(path)):
        time.sleep(0.02)
    os.killpg(int(engine_id.partition(":")[0]), signal.SIGKILL)
    [finished] = bench.finish(submitter)
    assert finished.state is State.LOST
    assert "program" in finished.reason
    bench.hold_together()


def test_an_attempt_given_up_before_it_started_never_starts(sqlite_bench, tmp_path):
    log = tmp_path / "starts"
    bench = sqlite_bench.told(log=str(log))
    [spec] = bench.claim([unit_plan(UNITS[0])]).claimed
    submitter = bench.submitter()
    submitter.add([spec])
    from snfpipe.worker.spec import AttemptFolder

    assert take(AttemptFolder.of(spec), "post-mortem")
    submitter.send()
    [finished] = bench.finish(submitter)
    assert finished.state is State.LOST
    assert not log.exists()


def test_a_late_end_of_the_current_attempt_corrects_a_loss(sqlite_bench):
    bench = sqlite_bench
    [spec] = bench.claim([unit_plan(UNITS[0])]).claimed
    submitter = bench.submitter()
    submitter.add([spec])
    submitter.send()
    while bench.engine.snapshot():
        time.sleep(0.02)
    with bench.database.write() as session:
        from sqlalchemy import text

        session.execute(text("UPDATE job SET state = 'lost'"))
    [finished] = bench.harvester().recover()
    assert finished.state is State.DONE
    bench.hold_together()


def test_a_late_end_of_an_older_attempt_registers_nothing(sqlite_bench, tmp_path):
    bench = sqlite_bench
    [old] = bench.claim([unit_plan(UNITS[0])]).claimed
    submitter = bench.submitter()
    submitter.add([old])
    submitter.send()
    while bench.engine.snapshot():
        time.sleep(0.02)
    with bench.database.write() as session:
        from sqlalchemy import text

        session.execute(text("UPDATE job SET state = 'created'"))
    bench.told(salt="new").run([unit_plan(UNITS[0])])
    made = bench.live()
    assert bench.harvester().recover() == []
    assert bench.live() == made
    bench.hold_together()


def test_two_harvesters_settle_a_job_once(sqlite_bench):
    bench = sqlite_bench
    submitter = bench.submitter()
    submitter.add(bench.claim([unit_plan(unit) for unit in UNITS]).claimed)
    submitter.send()
    while bench.engine.snapshot():
        time.sleep(0.02)
    one, other = bench.harvester(), bench.harvester()
    assert len([*one.look(), *other.look()]) == len(UNITS)
    bench.hold_together()
