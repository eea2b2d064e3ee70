"""One quick look at the database: job rows, change stamps, nights of targets.

It is taken at every start of doit, over thousands of units, so it asks the driver directly:
loading SQLAlchemy would take longer than everything else that is done where nothing is to do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from snfpipe.config import Project

Ask = Callable[[str], list[tuple[Any, ...]]]


_JOBS = (
    "SELECT unit, name, folder, state, reason, inputs_digest, manifest_sha, attempts "
    "FROM job WHERE production_id = %d"
)


class JobRow(NamedTuple):
    """What freshness needs of a job's row; ``folder`` is relative to JOBDIR."""

    name: str
    folder: str
    state: str
    reason: str
    inputs_digest: str | None
    manifest_sha: str | None
    attempts: int


class Look(NamedTuple):
    """One state of the database, as far as it bears on what is fresh.

    ``jobs``: (production, unit) -> row; ``stamps``: night -> number of changes;
    ``nights_of``: target -> its nights, where a step works on targets.
    """

    revision: str
    jobs: dict[tuple[str, str], JobRow]
    stamps: dict[str, int]
    nights_of: dict[str, list[str]]


def look(project: Project) -> Look:
    """Look at the configured productions.

    Raises
    ------
    SnfError
        The database does not answer, or is none of ours.
    """
    try:
        with _connected(project) as ask:
            return _look(project, ask)
    except Exception:
        # the proper way in names what is wrong; where it finds nothing, the trouble stands
        from snfpipe.db.session import open_database

        open_database(project.site.database_url, project.root).close()
        raise


def _look(project: Project, ask: Ask) -> Look:
    """Ask; stamps before jobs, so that a change in between is seen again next time."""
    ((revision,),) = ask("SELECT version_num FROM alembic_version")
    stamps: dict[str, int] = dict(ask("SELECT night, seq FROM change_stamp"))
    wanted = {step.production for step in project.steps}
    ids = {ident: name for ident, name in ask("SELECT id, name FROM production") if name in wanted}
    jobs = {}
    for ident, production in ids.items():
        for unit, *row in ask(_JOBS % int(ident)):
            jobs[production, unit] = JobRow(*row)
    nights_of: dict[str, list[str]] = {}
    if any(step.unit_kind == "target" for step in project.steps):
        nights_of = _group(
            ask(
                "SELECT DISTINCT target.name, run.night FROM run "
                "JOIN target ON target.id = run.target_id ORDER BY 1, 2"
            )
        )
    return Look(revision, jobs, stamps, nights_of)


def _group(rows: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return target -> nights."""
    groups: dict[str, list[str]] = {}
    for target, night in rows:
        groups.setdefault(target, []).append(night)
    return groups


@contextmanager
def _connected(project: Project) -> Iterator[Ask]:
    """Give a function that answers a query, within one reading transaction."""
    url = project.site.database_url
    connection: Any
    if url.startswith("sqlite"):
        import sqlite3

        path = project.root / url.partition("///")[2].partition("?")[0]
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=60)
    else:
        import psycopg2

        connection = psycopg2.connect(re.sub(r"^postgresql\+\w+", "postgresql", url))
        connection.set_session(readonly=True)
    try:
        cursor = connection.cursor()
        if url.startswith("sqlite"):
            cursor.execute("BEGIN")

        def ask(query: str) -> list[tuple[Any, ...]]:
            cursor.execute(query)
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found

        yield ask
    finally:
        connection.close()


def shown_place(project: Project) -> str:
    """Return which database a look was taken at, without user or password."""
    url = project.site.database_url
    if url.startswith("sqlite"):
        return os.path.join(project.root, url.partition("///")[2].partition("?")[0])
    return re.sub(r"//[^/@]*@", "//", url)
