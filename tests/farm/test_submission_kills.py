"""Submissions killed at any point, against real Grid Engine and PostgreSQL: every unit runs once.

The witness is a file to which each job adds its name, and the scheduler's raw accounting.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa

from snfpipe.errors import ServiceUnavailable
from snfpipe.plans.unit_plan import UnitPlan
from snfpipe.services.grid_engine import GridEngineCell
from snfpipe.states import ACTIVE, State
from tests.bench import Bench
from tests.farm.launch import make_trial, submit
from tests.services import PostgreSQL

SOAK = os.environ.get("SNF_SOAK") == "1"
TRIALS, UNITS = (100, 200) if SOAK else (5, 6)
SOURCE = Path(__file__).parents[2]
POINTS = {
    "before the claim's commit": "plan:before-claim-commit",
    "after the claim's commit": "plan:after-claim-commit",
    "before qsub": "submit:before",
    "after qsub answered": "submit:after-call",
}
IN_HAND_NOW = sa.text(
    "SELECT count(*) FROM job WHERE state IN ({})".format(
        ", ".join(f"'{state}'" for state in sorted(ACTIVE))
    )
)

pytestmark = [pytest.mark.services, pytest.mark.slow]


@pytest.fixture
def url(postgresql: PostgreSQL) -> str:
    return postgresql.new_database()


def start(
    root: Path, url: str, cell: GridEngineCell, trial: str, point: str = ""
) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "tests.farm.launch", str(root), url,
             json.dumps(cell.environment), trial, str(UNITS)]  # fmt: skip
    environment = {"SNF_KILL_AT": point} if point else {}
    return subprocess.Popen(
        words, cwd=SOURCE, env=os.environ | environment, stdout=subprocess.PIPE, text=True
    )


def finish(farm: Bench, plans: list[UnitPlan], timeout_s: float = 300) -> None:
    """Do what the next driver does, until nothing is active."""
    submitter, harvester = farm.submitter(), farm.harvester()
    submitter.adopt()
    submitter.add(farm.claim(plans).claimed)
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            submitter.send()
            harvester.look()
            with farm.database.read() as session:
                if session.scalar(IN_HAND_NOW) == 0:
                    return
        except ServiceUnavailable:
            time.sleep(0.5)
        assert time.monotonic() < deadline, "jobs do not end"
        time.sleep(0.3)


def accounted(cell: GridEngineCell, since: int) -> list[list[str]]:
    """Return the fields of the raw accounting's records of jobs submitted since then (epoch)."""
    path = cell.common / "accounting"
    lines = path.read_text().splitlines() if path.exists() else []
    records = [line.split(":") for line in lines if line and not line.startswith("#")]
    return [record for record in records
            if int(record[8]) >= since and record[4] not in ("Osiris", "Anubis")]  # fmt: skip


def check(farm: Bench, cell: GridEngineCell, trial: str, since: int) -> int:
    """Hold that every unit ran exactly once; return how many second starts stood back."""
    names = sorted(name for (name,) in farm.rows("SELECT name FROM job"))
    assert len(names) == UNITS
    assert sorted((farm.project.root / trial).read_text().split()) == names
    deadline = time.monotonic() + 30  # accounting lags
    while len(records := accounted(cell, since)) < UNITS and time.monotonic() < deadline:
        time.sleep(0.2)
    ends = Counter(record[12] for record in records)
    assert {record[11] for record in records} == {"0"}
    assert ends["0"] == UNITS, ends
    assert set(ends) <= {"0", "75"}, ends
    assert farm.rows("SELECT DISTINCT state FROM job") == [(str(State.DONE),)]
    return ends["75"]


def kill_in_between(driver: subprocess.Popen[str], within_s: float, chance: random.Random) -> str:
    """Kill a submitter at a random moment between claim and last acknowledgement."""
    assert driver.stdout is not None
    output, said = driver.stdout, list[str]()
    reader = threading.Thread(target=lambda: said.extend(output))
    while output.readline().strip() != "ready":
        assert driver.poll() is None
    reader.start()
    time.sleep(chance.uniform(0, within_s))
    driver.kill()
    driver.wait()
    reader.join()
    return said[-1].strip() if said else "ready"


def test_submissions_killed_at_any_point_run_every_unit_exactly_once(grid_engine, url, tmp_path):
    chance = random.Random(11)
    stages: Counter[str] = Counter()
    random_ones: Counter[str] = Counter()
    stood_back = 0
    farm, plans = make_trial(tmp_path, url, grid_engine.environment, "first", UNITS)
    submitter = farm.submitter()
    began = time.monotonic()
    submitter.add(farm.claim(plans).claimed)
    submit(submitter)
    within_s = time.monotonic() - began  # what there is to be killed in
    finish(farm, plans)
    farm.database.close()
    for number in range(TRIALS):
        trial = f"trial-{number}"
        since = int(time.time())
        farm, plans = make_trial(tmp_path, url, grid_engine.environment, trial, UNITS)
        if number % 2 if SOAK else number == len(POINTS):
            reached = kill_in_between(start(tmp_path, url, grid_engine, trial), within_s, chance)
            stages["at random"] += 1
            random_ones[reached] += 1
        else:
            taken = sum(count for stage, count in stages.items() if stage in POINTS)
            stage, point = list(POINTS.items())[taken % len(POINTS)]
            driver = start(tmp_path, url, grid_engine, trial, point)
            assert driver.wait(120) == -9, stage
            stages[stage] += 1
        finish(farm, plans)
        stood_back += check(farm, grid_engine, trial, since)
        farm.database.close()
    print(f"{TRIALS} submissions of {UNITS} units killed: {dict(stages)}; those at random after "
          f"they said: {dict(random_ones)}; {stood_back} second starts stood back")  # fmt: skip
    assert set(stages) == {*POINTS, "at random"}


def test_a_qmaster_stopped_and_started_loses_nothing_and_repeats_nothing(
    grid_engine, url, tmp_path
):
    farm, plans = make_trial(tmp_path, url, grid_engine.environment, "qmaster", UNITS, sleep_s=3)
    since = int(time.time())
    submitter = farm.submitter()
    half = len(plans) // 2
    submitter.add(farm.claim(plans[:half]).claimed)
    submitter.send()
    grid_engine.daemons.stop("qmaster")
    submitter.add(farm.claim(plans[half:]).claimed)
    with pytest.raises(ServiceUnavailable):
        submitter.send()
    with pytest.raises(ServiceUnavailable):
        farm.harvester().look()
    grid_engine.start_master()
    submit(submitter)
    # tasks that were on their way to a host (state t) are sent again after some five minutes
    finish(farm, plans, timeout_s=900)
    check(farm, grid_engine, "qmaster", since)
    farm.database.close()


def test_a_database_stopped_and_started_loses_nothing_and_repeats_nothing(
    grid_engine, postgresql, url, tmp_path
):
    farm, plans = make_trial(tmp_path, url, grid_engine.environment, "database", UNITS, sleep_s=3)
    since = int(time.time())
    submitter, harvester = farm.submitter(), farm.harvester()
    submitter.add(farm.claim(plans).claimed)
    timer = threading.Timer(1.0, postgresql.start)
    postgresql.stop()
    timer.start()
    submit(submitter)  # the engine takes them, the ids wait for the database
    timer.join()
    harvester.look()
    with postgresql.away():
        with pytest.raises(ServiceUnavailable):
            harvester.look()
        time.sleep(4)  # the jobs end meanwhile
    finish(farm, plans)
    check(farm, grid_engine, "database", since)
    farm.database.close()
