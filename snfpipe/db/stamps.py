"""Change stamps: triggers that count, per night, the changes plans may have to look at.

Whoever changes a row (a tool, a registration, a person in a SQL shell), the night's stamp
moves, so that a check of thousands of units reselects only those whose nights moved.
SQLite fires a trigger a row; PostgreSQL one a statement, in the order of nights, so that two
writers cannot wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_ITS_OWN = "SELECT night FROM {row}"
#: Table -> query of the nights that a changed row belongs to ({row} is the row, or rows).
_NIGHTS = {
    "run": _ITS_OWN,
    "exposure": _ITS_OWN,
    "pose": _ITS_OWN,
    "measurement": _ITS_OWN,
    "process": _ITS_OWN,
    "file": _ITS_OWN,
    "target": "SELECT run.night FROM run JOIN {row} ON run.target_id = {row}.id",
}
#: Event -> the row that triggers see.
EVENTS = {"insert": "NEW", "update": "NEW", "delete": "OLD"}


def statements(dialect: str, tables: Iterable[str] = tuple(_NIGHTS)) -> Iterator[str]:
    """Yield the DDL that creates the triggers of tables, for ``sqlite`` or ``postgresql``."""
    make = _sqlite if dialect == "sqlite" else _postgresql
    for table in tables:
        for event in EVENTS:
            yield from make(table, event)


def _sqlite(table: str, event: str) -> Iterator[str]:
    """Yield a row trigger; ``WHERE true`` keeps SELECT and ON CONFLICT apart."""
    row = EVENTS[event]
    nights = (
        f"SELECT DISTINCT night, 1 FROM run WHERE target_id = {row}.id"
        if table == "target"
        else f"SELECT {row}.night, 1 WHERE true"
    )
    yield (
        f"CREATE TRIGGER stamp_{table}_{event} AFTER {event.upper()} ON {table} BEGIN "
        f"INSERT INTO change_stamp (night, seq) {nights} "
        "ON CONFLICT (night) DO UPDATE SET seq = seq + 1; END"
    )


def _postgresql(table: str, event: str) -> Iterator[str]:
    """Yield a function and a statement trigger over the changed rows."""
    name = f"stamp_{table}_{event}"
    nights = _NIGHTS.get(table, _ITS_OWN).format(row="changed")
    rows = "OLD" if event == "delete" else "NEW"
    yield (
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "INSERT INTO change_stamp (night, seq) "
        f"SELECT DISTINCT n.night, 1 FROM ({nights}) AS n ORDER BY n.night "
        "ON CONFLICT (night) DO UPDATE SET seq = change_stamp.seq + 1; "
        "RETURN NULL; END $$"
    )
    yield (
        f"CREATE TRIGGER {name} AFTER {event.upper()} ON {table} "
        f"REFERENCING {rows} TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
    )
