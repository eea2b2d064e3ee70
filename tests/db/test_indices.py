"""What plans and ingest ask is answered by indices: no query looks through a whole large table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe.config.project import load_project
from snfpipe.config.step import Step
from snfpipe.db import store
from snfpipe.db.models import File, Job, Process, ProcessParent
from snfpipe.db.session import Database, open_database
from snfpipe.ingest import fill
from snfpipe.ingest.report import NightFiles
from snfpipe.names import Night
from snfpipe.plans.selection import expected_products, select

ROOT = Path(__file__).parents[2]
LARGE = ("process", "process_parent", "file", "header", "exposure", "pose", "measurement",
         "expected", "attempt", "job", "run")  # fmt: skip
NIGHTS = ("06_334", "06_336")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty database: SQLite says how it would go about a query."""
    database = open_database(f"sqlite:///{tmp_path}/snfpipe.db", create=True)
    yield database
    database.close()


@contextmanager
def asked(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """Collect the queries that are made."""
    queries: list[tuple[str, Any]] = []

    def note(
        _connection: object, _cursor: object, statement: str, parameters: Any, *_more: object
    ) -> None:
        if statement.lstrip().startswith("SELECT"):
            queries.append((statement, parameters))

    sa.event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield queries
    finally:
        sa.event.remove(database.engine, "before_cursor_execute", note)


def scans(database: Database, queries: list[tuple[str, Any]]) -> list[str]:
    """Return the steps of queries that look through a whole large table."""
    found = []
    with database.engine.connect() as connection:
        for statement, parameters in queries:
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            for row in rows:
                step = re.match(r"SCAN (\w+)", row[3])
                if step and step[1] in LARGE:
                    found.append(f"{row[3]}: {statement}")
    return found


def flagged(session: Session) -> None:
    """Ask for the flagged spectra of a version's night."""
    query = sa.select(Process.id_process).where(
        Process.night == "06_334", Process.fclass == 38, Process.xfclass == 100,
        store.has_flag("PFC_XNIGHT"),
    )  # fmt: skip
    session.execute(query)


def of_a_version(session: Session) -> None:
    """Ask for all products of a class of a version, by night."""
    query = sa.select(Process.id_process).where(
        Process.fclass == 22, Process.xfclass == 0, Process.version == 203
    )
    session.execute(query)


def family(session: Session) -> None:
    """Ask for parents, children, files and job of a process."""
    for key in (ProcessParent.child, ProcessParent.parent, File.id_process):
        session.execute(sa.select(sa.literal(1)).where(key == "63340010034017000000000"))
    session.execute(sa.select(Process.id_process).where(Process.job_id == 1))
    session.execute(sa.select(Job.id).where(Job.production_id == 1, Job.unit == "06_334"))
    session.execute(sa.select(File.id).where(File.area == "archive", File.path == "x"))
    session.execute(sa.select(File.id).where(File.name == "x"))


@pytest.mark.parametrize("ask", [flagged, of_a_version, family])
def test_what_tools_ask_is_answered_by_indices(
    database: Database, ask: Callable[[Session], None]
) -> None:
    with asked(database) as queries, database.read() as session:
        ask(session)
    assert queries
    assert scans(database, queries) == []


@pytest.mark.parametrize("step_key", ["file_quality", "cube_generation", "extract_star"])
@pytest.mark.parametrize("question", [select, expected_products])
def test_what_plans_ask_is_answered_by_indices(
    database: Database, step_key: str, question: Callable[[Session, Step, Sequence[str]], object]
) -> None:
    step = load_project(ROOT).step(step_key)
    with asked(database) as queries, database.read() as session:
        question(session, step, NIGHTS)
    assert queries
    assert scans(database, queries) == []


def test_what_ingest_asks_of_a_night_is_answered_by_indices(database: Database) -> None:
    with asked(database) as queries, database.write() as session:
        fill.fill_night(session, NightFiles(Night.parse("06_334")))
    assert queries
    assert scans(database, queries) == []


def test_a_query_without_an_index_would_be_noticed(database: Database) -> None:
    with asked(database) as queries, database.read() as session:
        session.execute(sa.select(Process.id_process).where(Process.quality == 2))
    assert len(scans(database, queries)) == 1
