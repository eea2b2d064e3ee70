"""Osiris and Anubis as batch jobs whose scheduler fails: somebody serves, somebody waits."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from snfpipe.services.grid_engine import GridEngineCell
from tests.batch.farm import to_farm
from tests.e2e.conftest import make_project
from tests.e2e.project import Project
from tests.farm.test_osiris import ask, names
from tests.osiris.conftest import until

pytestmark = [pytest.mark.services, pytest.mark.slow]

#: A job's number, as if this process ran in one; no job of the cell has it.
IN_A_JOB = {"JOB_ID": "99"}


@dataclass
class Farm:
    """A project on Grid Engine, whose commands can be made to fail."""

    project: Project
    cell: GridEngineCell

    def instead_of(self, program: str, script: str) -> None:
        """Put a script before a scheduler's program."""
        path = self.project.root / "counted" / program
        path.with_name(f"{program}.new").write_text(f"#!/bin/sh\n{script}\n")
        path.with_name(f"{program}.new").chmod(0o755)
        path.with_name(f"{program}.new").replace(path)

    def start(self, *words: str) -> tuple[subprocess.Popen[str], Path]:
        """Start a daemon; return it with its log."""
        log = f"{words[0]}.log"
        process = self.project.start(*words, "--json", log=log, **IN_A_JOB)
        return process, self.project.root / log

    def jobs(self) -> list[str]:
        """Return the names of the daemons' jobs in the queue."""
        return [name for name in names(self.cell) if name in ("Osiris", "Anubis")]


@pytest.fixture
def farm(grid_engine, tmp_path) -> Iterator[Farm]:
    project = make_project(tmp_path / "project", ["06_334"])
    to_farm(project, grid_engine, poll_s=0.5)
    site = project.root / "configs" / "sites" / "farm.toml"
    site.write_text(site.read_text().replace(
        "[settings.environment]", "[settings]\ntimeout_s = 2\n\n[settings.environment]"
    ))  # fmt: skip
    made = Farm(project, grid_engine)
    yield made

    def gone() -> bool:
        ask(grid_engine, "qdel", "Osiris", "Anubis", check=False)  # they may be gone
        return made.jobs() == []

    until(gone)


def said(log: Path, kind: str) -> list[dict[str, str]]:
    """Return the events of a kind; what is no event is an error's words."""
    assert "Traceback" not in log.read_text(), log.read_text()
    lines = [line for line in log.read_text().split("\n")[:-1] if line.startswith("{")]
    return [event for line in lines if (event := json.loads(line))["kind"] == kind]


def test_anubis_serves_under_its_own_name_where_it_cannot_be_renamed_in_time(farm):
    farm.instead_of("qalter", "exec sleep 30")
    anubis, log = farm.start("anubis", "--in-batch", "60", "--heartbeat", "8")
    until(lambda: said(log, "took over"))
    until(lambda: said(log, "queued Anubis"))
    assert "qalter gave no answer" in said(log, "keeps its name")[0]["text"]
    assert anubis.poll() is None
    refused = farm.project.run("osiris", "--once", exit_code=3)
    assert "serves already" in refused.stderr
    anubis.send_signal(signal.SIGTERM)
    assert anubis.wait(30) == 0


def test_a_daemon_that_cannot_write_its_events_keeps_no_lease(farm):
    """It dies between taking the lease and its first turn."""
    done = farm.project.run("/bin/sh", "-c", "osiris --heartbeat 1000 > /dev/full", exit_code=None)
    assert done.returncode == 3, done.stderr
    farm.project.run("osiris", "--once")
