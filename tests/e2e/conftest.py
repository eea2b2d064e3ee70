"""Projects for the end-to-end tests; the finished one is made once and copied."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e import survey
from tests.e2e.project import Project

NIGHTS = ["06_334", "06_336", "06_339"]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Three small nights, taken in, nothing produced yet."""
    return make_project(tmp_path / "project", NIGHTS)


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Three small nights, produced and clean."""
    project = make_project(tmp_path_factory.mktemp("finished") / "project", NIGHTS)
    project.doit()
    return project


@pytest.fixture
def finished(finished_once: Project, tmp_path: Path) -> Project:
    """A copy of the finished project, in a folder of its own."""
    shutil.copytree(finished_once.root, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project")


def make_project(root: Path, nights: list[str], url: str = "") -> Project:
    """Write small nights and take them in."""
    project = Project.make(root, nights, url)
    raw = root / "work" / "raw"
    survey.write_targets(raw)
    for night in nights:
        survey.write_night(raw, night)
    project.arrive()
    return project
