"""Osiris on a real Grid Engine: as a batch job, and after days of being down."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from snfpipe.daemon.osiris import Event, Osiris
from snfpipe.services.grid_engine import GridEngineCell
from snfpipe.services.slurm import SlurmCluster
from snfpipe.worker import processes
from tests.daemon.conftest import until
from tests.e2e.conftest import make_project
from tests.farm.launch import make_trial
from tests.launch.farm import to_farm

pytestmark = [pytest.mark.services, pytest.mark.slow]

NIGHTS = ["06_334", "06_336"]


#: Engine -> what lists the names of all jobs in the queue, and what deletes jobs by their names.
ASKED = {
    "grid_engine": (["qstat", "-xml"], re.compile("<JB_name>(.*?)<"), ["qdel"]),
    "slurm": (["squeue", "--noheader", "--format=%j"], re.compile("(.+)"), ["scancel", "--name"]),
}
SERVICES = ["grid_engine", pytest.param("slurm", marks=pytest.mark.soak)]


def ask(service: GridEngineCell | SlurmCluster, *words: str, check: bool = True) -> str:
    """Run a scheduler's command and return what it printed."""
    done = subprocess.run(
        words, env=os.environ | service.environment, capture_output=True, text=True, check=check
    )
    return done.stdout


def names(service: GridEngineCell | SlurmCluster) -> list[str]:
    """Return the names of all jobs in the queue."""
    words, name, _delete = ASKED[service.name]
    return sorted(name.findall(ask(service, *words)))


def said(log: Path, kind: str) -> list[dict[str, str]]:
    lines = log.read_text().splitlines() if log.exists() else []
    events = [json.loads(line) for line in lines if line.startswith("{")]
    return [event for event in events if event["kind"] == kind]


@pytest.mark.parametrize("engine", SERVICES)
def test_osiris_and_anubis_are_batch_jobs_under_their_names(engine, request, tmp_path):
    service = request.getfixturevalue(engine)
    project = make_project(tmp_path / "project", NIGHTS)
    to_farm(project, service, poll_s=0.5)
    words = ("--submit", "--heartbeat", "5", "--for", "40", "--json")
    shown = [json.loads(line) for line in project.run("osiris", *words).stdout.splitlines()]
    assert [(it["kind"], it["job"]) for it in shown] == [
        ("submitted", "Osiris"), ("submitted", "Anubis"),
    ]  # fmt: skip
    folder = project.root / "work" / "jobs" / ".osiris"

    def heard(*kinds: str) -> list[dict[str, str]]:
        logs = [folder / f"{name}.log" for name in ("Osiris", "Anubis")]
        return [event for log in logs for kind in kinds for event in said(log, kind)]

    until(lambda: heard("began", "took over"))  # whichever job the scheduler starts first
    until(lambda: names(service) == ["Anubis", "Osiris"])
    project.doit("file_quality")
    assert {event["unit"] for event in heard("finished")} == set(NIGHTS)

    until(lambda: heard("stopped"))  # its time was up
    until(lambda: len(heard("began", "took over")) >= 2)
    until(lambda: names(service) == ["Anubis", "Osiris"])
    assert len(heard("waits")) >= 2  # the first left it to one with more time

    def gone() -> bool:
        for name in ("Osiris", "Anubis"):
            ask(service, *ASKED[engine][2], name, check=False)  # it may be gone
        return names(service) == []

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
    states = sorted(event.state for event in events if event.kind == "finished")
    assert states == ["done", "done", "killed"]
    farm.database.close()
