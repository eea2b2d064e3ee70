"""Osiris on a real Grid Engine: as a batch job, and after days of being down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from snfpipe.engines import processes
from snfpipe.jobs.osiris import Event, Osiris
from snfpipe.services.grid_engine import GridEngineCell
from tests.batch.farm import to_farm
from tests.e2e.conftest import make_project
from tests.farm.launch import make_trial
from tests.osiris.conftest import until

pytestmark = [pytest.mark.services, pytest.mark.slow]

NIGHTS = ["06_334", "06_336"]


def names(cell: GridEngineCell) -> list[str]:
    """Return the names of all jobs in the queue."""
    done = subprocess.run(
        ["qstat", "-xml"],
        env=os.environ | cell.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(part.split("<")[0] for part in done.stdout.split("<JB_name>")[1:])


def said(log: Path, kind: str) -> list[dict[str, str]]:
    lines = log.read_text().splitlines() if log.exists() else []
    events = [json.loads(line) for line in lines if line.startswith("{")]
    return [event for event in events if event["kind"] == kind]


def test_osiris_and_anubis_are_batch_jobs_under_their_names(grid_engine, tmp_path):
    project = make_project(tmp_path / "project", NIGHTS)
    to_farm(project, grid_engine, poll_s=0.5)
    words = ("--submit", "--heartbeat", "5", "--for", "40", "--json")
    shown = json.loads(project.run("osiris", *words).stdout)
    assert [job["name"] for job in shown] == ["Osiris", "Anubis"]
    folder = project.root / "work" / "jobs" / ".osiris"

    def heard(*kinds: str) -> list[dict[str, str]]:
        logs = [folder / f"{name}.log" for name in ("Osiris", "Anubis")]
        return [event for log in logs for kind in kinds for event in said(log, kind)]

    until(lambda: heard("began", "took over"))  # whichever job the scheduler starts first
    until(lambda: names(grid_engine) == ["Anubis", "Osiris"])
    project.doit("file_quality")
    assert {event["unit"] for event in heard("settled")} == set(NIGHTS)

    until(lambda: heard("stopped"))  # its time was up
    until(lambda: len(heard("began", "took over")) >= 2)
    until(lambda: names(grid_engine) == ["Anubis", "Osiris"])
    assert len(heard("waits")) >= 2  # the first left it to one with more time

    def gone() -> bool:
        words = ["qdel", "Osiris", "Anubis"]
        subprocess.run(words, env=os.environ | grid_engine.environment, check=False)
        return names(grid_engine) == []

    until(gone)


def test_osiris_goes_on_after_days_over_a_rotated_accounting_file(
    grid_engine, postgresql, tmp_path
):
    """Two jobs end well, one is killed with its wrapper, so that only the accounting tells."""
    url = postgresql.new_database()
    farm, plans = make_trial(tmp_path, url, grid_engine.environment, "days", 3, sleep_s=2)
    submitter = farm.submitter()
    submitter.add(farm.claim(plans).claimed)
    submitter.send()
    victim = min(farm.project.site.jobs.rglob("*.attempts/*"))
    until((victim / "taken").exists)
    wrapper = (victim / "pid").read_text()
    for process in [wrapper, *processes.descendants(wrapper)]:
        processes.send(process, signal.SIGKILL)
    until(lambda: not farm.engine.snapshot())
    accounting = grid_engine.common / "accounting"
    until(lambda: accounting.read_text().count("SNF-0203-TESTc") >= 3)
    time.sleep(0.5)
    accounting.rename(accounting.with_name("accounting.1"))
    accounting.touch()
    with farm.database.write() as session:
        for column in ("claimed_at", "submitted_at"):
            days = f"UPDATE attempt SET {column} = {column} - INTERVAL '5 days'"
            session.execute(sa.text(days))

    events: list[Event] = []
    osiris = Osiris(farm.project, farm.database, farm.engine, events.append)
    osiris.once()
    states = sorted(event.state for event in events if event.kind == "settled")
    assert states == ["done", "done", "killed"]
    farm.database.close()
