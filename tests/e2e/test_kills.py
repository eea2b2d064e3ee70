"""Drivers killed at any point: nothing is lost, nothing happens twice.

The witness of what ran is a log that each program appends to, not our own database.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter

import pytest

from tests.daemon.conftest import until
from tests.e2e import survey
from tests.e2e.conftest import make_project
from tests.e2e.project import Project, kill

SOAK = os.environ.get("SNF_SOAK") == "1"
POINTS = {
    "planning": ("plan:before-claim-commit", "plan:after-claim-commit"),
    "running": ("submit:before", "submit:after-call"),
    "registering": ("register:before-links", "register:after-links", "register:after-commit"),
    "manifest": ("manifest:before-rename",),
}


def settle_and_check(project: Project, nights: list[str]) -> None:
    """Run once more; hold what must be true whatever was killed before."""
    project.doit()
    project.wait_for_jobs()
    log = (project.root / "starts.log").read_text().split("\n")[:-1]
    starts = Counter(line.split(" ", 1)[0] for line in log)
    finished = project.query(
        "SELECT job_id, count(*) FROM attempt WHERE outcome = 'done' GROUP BY job_id"
    )
    assert [count for _job, count in finished] == [1] * (3 * len(nights))
    assert starts == {step: len(nights) for step in starts}, starts
    assert len(set(log)) == len(log)  # no attempt's folder was used twice
    assert project.query(
        "SELECT name, count(*) FROM file WHERE area = 'archive' GROUP BY name HAVING count(*) > 1"
    ) == []  # fmt: skip
    for folder, name, manifest in project.query("SELECT folder, name, manifest FROM job"):
        found = list(project.root.glob(f"work/jobs/*/{folder}/{name}.manifest"))
        assert len(found) == 1
        assert found[0].read_text() == manifest
    incoming = project.root / "work" / "archive" / ".incoming"
    assert not incoming.exists() or not any(incoming.iterdir())
    project.run("snf", "audit", "--verify")


def test_a_driver_killed_again_and_again_loses_nothing_and_repeats_nothing(tmp_path):
    """Half of the kills at random moments, half at named points of every stage."""
    count = 30 if SOAK else 16
    nights = [f"06_{day}" for day in range(300, 300 + count)]
    project = make_project(tmp_path / "project", nights)
    project.write_behaviour(log=str(project.root / "starts.log"), sleep_s=0.05)
    chance = random.Random(7)
    hit: Counter[str] = Counter()
    named = [(stage, point) for stage, points in POINTS.items() for point in points]
    for turn in range(count):
        if turn % 2:
            stage, point = named[turn // 2 % len(named)]
            driver = project.start("doit", SNF_KILL_AT=point)
            code = driver.wait(timeout=120)
            assert code in (-9, 0), code
            hit[stage] += code == -9
        else:
            driver = project.start("doit")
            time.sleep(chance.uniform(0.3, 3.0))
            hit["random"] += driver.poll() is None
            kill(driver)
    print(f"kills by stage: {dict(hit)}")
    assert set(hit) == {*POINTS, "random"}
    assert min(hit.values()) > 0
    settle_and_check(project, nights)


@pytest.mark.parametrize("point", [point for points in POINTS.values() for point in points])
def test_a_driver_killed_at_a_named_point_is_completed_by_the_next(tmp_path, point):
    nights = ["06_334", "06_336"]
    project = make_project(tmp_path / "project", nights)
    project.write_behaviour(log=str(project.root / "starts.log"))
    driver = project.start("doit", SNF_KILL_AT=point)
    assert driver.wait(timeout=60) == -9
    settle_and_check(project, nights)


def test_a_running_local_job_is_adopted_and_starts_once(tmp_path):
    length_s, killed_after_s = (20, 5) if SOAK else (6, 1)
    project = make_project(tmp_path / "project", ["06_334"])
    project.write_behaviour(
        log=str(project.root / "starts.log"), sleep_s=length_s, only="file_quality"
    )
    driver = project.start("doit", "file_quality")
    until((project.root / "starts.log").exists)
    time.sleep(killed_after_s)
    assert len(project.running_wrappers()) == 1
    kill(driver)
    assert len(project.running_wrappers()) == 1, "the job outlives its driver"
    started = time.monotonic()
    project.doit("file_quality")
    assert time.monotonic() - started > 1, "it was waited for"
    assert (project.root / "starts.log").read_text().count("file_quality") == 1
    assert project.attempts() == 1


def test_two_drivers_at_once_start_every_job_once(tmp_path):
    nights = [f"06_{day}" for day in range(334, 340)]
    project = make_project(tmp_path / "project", nights)
    project.write_behaviour(log=str(project.root / "starts.log"), sleep_s=0.2)
    drivers = [project.start("doit"), project.start("doit")]
    assert [driver.wait(timeout=300) for driver in drivers] == [0, 0]
    settle_and_check(project, nights)
    assert project.attempts() == 3 * len(nights)


def test_a_job_whose_wrapper_is_killed_is_lost_by_name_and_retried_on_request(tmp_path):
    project = make_project(tmp_path / "project", ["06_334"])
    project.write_behaviour(sleep_s=30, only="file_quality")

    def murder() -> None:
        deadline = time.monotonic() + 30
        while not project.running_wrappers() and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1.5)
        for pid in project.running_wrappers():
            os.killpg(os.getsid(pid), 9)

    thread = threading.Thread(target=murder)
    thread.start()
    told = project.doit("file_quality", exit_code=1)
    thread.join()
    assert "lost" in told or "killed" in told
    assert project.products() == {}
    project.write_behaviour()
    project.run("snf", "retry", "file_quality:06_334")
    project.doit()


def test_an_interrupt_says_what_still_runs_and_cancel_ends_it(tmp_path):
    project = make_project(tmp_path / "project", ["06_334"])
    project.write_behaviour(sleep_s=60, only="file_quality")
    driver = project.start("doit")
    deadline = time.monotonic() + 30
    while not project.running_wrappers() and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(driver.pid, 2)
    driver.wait(timeout=20)
    told = (project.root / "started.log").read_text()
    assert "Traceback" not in told
    assert "file_quality:06_334" in told
    assert "snf cancel" in told
    assert project.running_wrappers()
    project.run("snf", "cancel", "file_quality:06_334")
    project.wait_for_jobs(timeout=20)
    status = {step["key"]: step["states"] for step in project.status()["steps"]}
    assert status["file_quality"].get("cancelled") == 1


def test_a_late_registration_of_an_older_attempt_changes_nothing(tmp_path):
    """The survey helper is used on purpose: a second set of frames makes a second attempt."""
    project = make_project(tmp_path / "project", ["06_334"])
    project.doit()
    first = project.products()
    folder = project.root / "work" / "raw" / "06" / "334"
    survey.write_frame(folder, "06_334", 1, 3, 17, "B", "GD71", salt="new")
    project.doit()
    second = project.products()
    changed = {path for path in second if path not in first}
    assert changed
    assert all(path.endswith("_001.fits") or "_001." in path for path in changed)
    superseded = project.query("SELECT count(*) FROM process WHERE state = 'superseded'")
    assert superseded[0][0] > 0
    for path in first:
        assert (project.root / "work" / "archive" / path).exists(), "superseded files are kept"
