"""Values that a person entered: ``lists/<table>.csv``, a row a unit; the last row of one counts.

Columns: ``unit``, then the values, then ``why``, ``who``, ``when``.  A table is versioned like any
list; rows are only added, so that it keeps who said what and when.
"""

from __future__ import annotations

import csv
import fcntl
import getpass
import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snfpipe import clock
from snfpipe.config.textfile import read_text
from snfpipe.declarations.unit_kinds import UnitKind
from snfpipe.errors import BadName, ConfigError, Place, UsageError, printable, shown

_FIRST, _LAST = "unit", ("why", "who", "when")
_COLUMN = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Entry:
    """A row: the values that a person entered for a unit, why, who, and when (UTC)."""

    values: Mapping[str, str]
    why: str
    who: str
    when: str


def table_path(root: Path, table: str) -> Path:
    """Return where a table lies."""
    return root / "lists" / f"{table}.csv"


def read_table(root: Path, table: str, kind: UnitKind) -> dict[str, Entry]:
    """Return unit -> its last row; none where there is no table.

    Raises
    ------
    ConfigError
        A column is missing, a line has another number of cells, or names no unit.
    """
    path = table_path(root, table)
    if not path.exists():
        return {}
    lines = csv.reader(io.StringIO(read_text(path)))
    source = printable(path)
    columns = [cell.strip() for cell in next(lines, [])]
    lacking = [name for name in (_FIRST, *_LAST) if name not in columns]
    if lacking:
        raise ConfigError(
            f"the table has no column {lacking[0]}",
            hint=f"its first line names the columns: {_FIRST},...,{','.join(_LAST)}",
            place=Place(source, line=1),
        )
    found: dict[str, Entry] = {}
    for cells in lines:
        if not any(map(str.strip, cells)):
            continue
        place = Place(source, line=lines.line_num)
        if len(cells) != len(columns):
            raise ConfigError(
                f"found {len(cells)} cells, expected {len(columns)}",
                hint="quote cells that hold commas",
                place=place,
            )
        row = dict(zip(columns, map(str.strip, cells), strict=True))
        try:
            unit = kind.parse(row.pop(_FIRST))
        except BadName as error:
            raise ConfigError(error.message, hint=error.hint, place=place) from error
        why, who, when = (row.pop(name) for name in _LAST)
        found[unit] = Entry(row, why, who, when)
    return found


def enter(
    root: Path,
    table: str,
    unit: str,
    values: Mapping[str, str],
    why: str,
    *,
    dry_run: bool = False,
) -> Entry:
    """Add a row: these values of a unit, and who enters them now.

    Parameters
    ----------
    root, table, unit : Path, str, str
        The project's folder, the table in it, and the unit as lists write it.
    values : mapping
        Column -> value; all columns of the table, which is made where it is missing.
    why : str
        The reason.
    dry_run : bool
        Only check, and say what would be added.

    Raises
    ------
    UsageError
        The columns are not those of the table, there is no reason, or a text is not printable.
    OSError
        The table cannot be written.
    """
    path = table_path(root, table)
    _check_texts(values, why)
    moment = f"{clock.utc_now():%Y-%m-%dT%H:%M:%SZ}"
    entry = Entry(dict(values), why, getpass.getuser(), moment)
    row = {_FIRST: unit, **values, **{name: getattr(entry, name) for name in _LAST}}
    if dry_run:
        if path.exists():
            with path.open(encoding="utf-8", newline="") as file:
                _columns(table, next(csv.reader(file), None), row)
        return entry
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8", newline="") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        first = next(csv.reader(file), None)
        writer = csv.DictWriter(file, _columns(table, first, row), lineterminator="\n")
        file.seek(0, os.SEEK_END)
        if not first:
            writer.writeheader()
        writer.writerow(row)
        file.flush()
        os.fsync(file.fileno())
    return entry


def _check_texts(values: Mapping[str, str], why: str) -> None:
    """Refuse what a table could not hold."""
    bad = next((it for it in (why, *values, *values.values()) if not it.isprintable()), None)
    if bad is not None:
        raise UsageError(f"{shown(bad)} is not printable", hint="write plain text")
    if not why.strip():
        raise UsageError("there is no reason", hint="say --why: it is kept beside the value")
    if not values:
        raise UsageError("there is no value", hint="write NAME=VALUE")
    for name in values:
        if name in (_FIRST, *_LAST) or not _COLUMN.fullmatch(name):
            raise UsageError(
                f"no value can be called {shown(name)}",
                hint=f"lower case, digits, _; not {', '.join((_FIRST, *_LAST))}",
            )


def _columns(table: str, first: Sequence[str] | None, row: Mapping[str, str]) -> list[str]:
    """Return the columns of a table; refuse a row that has others, or not all of them."""
    columns = [cell.strip() for cell in first] if first else list(row)
    known = f"its columns: {', '.join(columns)}"
    for name in row:
        if name not in columns:
            raise UsageError(f"table {table} has no column {shown(name)}", hint=known)
    for name in columns:
        if name not in row:
            raise UsageError(
                f"there is no value of {shown(name)}",
                hint=f"the last row of a unit counts as a whole; {known}",
            )
    return columns
