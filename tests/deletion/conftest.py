"""Productions to delete from: synthetic ones, on both databases."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from snfpipe.cli.main import run_command
from tests.deletion.synthetic import Synthetic, make
from tests.e2e import project as e2e

NIGHTS = ["11_281", "11_289", "11_290"]
EXPOSURES = 2


@pytest.fixture
def made(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Synthetic]:
    """Three nights done, on both databases."""
    yield from _made(tmp_path, database_url, monkeypatch)


@pytest.fixture
def made_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Synthetic]:
    """Three nights done, where the database makes no difference."""
    yield from _made(tmp_path, f"sqlite:///{tmp_path}/snfpipe.db", monkeypatch)


def _made(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Synthetic]:
    e2e.Project.make(tmp_path / "project", NIGHTS)
    monkeypatch.setenv("SNF_DATABASE_URL", url)
    monkeypatch.setenv("SNF_PROJECT", str(tmp_path / "project"))
    monkeypatch.setenv("COLUMNS", "200")
    made = make(tmp_path / "project", url)
    made.observe(NIGHTS, EXPOSURES)
    made.finish(NIGHTS, EXPOSURES)
    yield made
    made.database.close()


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Call ``manage_jobs`` in this process; nobody is at the terminal."""

    def run(*words: str) -> int:
        from snfpipe.cli.manage.jobs import manage_jobs

        monkeypatch.setattr(sys, "argv", ["manage_jobs", *words])
        return run_command(manage_jobs, "manage_jobs")

    return run


@pytest.fixture(scope="session")
def produced(tmp_path_factory: pytest.TempPathFactory) -> e2e.Project:
    """Two nights, produced by real jobs; not to be changed."""
    from tests.e2e.conftest import make_project

    project = make_project(tmp_path_factory.mktemp("manage") / "project", ["06_334", "06_336"])
    project.doit()
    return project


@pytest.fixture
def driven(produced: e2e.Project, tmp_path: Path) -> Iterator[e2e.Project]:
    """A copy of the produced nights; its programs do as the original's are told."""
    shutil.copytree(produced.root, tmp_path / "project", symlinks=True)
    yield e2e.Project(tmp_path / "project")
    produced.write_behaviour()
