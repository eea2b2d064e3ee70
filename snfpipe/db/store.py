"""Queries and bulk writes that more than one part needs; they take a session, never commit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar, TypeVarTuple, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from snfpipe import flags
from snfpipe.db.models import Base, Process, Production

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Row = Mapping[str, Any]


def chunks(values: Iterable[T], size: int = 10_000) -> Iterator[list[T]]:
    """Cut `values` into lists of at most `size`, for ``IN (...)`` clauses."""
    waiting = iter(values)
    while part := list(islice(waiting, size)):
        yield part


def rows_in(
    session: Session, query: sa.Select[*Ts], column: Any, values: Iterable[Any], size: int = 10_000
) -> Iterator[sa.Row[*Ts]]:
    """Yield the rows of `query` in which `column` is one of `values`, however many there are.

    Asked for some at a time, in the order of the values: locks are taken by all in one order.
    """
    for part in chunks(sorted(set(values)), size):
        yield from session.execute(query.where(column.in_(part)))


def scalars_in(
    session: Session,
    query: sa.Select[T, *Ts],
    column: Any,
    values: Iterable[Any],
    size: int = 10_000,
) -> Iterator[T]:
    """Yield the first column of what :func:`rows_in` does."""
    return (row[0] for row in rows_in(session, query, column, values, size))


def change_in(
    session: Session, statement: sa.Update | sa.Delete, column: Any, values: Iterable[Any]
) -> None:
    """Change or delete the rows in which `column` is one of `values`, however many there are."""
    for part in chunks(sorted(set(values))):
        session.execute(statement.where(column.in_(part)))


def alone(session: Session, what: str) -> None:
    """Wait until no other transaction does `what`; until the end of this one, none will.

    SQLite has one writer at a time anyhow.
    """
    if not _is_sqlite(session):
        session.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(what))))


def among(session: Session, column: Any, values: Sequence[int | str]) -> sa.ColumnElement[bool]:
    """Return the condition that a `column` is one of `values`, however many there are."""
    if not _is_sqlite(session):
        array = sa.bindparam(None, list(values), type_=postgresql.ARRAY(column.type))
        return cast(sa.ColumnElement[bool], column == sa.any_(array))
    listed = sa.func.json_each(json.dumps(list(values))).table_valued("value")
    return cast(sa.ColumnElement[bool], column.in_(sa.select(listed.c.value)))


def insert(session: Session, model: type[Base], rows: Sequence[Row]) -> None:
    """Insert `rows` (all with the same keys) in as few round trips as the driver allows."""
    if rows:
        session.execute(sa.insert(_table(model)), list(rows))


def insert_many(session: Session, model: type[Base], rows: Sequence[Row]) -> None:
    """Insert very many small `rows` (all with the same keys), by one document a chunk.

    Long texts travel quicker by :func:`insert`: in a document each is quoted.
    """
    if _is_sqlite(session):
        insert(session, model, rows)
    else:
        _execute(session, postgresql.insert(_table(model)), rows)


def insert_new(session: Session, model: type[Base], rows: Sequence[Row]) -> None:
    """Insert those of `rows` whose key is not there yet; leave the others as they are."""
    upsert(session, model, rows, update=())


def upsert(
    session: Session,
    model: type[Base],
    rows: Sequence[Row],
    update: Sequence[str],
    growing: str | None = None,
) -> None:
    """Insert `rows` in few round trips; where the primary key is there, set the columns `update`.

    Where a column `growing` is named, rows that hold as much or more in it stay as they are.
    """
    if not rows:
        return
    make: Any = sqlite.insert if _is_sqlite(session) else postgresql.insert
    table = _table(model)
    keys = [column.name for column in table.primary_key]
    statement = make(table)
    if update:
        new = {name: statement.excluded[name] for name in update}
        only = statement.excluded[growing] > table.c[growing] if growing else None
        statement = statement.on_conflict_do_update(index_elements=keys, set_=new, where=only)
    else:
        statement = statement.on_conflict_do_nothing()
    _execute(session, statement, rows)


def update_rows(
    session: Session,
    model: type[Base],
    rows: Sequence[Row],
    match: Sequence[str] | Mapping[str, str],
    only: sa.ColumnElement[bool] | None = None,
) -> None:
    """Change many rows by one statement.

    Parameters
    ----------
    session : Session
        A writing session.
    model : type
        Which table.
    rows : sequence of mappings
        Each names its row by the columns `match` and holds new values for its other columns;
        all have the same keys.
    match : sequence or mapping of str
        Columns that together name a row; a mapping says under which key each is given, where a
        column that names the row gets a new value as well.
    only : condition, optional
        What must hold of a row besides, or it is left as it is.
    """
    table = _table(model)
    keys = match if isinstance(match, Mapping) else {name: name for name in match}
    column_of = {key: name for name, key in keys.items()}
    for part in chunks(rows):
        columns = {key: table.c[column_of.get(key, key)] for key in part[0]}
        given = _as_table(session, columns, part)
        statement = sa.update(table).where(
            *(table.c[name] == given[key] for name, key in keys.items())
        )
        if only is not None:
            statement = statement.where(only)
        new = {key: value for key, value in given.items() if key not in column_of}
        session.connection().execute(statement.values(new))


def ensure_productions(session: Session, rows: Sequence[Row]) -> dict[str, int]:
    """Make the Production rows that are missing.

    Parameters
    ----------
    session : Session
        A writing session.
    rows : sequence of mappings
        The columns of :class:`~snfpipe.db.models.Production` but its id.

    Returns
    -------
    dict
        Production name -> row id.
    """
    names = [row["name"] for row in rows]
    known = production_ids(session, names)
    insert_new(session, Production, [row for row in rows if row["name"] not in known])
    return production_ids(session, names)


def production_ids(session: Session, names: Iterable[str]) -> dict[str, int]:
    """Return production name -> row id for those of `names` that exist."""
    query = sa.select(Production.name, Production.id).where(Production.name.in_(list(names)))
    return {name: ident for name, ident in session.execute(query)}


def has_flag(flag: str) -> sa.ColumnElement[bool]:
    """Return the condition that a process has a quality flag.

    Raises
    ------
    BadName
        No flag is called like that.
    """
    position, characters = flags.matching_characters(flag)
    return sa.func.substr(Process.quality_s, position, 1).in_(characters)


def _as_table(
    session: Session, columns: Mapping[str, sa.ColumnElement[Any]], rows: Sequence[Row]
) -> dict[str, sa.ColumnElement[Any]]:
    """Return the columns of a table made of `rows`, which travel as one JSON document."""
    document = sa.literal(json.dumps([dict(row) for row in rows], default=_plain), sa.Text)
    if not _is_sqlite(session):
        typed = [sa.column(key, column.type) for key, column in columns.items()]
        given = sa.func.json_to_recordset(sa.cast(document, sa.JSON)).table_valued(*typed)
        found = given.render_derived(name="given", with_types=True)
        return {key: found.c[key] for key in columns}
    each = sa.func.json_each(document).table_valued("value", name="given")
    return {key: sa.func.json_extract(each.c.value, f"$.{key}") for key in columns}


def _plain(value: object) -> str:
    """Return a moment as both databases write it."""
    if not isinstance(value, datetime):
        raise TypeError(f"{type(value).__name__} is no value of a column")
    return value.isoformat(" ", "microseconds")


def _table(model: type[Base]) -> sa.Table:
    """Return a model's table: rows that are written in bulk need nothing else of the ORM."""
    return cast(sa.Table, model.__table__)


def _is_sqlite(session: Session) -> bool:
    """Tell whether it is SQLite that a session talks to, or PostgreSQL."""
    return session.get_bind().dialect.name == "sqlite"


def _execute(session: Session, statement: Any, rows: Sequence[Row]) -> None:
    """Let a statement insert `rows`, in few round trips (PostgreSQL's driver makes one a row)."""
    if _is_sqlite(session):
        session.execute(statement, list(rows))
        return
    for part in chunks(rows):
        columns = {key: statement.table.c[key] for key in part[0]}
        given = _as_table(session, columns, part)
        session.execute(statement.from_select(list(given), sa.select(*given.values())))
