"""Services the tests run against, started by the same library as ``snf engine up``.

A missing service is a failure, not a skip: the project's own setup installs it.  Each is started
once a test process, when first needed.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snfpipe.db.session import Database, open_database
from snfpipe.services import postgresql as private
from snfpipe.services.grid_engine import GridEngineCell
from snfpipe.services.slurm import SlurmCluster


class PostgreSQL(private.PostgreSQL):
    """A private cluster that makes databases on demand."""

    def new_database(self) -> str:
        """Create an empty database and return its URL."""
        name = f"t_{uuid.uuid4().hex[:12]}"
        self.create(name)
        return self.url(name)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Be stopped for a while, and running again for whoever comes next."""
        self.stop()
        try:
            yield
        finally:
            self.start()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A running private PostgreSQL cluster."""
    # pytest's own folders are closed to user postgres
    folder = Path(tempfile.mkdtemp(prefix="snf-pg-"))
    folder.chmod(0o755)
    cluster = PostgreSQL(folder)
    cluster.up()
    yield cluster
    cluster.down()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database, of each kind in turn."""
    if request.param == "postgresql":
        server: PostgreSQL = request.getfixturevalue("postgresql")
        return server.new_database()
    return f"sqlite:///{tmp_path}/snfpipe.db"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Return an open database with its tables, of each kind in turn."""
    opened = open_database(database_url, create=True)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def grid_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GridEngineCell]:
    """A running private Grid Engine cell."""
    cell = GridEngineCell(tmp_path_factory.mktemp("sge") / "cell")
    cell.up()
    yield cell
    cell.down()


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    """A running private Slurm with slurmdbd."""
    cluster = SlurmCluster(tmp_path_factory.mktemp("slurm") / "cluster")
    cluster.up()
    yield cluster
    cluster.down()


@pytest.fixture(scope="session")
def slurm_by_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    """A running private Slurm without slurmdbd: it writes job completion records."""
    cluster = SlurmCluster(
        tmp_path_factory.mktemp("slurm") / "cluster", slurmdbd=False, largest_array=101
    )
    cluster.up()
    yield cluster
    cluster.down()
