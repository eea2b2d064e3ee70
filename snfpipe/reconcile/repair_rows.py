"""The rows of a repair: held against what was planned, changed, changed back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe.db.models import Base, File, Job, Process
from snfpipe.db.session import Database
from snfpipe.errors import Refused, shown
from snfpipe.names import INDEX_DIGITS
from snfpipe.reconcile.repair import RowChange

_MODELS: Mapping[str, tuple[type[Base], str]] = {
    "file": (File, "id"),
    "process": (Process, "id_process"),
    "job": (Job, "id"),
}


def reversed_rows(changes: Sequence[RowChange]) -> tuple[RowChange, ...]:
    """Return the changes that take changes back, the last first."""
    return tuple(
        replace(change, was=after(change), becomes=_changed(change)) for change in reversed(changes)
    )


def after(change: RowChange) -> Mapping[str, Any] | None:
    """Return what a row is once it is changed, as far as the change knows it."""
    if change.was is None or change.becomes is None:
        return change.becomes
    return {**change.was, **change.becomes}


def _changed(change: RowChange) -> Mapping[str, Any] | None:
    """Return what those columns were that a change changes."""
    if change.was is None or change.becomes is None:
        return change.was
    return {name: change.was[name] for name in change.becomes}


def hold_rows(database: Database, changes: Iterable[RowChange]) -> None:
    """Refuse changes of rows that are neither as planned nor changed already."""
    with database.read() as session:
        for change in changes:
            _is_to_do(session, change)


def change_rows(session: Session, changes: Iterable[RowChange]) -> None:
    """Change rows, all or none; what is changed already stays.

    Raises
    ------
    Refused
        A row is not as it was planned, or a lost product would be live beside a newer one.
    """
    for change in changes:
        if not _is_to_do(session, change, lock=True) or change.becomes == {}:
            continue  # one that changes nothing is a condition
        model, key = _MODELS[change.table]
        mine = _mine(change)
        if change.was is None:
            values = dict(change.becomes or {})
            values |= {} if change.key is None else {key: change.key}
            session.execute(sa.insert(model).values(**values))
        elif change.becomes is None:
            session.execute(sa.delete(model).where(mine))
        else:
            session.execute(sa.update(model).where(mine).values(**change.becomes))
            if change.becomes.get("state") == "live" and change.was["state"] == "lost":
                _hold_alone(session, str(change.key))


def _is_to_do(session: Session, change: RowChange, *, lock: bool = False) -> bool:
    """Tell whether a row is still as it was, not changed already; refuse everything else."""
    found = _look(session, change, lock=lock)
    if found == (None if change.was is None else dict(change.was)):
        return True
    done = after(change)
    if found == (None if done is None else dict(done)):
        return False
    told = "has gone" if found is None else "has changed" if change.was else "has been added"
    key = change.key if change.key is not None else (change.becomes or {}).get("path")
    raise Refused(f"row {shown(key)} of table {change.table} {told} since the plan was made")


def _look(session: Session, change: RowChange, *, lock: bool) -> dict[str, Any] | None:
    """Return a row's columns that a change speaks of."""
    model, _key = _MODELS[change.table]
    names = list((change.was or change.becomes or {}).keys())
    for name in names:
        if not hasattr(model, name):
            raise Refused(f"table {change.table} has no column {name}")
    query = sa.select(*(getattr(model, name) for name in names)).where(_mine(change))
    row = session.execute(query.with_for_update() if lock else query).mappings().first()
    return None if row is None else dict(row)


def _mine(change: RowChange) -> sa.ColumnElement[bool]:
    """Return the condition for the row of a change; a file that is added is known by its path."""
    model, key = _MODELS[change.table]
    if change.key is not None:
        found: sa.ColumnElement[bool] = getattr(model, key) == change.key
        return found
    told = change.becomes or change.was or {}
    return sa.and_(File.area == told["area"], File.path == told["path"])


def _hold_alone(session: Session, id_process: str) -> None:
    """Refuse to make a lost product live beside another generation of it."""
    base = id_process[:-INDEX_DIGITS]
    query = sa.select(Process.id_process).where(
        Process.id_process.between(f"{base}000", f"{base}999"),
        Process.id_process != id_process,
        Process.state == "live",
    )
    other = session.scalar(query)
    if other is not None and len(other) == len(id_process):
        raise Refused(f"a newer generation stands: {other}; {id_process} cannot be live again")
