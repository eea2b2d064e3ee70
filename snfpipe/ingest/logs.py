"""The observing log of a night (``obslog.csv``) and the survey's target list (``targets.csv``).

Both are tables with a header line, as a program or a spreadsheet saves them: separated by commas,
semicolons or tabulators, in UTF-8 or UTF-16, with a byte-order mark or without, names of columns
with blanks and capitals.  A value that is empty is unknown.  What cannot be used is left out and
named with file and line, and the rest is used.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snfpipe.errors import BadName, Place, printable, shown
from snfpipe.ingest.spelling import without_blanks
from snfpipe.names import CHANNELS, check_target

#: Column -> the words that are known.
WORDS = {
    "kind": {
        "SuperNova", "StdStar", "StdStar-Faint", "StdStar-SNLS", "Candidate", "Galaxy", "Calib", "",
    },
    "run_kind": {
        "FollowUp", "PhotoFollowUp", "FinalRef", "PhotoFinalRef", "ScreenR", "PhotoScreenR",
        "HostGalaxy", "RefGalaxy", "StdStar", "Calib", "Misc", "",
    },
    "run_type": {"SPECTRED", "ACQUISITION", "ACQREF", "PHOTO", "DOME", "SKYFLAT", "SCALA", ""},
}  # fmt: skip


#: Columns whose words decide what an exposure is for: an unknown one is told.
_DECISIVE = {"kind", "run_type"}
_SEPARATORS = ",;\t"
_SEPARATOR_LINE = re.compile(r"sep=(.)\s*", re.IGNORECASE)  # which some spreadsheets begin with


@dataclass(slots=True)
class Log:
    """A table that was read.

    Attributes
    ----------
    rows : dict
        Key -> column -> value.
    lines : dict
        Key -> line.
    problems : list
        What was wrong: place, what.
    found : bool
        Whether the file is there.
    disputed : set
        Key and column of values on which two lines disagree.
    """

    rows: dict[Any, dict[str, Any]] = field(default_factory=dict)
    lines: dict[Any, int] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)
    found: bool = True
    disputed: set[tuple[Any, str]] = field(default_factory=set)


def _word(column: str) -> Callable[[str], str]:
    """Return a reader of one of a column's known words; an unknown one is kept if it is plain."""
    known = {word.casefold(): word for word in WORDS[column]}

    def read(text: str) -> str:
        if text.casefold() in known:
            return known[text.casefold()]
        if text.isascii() and text.replace("-", "").isalnum():
            return text[:20]
        raise ValueError(f"no {column}")

    return read


def _text(limit: int) -> Callable[[str], str]:
    """Return a reader of free text that a page or a shell may show."""

    def read(text: str) -> str:
        if not text.isprintable() or len(text) > limit:
            raise ValueError(f"no printable text of at most {limit} characters")
        return text

    return read


def _number(low: float = -1e6, high: float = 1e6) -> Callable[[str], float]:
    """Return a reader of numbers in a range."""

    def read(text: str) -> float:
        decimal = text.replace(",", ".") if "." not in text else text
        value = float(decimal)
        if not low <= value <= high:  # and so no nan
            raise ValueError(f"expected {low:g} to {high:g}")
        return value

    return read


def _whole(text: str) -> int:
    """Read a whole number that a small column holds."""
    value = float(text)
    if not (value.is_integer() and -999 <= value <= 9999):
        raise ValueError("expected a whole number, -999 to 9999")
    return int(value)


def _number_of(text: str) -> int:
    """Read the number of a run or an exposure."""
    value = _whole(text)
    if not 0 <= value <= 999:
        raise ValueError("expected 0 to 999")
    return value


def _channel(text: str) -> int:
    """Read a channel's letter."""
    return CHANNELS[text.upper()]


def _target(text: str) -> str:
    """Read a target's name."""
    return check_target(without_blanks(text))


_LOG: dict[str, Callable[[str], Any]] = {
    "run": _number_of, "exposure": _number_of, "channel": _channel, "fclass": _whole,
    "object": printable, "run_kind": _word("run_kind"), "run_type": _word("run_type"),
    "filter": _text(20),
    "exptime_s": _number(0), "guide": _whole, "guide_s": _number(), "guide_f": _number(),
    "guide_x": _number(), "interrupt": _whole, "quality": _whole, "qzelog": _whole,
}  # fmt: skip
_TARGETS: dict[str, Callable[[str], Any]] = {
    "name": _target, "kind": _word("kind"), "type": _text(20), "pi": _text(40),
    "ra_deg": _number(0, 360), "dec_deg": _number(-90, 90), "iauc": _text(40),
    "redshift": _number(-1, 20), "redshift_err": _number(0), "mwebv": _number(-1, 100),
    "date_c": _text(32), "date_m": _text(32),
}  # fmt: skip


def read_obslog(path: Path, place: str = "") -> Log:
    """Return the log's rows by (run, exposure, channel mask); `place` is how it is called."""
    return _read(path, place or str(path), _LOG, ("run", "exposure", "channel"))


def read_targets(path: Path, place: str = "") -> Log:
    """Return the targets by name; `place` is how the list is called."""
    return _read(path, place or str(path), _TARGETS, ("name",))


def _read(
    path: Path, place: str, columns: Mapping[str, Callable[[str], Any]], key: tuple[str, ...]
) -> Log:
    """Read a table; a missing file is a problem."""
    log = Log()
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Log(problems=[(place, "is missing")], found=False)
    except OSError as error:
        return Log(problems=[(place, f"cannot be read: {error.strerror}")])
    text = decoded(content)
    first, _, rest = text.partition("\n")
    given, skipped = _SEPARATOR_LINE.fullmatch(first.strip("\r")), 0
    if given:
        text, skipped = rest, 1
        first = rest.partition("\n")[0]
    separator = given[1] if given else max(_SEPARATORS, key=first.count)
    try:
        table = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        names = [_column(name) for name in next(table, [])]
        missing = [name for name in key if name not in names]
        if missing:
            log.problems.append((str(Place(place, line=1 + skipped)), f"no column {missing[0]}"))
            return log
        for values in table:
            if any(value.strip() for value in values):
                row = dict(zip(names, values, strict=False))
                _take(log, row, columns, key, Place(place, line=table.line_num + skipped))
    except csv.Error as error:
        log.problems.append((place, f"cannot be read further: {error}"))
    return log


def decoded(content: bytes) -> str:
    """Return a table's text, by its byte-order mark if it has one."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _column(name: str) -> str:
    """Return a column's name as it is known, whatever its blanks and capitals."""
    return "_".join(name.split()).casefold()


def _take(
    log: Log,
    row: Mapping[str, str],
    columns: Mapping[str, Callable[[str], Any]],
    key: tuple[str, ...],
    place: Place,
) -> None:
    """Take one row; a bad key loses the row, a bad value only itself."""
    values: dict[str, Any] = {}
    for name, read in columns.items():
        text = row.get(name, "").strip()
        if not text:
            continue
        try:
            values[name] = read(text)
        except (ValueError, KeyError, BadName):
            lost = ", the line is left out" if name in key else ""
            log.problems.append((str(place), f"{name} {shown(text)} cannot be used{lost}"))
            if name in key:
                return
        else:
            if name in _DECISIVE and values[name] not in WORDS[name]:
                known = ", ".join(sorted(filter(None, WORDS[name])))
                log.problems.append((str(place), f"{name} {shown(text)} is none of {known}"))
    if any(name not in values for name in key):
        log.problems.append((str(place), f"{', '.join(key)} must be given, the line is left out"))
        return
    parts = tuple(values[name] for name in key)
    _merge(log, parts[0] if len(key) == 1 else parts, values, place)


def _merge(log: Log, key: Any, values: dict[str, Any], place: Place) -> None:
    """Add a row; of a second line of its key what differs is unknown, since one must be wrong."""
    first = log.rows.setdefault(key, values)
    line = log.lines.setdefault(key, place.line or 0)
    if first is values:
        return
    differing = [name for name in values if first.get(name, values[name]) != values[name]]
    told = f", but not of {', '.join(differing)}: left out" if differing else ""
    log.problems.append((str(place), f"says again what line {line} says{told}"))
    log.disputed.update((key, name) for name in differing)
    first.update({name: value for name, value in values.items() if name not in first})
    for name in [name for name in first if (key, name) in log.disputed]:
        del first[name]
