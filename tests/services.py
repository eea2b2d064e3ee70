"""Services the tests run against: a private PostgreSQL cluster on a loopback socket.

A missing service is a failure, not a skip: the project's own setup installs it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from snfpipe.db.session import Database, open_database


class PostgreSQL:
    """A private cluster in a temporary folder, reached through a socket in it."""

    def __init__(self) -> None:
        binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        assert binaries, "PostgreSQL is not installed: run `make setup` (package postgresql)"
        self.bin = binaries[-1].parent
        self.folder = Path(tempfile.mkdtemp(prefix="snf-pg-"))
        self.port = 5432
        if os.geteuid() == 0:  # initdb refuses to run as root
            shutil.chown(self.folder, "postgres", "postgres")
        self._run("initdb", "-D", f"{self.folder}/data", "-A", "trust", "-U", "snf", "-E", "UTF8")
        self.start()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = f"-k {self.folder} -p {self.port} -c listen_addresses= -c max_connections=400"
        self._run(
            "pg_ctl", "-D", f"{self.folder}/data", "-l", f"{self.folder}/log", "-w",
            "-o", f"{options} -c fsync=off", "start",
        )  # fmt: skip

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server, leaving its data."""
        self._run("pg_ctl", "-D", f"{self.folder}/data", "-m", mode, "-w", "stop")

    def url(self, database: str, password: str = "") -> str:
        """Return the URL of one database of the cluster."""
        user = f"snf:{password}" if password else "snf"
        return f"postgresql://{user}@/{database}?host={self.folder}&port={self.port}"

    def new_database(self) -> str:
        """Create an empty database and return its URL."""
        name = f"t_{uuid.uuid4().hex[:12]}"
        self._admin(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def _admin(self, statement: str) -> None:
        connection = psycopg2.connect(
            host=str(self.folder), port=self.port, user="snf", dbname="postgres"
        )
        connection.autocommit = True
        try:
            connection.cursor().execute(statement)
        finally:
            connection.close()

    def _run(self, program: str, *arguments: str) -> None:
        user = "postgres" if os.geteuid() == 0 else None
        done = subprocess.run(
            [self.bin / program, *arguments],
            user=user,
            group=user,
            extra_groups=[] if user else None,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, f"{program}: {done.stderr.decode(errors='replace')}"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A running private PostgreSQL cluster."""
    cluster = PostgreSQL()
    yield cluster
    cluster.stop()
    shutil.rmtree(cluster.folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database, of each kind in turn."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql").new_database()
    return f"sqlite:///{tmp_path}/snfpipe.db"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Return an open database with its tables, of each kind in turn."""
    opened = open_database(database_url, create=True)
    yield opened
    opened.close()
