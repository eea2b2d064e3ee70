"""A small production, finished once by real jobs; each test spoils a copy of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from snfpipe.audit.findings import Report
from snfpipe.audit.products import audit_products
from snfpipe.config.project import Project, load_project
from snfpipe.db.session import Database, open_database
from snfpipe.units.freshness import check
from snfpipe.units.states import UnitState
from snfpipe.units.status import unit_states
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

    def products(self, **options: Any) -> Report:
        return audit_products(self.project, self.database, **options)

    def units(self) -> tuple[UnitState, ...]:
        return unit_states(check(load_project(self.driven.root)))

    def behave(self, **told: Any) -> None:
        """Tell the small programs how to misbehave: where the version file, copied, says."""
        path = self.project.version.environment["SNF_TEST_BEHAVIOUR"]
        Path(path).write_text(json.dumps(told))

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
    with opened(e2e.Project(tmp_path / "project")) as made:
        yield made


@contextmanager
def opened(driven: e2e.Project) -> Iterator[Case]:
    """Open a project that is driven by commands."""
    with pytest.MonkeyPatch.context() as patch:
        if driven.url:
            patch.setenv("SNF_DATABASE_URL", driven.url)
        else:
            patch.delenv("SNF_DATABASE_URL", raising=False)
        project = load_project(driven.root)
        database = open_database(project.site.database_url, project.root)
        yield Case(driven, project, database)
        database.close()
