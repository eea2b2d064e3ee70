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
from collections.abc import Mapping
from pathlib import Path

from snfpipe import clock
from snfpipe.config.textfile import read_text
from snfpipe.declarations.unit_kinds import UnitKind
from snfpipe.errors import BadName, ConfigError, Place, UsageError, printable, shown

_FIRST, _LAST = "unit", ("why", "who", "when")


def table_path(root: Path, table: str) -> Path:
    """Return where a table lies."""
    return root / "lists" / f"{table}.csv"


def read_table(root: Path, table: str, kind: UnitKind) -> dict[str, dict[str, str]]:
    """Return unit -> its last row, without the column ``unit``; none where there is no table.

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
    found: dict[str, dict[str, str]] = {}
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
        found[unit] = row
    return found


def enter(root: Path, table: str, unit: str, values: Mapping[str, str], why: str) -> Path:
    """Add a row: these values of a unit, and who enters them now.

    Raises
    ------
    UsageError
        A column that the table does not have, no reason, or a text that is not printable.
    OSError
        The table cannot be written.
    """
    path = table_path(root, table)
    texts = [unit, why, *values, *values.values()]
    bad = next((it for it in texts if not it.isprintable()), None)
    if bad is not None:
        raise UsageError(f"{shown(bad)} is not printable", hint="write plain text")
    if not why.strip():
        raise UsageError("there is no reason", hint="say --why: it is kept beside the value")
    moment = f"{clock.utc_now():%Y-%m-%dT%H:%M:%SZ}"
    row = {_FIRST: unit, **values, "why": why, "who": getpass.getuser(), "when": moment}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8", newline="") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        first = next(csv.reader(file), None)
        columns = [cell.strip() for cell in first] if first else list(row)
        strange = [name for name in row if name not in columns]
        if strange:
            raise UsageError(
                f"table {table} has no column {shown(strange[0])}",
                hint=f"its columns: {', '.join(columns)}",
            )
        file.seek(0, os.SEEK_END)
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        if not first:
            writer.writeheader()
        writer.writerow(row)
        file.flush()
        os.fsync(file.fileno())
    return path
