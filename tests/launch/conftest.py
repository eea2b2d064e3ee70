"""A small survey, taken in once and copied; and what finishes jobs that no doit looks after."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import click
import jsonschema
import pytest

from snfpipe.cli.batch_jobs import batch_jobs
from snfpipe.cli.main import run_command
from snfpipe.config.project import Project as Configured
from snfpipe.config.project import load_project
from snfpipe.db.session import open_database
from snfpipe.engines import make_engine
from snfpipe.jobs.active import active_jobs, of_project
from snfpipe.jobs.harvest import Harvester
from snfpipe.launch.order import Order, understand
from tests.e2e import survey
from tests.e2e.project import SOURCE, Project

NIGHTS = ["06_334", "06_336"]
STARS = (survey.STARS[1],)
LIST = "lists/sample_nights.list"


def make_project(root: Path, url: str = "", nights: Sequence[str] = NIGHTS) -> Project:
    """Write nights of one star and take them in."""
    project = Project.make(root, nights, url)
    survey.write_targets(root / "work" / "raw")
    for night in nights:
        survey.write_night(root / "work" / "raw", night, STARS)
    project.arrive()
    return project


@pytest.fixture(scope="session")
def arrived_once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two small nights, taken in."""
    return make_project(tmp_path_factory.mktemp("arrived") / "project")


@pytest.fixture
def project(arrived_once: Project, tmp_path: Path) -> Project:
    """A copy of them in a folder of its own, on SQLite."""
    root = tmp_path / "project"
    shutil.copytree(arrived_once.root, root, symlinks=True)
    for version in (root / "versions").glob("*.toml"):
        text = version.read_text()
        version.write_text(text.replace(str(arrived_once.root), str(root)))
    return Project(root)


@pytest.fixture(scope="session")
def produced_once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two small nights, produced."""
    project = make_project(tmp_path_factory.mktemp("produced") / "project")
    project.doit()
    return project


@pytest.fixture
def produced(produced_once: Project, tmp_path: Path) -> Project:
    """A copy of them, on SQLite."""
    root = tmp_path / "project"
    shutil.copytree(produced_once.root, root, symlinks=True)
    return Project(root)


@dataclass(frozen=True, slots=True)
class Said:
    """What a command that ran in this process said, and its exit code."""

    code: int
    out: str
    err: str


def call(project: Project, *words: str, command: click.Command = batch_jobs) -> Said:
    """Run a command in this process, which is quicker by far; in the project's folder."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(project.root),
        mock.patch.object(sys, "argv", [command.name or "", *words]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = run_command(command, command.name or "")
    return Said(code, out.getvalue(), err.getvalue())


def holds_schema(name: str, text: str) -> dict[str, Any]:
    """Return what a command printed as JSON; it is what docs/schemas promises."""
    told: dict[str, Any] = json.loads(text)
    schema = json.loads((SOURCE / "docs" / "schemas" / f"{name}.json").read_text())
    jsonschema.validate(told, schema)
    return told


def ordered(project: Project, *words: str, mode: str, prefix: str, **more: Any) -> Configured:
    """Return the project of one step that an order comes to."""
    order = Order(mode, prefix, tuple(NIGHTS), words, **more)
    return understand(load_project(project.root), order).project


def finish(configured: Configured, timeout_s: float = 60) -> dict[str, str]:
    """Look after the jobs of a production until none is active; return unit -> state."""
    database = open_database(configured.site.database_url, configured.root)
    harvester = Harvester(configured, database, make_engine(configured.site))
    deadline = time.monotonic() + timeout_s
    finished: dict[str, str] = {}
    try:
        while True:
            finished |= {it.unit: str(it.state) for it in harvester.look()}
            with database.read() as session:
                if not active_jobs(session, configured.site, of_project(configured)):
                    return finished
            assert time.monotonic() < deadline, "jobs do not end"
            time.sleep(0.05)
    finally:
        database.close()
