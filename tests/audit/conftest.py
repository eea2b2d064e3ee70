"""A small production, finished once by real jobs; each test spoils a copy of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from snfpipe.audit.findings import Report
from snfpipe.audit.products import audit_products
from snfpipe.config import Project, load_project
from snfpipe.db.session import Database, open_database
from tests.e2e import project as e2e
from tests.e2e.conftest import make_project

NIGHTS = ["06_334", "06_336"]


@dataclass(frozen=True)
class Case:
    """A copy of the finished production, opened."""

    driven: e2e.Project
    project: Project
    database: Database

    @property
    def archive(self) -> Path:
        return self.project.site.archive

    def products(self, **options: bool) -> Report:
        return audit_products(self.project, self.database, **options)

    def file(self, pattern: str) -> Path:
        """Return the one file of the archive that matches."""
        (found,) = self.archive.glob(f"Prod/*/*/*/{pattern}")
        return found


@pytest.fixture(scope="session")
def produced(tmp_path_factory: pytest.TempPathFactory) -> e2e.Project:
    """Two nights, produced and clean; not to be changed."""
    project = make_project(tmp_path_factory.mktemp("audit") / "project", NIGHTS)
    project.doit()
    return project


@pytest.fixture
def case(produced: e2e.Project, tmp_path: Path) -> Iterator[Case]:
    """A copy of the finished production."""
    shutil.copytree(produced.root, tmp_path / "project", symlinks=True)
    yield from _opened(e2e.Project(tmp_path / "project"))


def _opened(driven: e2e.Project) -> Iterator[Case]:
    project = load_project(driven.root)
    database = open_database(project.site.database_url, project.root)
    yield Case(driven, project, database)
    database.close()
