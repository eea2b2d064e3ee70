"""Targets: made for the runs that name them, described by ``targets.csv``, corrected with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe.db import store
from snfpipe.db.models import Run, Target
from snfpipe.ingest.observed import Row
from snfpipe.ingest.spelling import spelling
from snfpipe.names import RunId, id_target

Listed = Mapping[str, Mapping[str, Any]]

_TEXTS = ("kind", "type", "pi", "iauc", "date_c", "date_m")
_NUMBERS = {"ra": "ra_deg", "dec": "dec_deg", "redshift": "redshift",
            "redshift_err": "redshift_err", "mwebv": "mwebv"}  # fmt: skip


def ensure_targets(
    session: Session, before: Mapping[int, Row], now: Mapping[int, Row], listed: Listed
) -> dict[str, int]:
    """Make the targets of runs that are missing.

    A target whose runs have all been given to another one that is new was misspelt: it is that one,
    and gets its name.

    Parameters
    ----------
    session : Session
        A writing session.
    before, now : mapping
        Run -> row, with the target's name.
    listed : mapping
        Name -> what targets.csv says of it.

    Returns
    -------
    dict
        Target -> row id.
    """
    first: dict[str, int] = {}
    for id_run, row in sorted(now.items()):
        if row["target"]:
            first.setdefault(row["target"], id_run)
    wanted = {*first, *(row["target"] for row in before.values())}
    ids = _ids(session, wanted)
    for name in [name for name in first if name not in ids]:
        runs = [ident for ident, row in now.items() if row["target"] == name]
        old = {before[ident]["target"] for ident in runs if ident in before}
        misspelt = ids.get(*old) if len(old) == 1 else None
        if misspelt is not None and _all_runs(session, misspelt) <= set(runs):
            values = {"name": name, **_described(listed.get(name, {}))}
            session.execute(sa.update(Target).where(Target.id == misspelt).values(values))
        else:
            _make_room(session, first[name])
            row = {"id_target": id_target(RunId.from_id(first[name])), "name": name}
            store.insert(session, Target, [row | _described(listed.get(name, {}))])
    return _ids(session, wanted)


def correct_targets(session: Session, before: Listed, now: Listed) -> None:
    """Let targets follow a changed list, but for values that were set by hand meanwhile.

    A target that is known by another spelling than the list has now gets the list's.
    """
    rows = {row.name: row for row in session.scalars(sa.select(Target))}
    spelt = {spelling(name): name for name in rows}
    for name, told in now.items():
        row = rows.get(name) or rows.get(spelt.get(spelling(name), ""))
        if row is None:
            continue
        if row.name not in now:
            row.name = name
        old, new = _described(before.get(name, {})), _described(told)
        for column, value in new.items():
            if value != old[column] and getattr(row, column) == old[column]:
                setattr(row, column, value)
    session.flush()


def _described(listed: Mapping[str, Any]) -> Row:
    """Return the columns of a target that the list gives."""
    return {
        **{column: listed.get(column, "") for column in _TEXTS},
        **{column: listed.get(name) for column, name in _NUMBERS.items()},
    }


def _ids(session: Session, names: Iterable[str]) -> dict[str, int]:
    """Return target name -> row id."""
    query = sa.select(Target.name, Target.id).where(Target.name.in_(list(names)))
    return {name: ident for name, ident in session.execute(query)}


def _all_runs(session: Session, target: int) -> set[int]:
    """Return the runs of a target."""
    return set(session.scalars(sa.select(Run.id_run).where(Run.target_id == target)))


def _make_room(session: Session, id_run: int) -> None:
    """Give a target that is called after a run that is not its own any more another of its runs."""
    called = id_target(RunId.from_id(id_run))
    other = session.scalar(sa.select(Target).where(Target.id_target == called))
    if other is None:
        return
    runs = sorted(_all_runs(session, other.id) - {id_run})
    taken = set(session.scalars(sa.select(Target.id_target)))
    free = [name for name in (id_target(RunId.from_id(run)) for run in runs) if name not in taken]
    if free:
        other.id_target = free[0]
        session.flush()
