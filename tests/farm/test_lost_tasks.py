"""Tasks that a real Grid Engine loses: shown as lost, with the reason; one command resubmits them.

A cell with fewer group ids than slots fails to start tasks, tries them again and drops some of
them. One more is deleted behind our back while it waits, of which no accounting record tells.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snfpipe.services.grid_engine import GridEngineCell
from tests.bench import night_of
from tests.e2e.project import Project
from tests.launch.conftest import LIST, make_project
from tests.launch.farm import to_farm

pytestmark = [pytest.mark.services, pytest.mark.slow]

JOBS = "SNF-0203-SAMPLEz-*"


@pytest.mark.parametrize("count", [28, pytest.param(300, marks=pytest.mark.soak)])
def test_what_the_scheduler_loses_is_lost_with_the_reason_and_one_command_resubmits_it(
    tmp_path, postgresql, count
):
    """Whether the scheduler loses any is a matter of luck: with many, it has some turns to."""
    turns = 1 if count < 100 else 6
    lost = 0
    for turn in range(turns):
        lost = lose_and_resubmit(tmp_path / f"turn-{turn}", postgresql.new_database(), count)
        if lost:
            break
    assert lost or turns == 1, "the scheduler lost none by itself"


def lose_and_resubmit(folder: Path, url: str, count: int) -> int:
    """Hold what the test's name says of a production; return how many the scheduler lost."""
    groups = max(3, count // 13)
    nights = [night_of(number) for number in range(1800, 1800 + count)]
    project = make_project(folder / "project", url, nights)
    project.write_behaviour(sleep_s=2)
    with narrow_cell(folder / "cell", groups) as cell:
        to_farm(project, cell, poll_s=0.5, slots=8 * groups)
        project.run("batch_jobs", "-s", "-p", "SAMPLE", "-m", "z", LIST)
        stray = delete_a_held_one(project, cell)
        project.run("doit", "file_quality", exit_code=1, timeout=3000)  # adopts them

        starts = re.findall(r":(?:1|21):0:0:", (cell.common / "accounting").read_text())
        assert starts, "the fault was not provoked"
        lost = {job["unit"]: job["reason"] for job in jobs(project) if job["state"] != "done"}
        print(f"{count} tasks, {groups} groups: {len(starts)} failed starts, {len(lost)} lost")
        assert stray <= lost.keys()
        assert {job["state"] for job in jobs(project)} == {"done", "lost"}
        assert all("the engine lost it" in it or "left no trace" in it for it in lost.values())
        told = project.run("jobErrors", "file_quality", exit_code=1).stdout
        assert all(unit in told and reason in told for unit, reason in lost.items())

        left = set(lost)
        for _round in range(5):  # what starts in vain is lost again now and then
            done = project.run("manage_jobs", "-j", JOBS, "-r", exit_code=None, timeout=3000)
            assert set(re.findall(r"(?m)^file_quality:(\S+) +lost", done.stdout)) == left
            tried = project.query("SELECT unit FROM job WHERE attempts > 1")
            assert {unit for (unit,) in tried} == set(lost), "just those"
            left = {job["unit"] for job in jobs(project) if job["state"] == "lost"}
            assert done.returncode == (1 if left else 0)
            if not left:
                break
        assert {job["state"] for job in jobs(project)} == {"done"}
        attempts = project.attempts()
        print(f"{attempts} attempts, {count} done")
        assert f"{count} up to date" in project.doit("file_quality")
        assert project.attempts() == attempts
        project.run("srb_cleanup")  # rows and files agree
    return len(lost) - len(stray)


@contextmanager
def narrow_cell(folder: Path, groups: int) -> Iterator[GridEngineCell]:
    """Start a cell with so few group ids; an operator clears its queue meanwhile."""
    cell = GridEngineCell(folder, groups=f"40000-{40000 + groups}")
    cell.up()
    over = threading.Event()
    operator = threading.Thread(target=clear_the_queue, args=(cell, over))
    operator.start()
    try:
        yield cell
    finally:
        over.set()
        operator.join()
        cell.down()


def clear_the_queue(cell: GridEngineCell, over: threading.Event) -> None:
    """Do what operators do: so many failed starts put a whole queue in error, now and then."""
    while not over.wait(5):
        ask(cell, "qmod", "-cq", "*")


def ask(cell: GridEngineCell, *words: str) -> None:
    environment = os.environ | cell.environment
    subprocess.run(words, env=environment, capture_output=True, check=False)


def delete_a_held_one(project: Project, cell: GridEngineCell) -> set[str]:
    """Delete a task that the cap holds, by the scheduler's own command; return its unit."""
    [(unit, engine_id)] = project.query(
        "SELECT unit, engine_id FROM job JOIN attempt ON job_id = job.id ORDER BY name DESC LIMIT 1"
    )
    ask(cell, "qdel", engine_id.partition("@")[0])
    return {unit}


def jobs(project: Project) -> list[dict[str, str]]:
    """Return what ``manage_jobs`` lists."""
    told = project.run("manage_jobs", "-j", JOBS, "--json").stdout
    listed: list[dict[str, str]] = json.loads(told)
    return listed
