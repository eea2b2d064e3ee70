"""``snf db`` and ``snf ingest`` without and with a database, as a user meets them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import jsonschema
import pytest

from tests.cli.conftest import ROOT, Run

SCHEMA = json.loads((ROOT / "docs/schemas/db_current.json").read_text())


def content(path: Path) -> list[str]:
    """Return all that a database holds; its file also counts who opened it."""
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def test_a_database_is_created_once(root: Path, run: Run) -> None:
    path = root / "work/snfpipe.db"
    assert "would create the tables" in run("snf", "db", "init", "-n").stdout
    assert "schema none" in run("snf", "db", "current", code=1).stdout
    assert not path.exists()
    assert run("snf", "db", "init").stdout.endswith("ready\n")
    before = content(path)
    assert "there are tables" in run("snf", "db", "init", "-n").stdout
    run("snf", "db", "init")
    assert content(path) == before
    found = json.loads(run("snf", "db", "current", "--json").stdout)
    jsonschema.validate(found, SCHEMA)
    assert found["schema"] == found["needed"]
    assert "nothing to upgrade" in run("snf", "db", "upgrade", "-n").stdout


def test_an_older_schema_is_refused_with_the_command_that_upgrades_it(root: Path, run: Run) -> None:
    run("snf", "db", "init")
    with sqlite3.connect(root / "work/snfpipe.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
    found = json.loads(run("snf", "db", "current", "--json", code=1).stdout)
    assert found["schema"] == "0000"
    done = run("snf", "ingest", code=3)
    assert "stands at schema 0000, this code needs" in done.stderr
    assert "next: bring it up to date with `snf db upgrade`" in done.stderr
    assert "installs" not in done.stderr and "Traceback" not in done.stderr
    done = run("snf", "db", "upgrade", code=3)
    assert "which this code does not know" in done.stderr


@pytest.mark.services
def test_a_server_that_does_not_answer_is_named_without_its_password(run: Run) -> None:
    url = "postgresql://snf:hunter2@127.0.0.1:1/none?password=hunter2"
    for words in (["snf", "ingest"], ["snf", "db", "current"], ["snf", "db", "init"]):
        done = run(*words, code=4, SNF_DATABASE_URL=url)
        assert "127.0.0.1" in done.stderr and "cannot be reached" in done.stderr
        assert "hunter2" not in done.stderr + done.stdout


@pytest.mark.services
def test_both_kinds_of_database_are_created_by_ingest(run: Run, database_url: str) -> None:
    done = run("snf", "ingest", SNF_DATABASE_URL=database_url)
    assert done.stdout == "nothing new\n"
    found = json.loads(run("snf", "db", "current", "--json", SNF_DATABASE_URL=database_url).stdout)
    jsonschema.validate(found, SCHEMA)
    assert found["schema"] == found["needed"]
