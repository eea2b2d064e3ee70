"""What is kept of a raw folder beside frames: what was not taken, what is wrong, its tables.

A night is one, and so, with an empty name, is the folder around all nights.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe import clock
from snfpipe.db import store
from snfpipe.db.models import BadFrame, RawFinding, RawTable
from snfpipe.errors import BadName
from snfpipe.ingest.frames import frame_name
from snfpipe.ingest.observed import Row
from snfpipe.ingest.problems import Problem
from snfpipe.ingest.scan import Found
from snfpipe.names import PoseId


def keep_refused(
    session: Session, night: str, bad: Iterable[tuple[Found, str]], over: Sequence[str]
) -> None:
    """Keep what was not taken, and why; forget the paths `over`."""
    session.execute(sa.delete(BadFrame).where(BadFrame.path.in_(over)))
    moment = clock.utc_now()
    rows = {
        found.path: {**seen(found), "night": night, "reason": reason, "noticed": moment}
        for found, reason in bad
    }
    store.upsert(session, BadFrame, list(rows.values()), ["size", "mtime_ns", "reason", "noticed"])


def keep_findings(session: Session, night: str, problems: Iterable[Problem]) -> None:
    """Replace the findings of a night."""
    session.execute(sa.delete(RawFinding).where(RawFinding.night == night))
    columns = ("night", "kind", "object", "what", "next_step")
    rows = [{name: getattr(it, name) for name in columns} for it in problems]
    store.insert(session, RawFinding, rows)


def keep_table(session: Session, night: str, table: Found | None, rows: list[Row]) -> None:
    """Keep a table as it was read, if it was."""
    if table is not None:
        row = {**seen(table), "night": night, "rows": rows}
        store.upsert(session, RawTable, [row], ["size", "mtime_ns", "rows"])


def refused_poses(session: Session, night: str) -> set[PoseId]:
    """Return the poses of what lies in a night's folder and was not taken."""
    found = set()
    for path in session.scalars(sa.select(BadFrame.path).where(BadFrame.night == night)):
        try:
            found.add(frame_name(path.rpartition("/")[2]).pose)
        except BadName:
            continue
    return found


def log_rows(session: Session, night: str) -> dict[tuple[int, int, int], Row]:
    """Return the log's rows as they were read last."""
    query = sa.select(RawTable.rows).where(RawTable.night == night)
    return {
        (row["run"], row["exposure"], row["channel"]): row
        for rows in session.scalars(query)
        for row in rows
    }


def seen(found: Found) -> Row:
    """Return the columns that tell a file as it was seen."""
    return {"path": found.path, "size": found.size, "mtime_ns": found.mtime_ns}
