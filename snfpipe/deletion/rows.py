"""The rows of a job: read whole, deleted in bulk, and put back.

Every table that refers to a job or a process is named here.  Functions take a session and never
commit.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe.db import store
from snfpipe.db.models import (
    Attempt,
    Base,
    DeletedParent,
    Expected,
    File,
    Header,
    Job,
    Measurement,
    Process,
    ProcessParent,
    Production,
)
from snfpipe.jobs import deleted_parents
from snfpipe.killpoint import killpoint

#: Tables whose rows belong to a job, and the column that says to which.
OF_JOB: dict[type[Base], Any] = {
    Attempt: Attempt.job_id,
    Expected: Expected.job_id,
    Measurement: Measurement.job_id,
    Process: Process.job_id,
}
#: Tables whose rows belong to a process.
OF_PROCESS: dict[type[Base], Any] = {
    File: File.id_process,
    Header: Header.id_process,
    ProcessParent: ProcessParent.child,
    DeletedParent: DeletedParent.child,
}

Plain = dict[str, Any]
#: Table -> its rows as plain values; ``job`` has one, ``production`` the name of the job's.
Content = dict[str, Any]


def read(session: Session, job_ids: Iterable[int]) -> dict[int, Content]:
    """Return all rows of jobs, a query or two a table for all of them.

    Returns
    -------
    dict
        Job id -> table -> rows, in the order of their keys.
    """
    contents: dict[int, Content] = {}
    for part in store.chunks(sorted(job_ids)):
        query = (
            sa.select(Job.__table__, Production.name.label("production"), Production.version)
            .join(Production, Production.id == Job.production_id)
            .where(Job.id.in_(part))
        )
        for found in session.execute(query).mappings():
            job = _plain(found)
            contents[job["id"]] = {
                "production": job.pop("production"), "version": job.pop("version"), "job": [job]
            }  # fmt: skip
        for model, column in OF_JOB.items():
            for row in _rows(session, model, column.in_(part)):
                contents[row["job_id"]].setdefault(_name(model), []).append(row)
        made = sa.select(Process.id_process, Process.job_id).where(Process.job_id.in_(part))
        owner = {ident: job_id for ident, job_id in session.execute(made) if job_id is not None}
        for model, column in OF_PROCESS.items():
            for row in _rows(session, model, column.in_(_processes(part))):
                contents[owner[row[column.key]]].setdefault(_name(model), []).append(row)
    return contents


def to_text(content: Content) -> str:
    """Return rows as one JSON text, the same for the same rows."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def delete(session: Session, job_ids: Iterable[int]) -> None:
    """Delete all rows of jobs; no process that stays may be made from one of theirs."""
    for part in store.chunks(sorted(job_ids)):
        for model, column in OF_PROCESS.items():
            session.execute(sa.delete(model).where(column.in_(_processes(part))))
        killpoint("remove:half-deleted")
        for model, column in reversed(OF_JOB.items()):
            session.execute(sa.delete(model).where(column.in_(part)))
        session.execute(sa.delete(Job).where(Job.id.in_(part)))


def insert(session: Session, content: Mapping[str, Any], moment: datetime) -> None:
    """Put a job's rows back, under a new row id.

    A parent that is not there becomes a mark on its child; what was marked for want of the
    processes that come back is made whole.

    Parameters
    ----------
    session : Session
        A writing session.
    content : mapping
        What :func:`read` gave.
    moment : datetime
        When it was deleted.

    Raises
    ------
    sqlalchemy.exc.IntegrityError
        Another row stands in the way, or one that these refer to has gone.
    """
    (row,) = content["job"]
    production = store.production_ids(session, [content["production"]])[content["production"]]
    (job,) = _of(content, Job, production_id=production)
    job_id = session.scalar(sa.insert(Job).values(job).returning(Job.id))
    for model in OF_JOB:
        store.insert(session, model, _of(content, model, job_id=job_id))
    store.insert(session, File, _of(content, File))
    store.insert(session, Header, _of(content, Header))
    links = [(it["child"], it["parent"]) for it in _of(content, ProcessParent)]
    read_from = json.loads(row["manifest"] or "{}").get("inputs", ())
    checksums = {it["id_process"]: it["checksum"] for it in read_from}
    store.insert_new(session, DeletedParent, _of(content, DeletedParent))
    made = [it["id_process"] for it in _of(content, Process)]
    deleted_parents.link_or_mark(session, links, checksums, moment)
    deleted_parents.relink_children(session, made)
    deleted_parents.relink(session, made)


def _of(content: Mapping[str, Any], model: type[Base], **new: int | None) -> list[Plain]:
    """Return a table's rows as the database takes them; without the number that it gives each.

    An empty JSON column is left out, to be NULL.
    """
    columns = model.__table__.columns
    times = {it.name for it in columns if isinstance(it.type, sa.DateTime)}
    left_out = {it.name for it in columns if isinstance(it.type, sa.JSON)}
    return [
        {
            name: datetime.fromisoformat(value) if name in times and value else value
            for name, value in row.items()
            if name != "id" and (value is not None or name not in left_out)
        }
        | new
        for row in content.get(_name(model), ())
    ]


def _name(model: type[Base]) -> str:
    """Return a table's name."""
    return str(model.__tablename__)


def _processes(job_ids: Sequence[int]) -> sa.Select[str]:
    """Select the process ids of jobs."""
    return sa.select(Process.id_process).where(Process.job_id.in_(job_ids))


def _rows(session: Session, model: type[Base], condition: sa.ColumnElement[bool]) -> list[Plain]:
    """Return rows of a table as plain values, in the order of its key."""
    table = model.__table__
    query = sa.select(table).where(condition).order_by(*table.primary_key)
    return [_plain(row) for row in session.execute(query).mappings()]


def _plain(row: Mapping[Any, Any]) -> Plain:
    """Return a row as JSON can hold it."""
    return {
        str(name): value.isoformat() if isinstance(value, datetime) else value
        for name, value in row.items()
    }
