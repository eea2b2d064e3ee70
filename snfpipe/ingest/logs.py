"""The observing log of a night (``obslog.csv``) and the survey's target list (``targets.csv``).

Both are tables with a header line; a value that is empty is unknown.  A line that cannot be used
is left out with a warning that names file and line, and the rest is used.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snfpipe.errors import BadName, Place, shown
from snfpipe.names import CHANNELS, check_target

_WORDS = {
    "kind": {
        "SuperNova", "StdStar", "StdStar-Faint", "StdStar-SNLS", "Candidate", "Galaxy", "Calib", "",
    },
    "run_kind": {
        "FollowUp", "PhotoFollowUp", "FinalRef", "PhotoFinalRef", "ScreenR", "PhotoScreenR",
        "HostGalaxy", "RefGalaxy", "StdStar", "Calib", "Misc", "",
    },
    "run_type": {"SPECTRED", "ACQUISITION", "ACQREF", "PHOTO", "DOME", "SKYFLAT", "SCALA", ""},
}  # fmt: skip


@dataclass(slots=True)
class Log:
    """A table that was read: rows by key, and what was wrong with it."""

    rows: dict[Any, dict[str, Any]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def _word(column: str) -> Callable[[str], str]:
    """Return a reader of one of a column's known words; an unknown one is kept if it is plain."""

    def read(text: str) -> str:
        if text in _WORDS[column] or (text.isascii() and text.replace("-", "").isalnum()):
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
        value = float(text)
        if not low <= value <= high:  # and so no nan
            raise ValueError(f"expected {low:g} to {high:g}")
        return value

    return read


def _whole(text: str) -> int:
    """Read a whole number that a small column holds."""
    if not -999 <= int(text) <= 9999:
        raise ValueError("expected -999 to 9999")
    return int(text)


def _channel(text: str) -> int:
    """Read a channel's letter."""
    return CHANNELS[text]


_LOG: dict[str, Callable[[str], Any]] = {
    "run": _whole, "exposure": _whole, "channel": _channel, "fclass": _whole, "object": str,
    "run_kind": _word("run_kind"), "run_type": _word("run_type"), "filter": _text(20),
    "exptime_s": _number(0), "guide": _whole, "guide_s": _number(), "guide_f": _number(),
    "guide_x": _number(), "interrupt": _whole, "quality": _whole, "qzelog": _whole,
}  # fmt: skip
_TARGETS: dict[str, Callable[[str], Any]] = {
    "name": check_target, "kind": _word("kind"), "type": _text(20), "pi": _text(40),
    "ra_deg": _number(0, 360), "dec_deg": _number(-90, 90), "iauc": _text(40),
    "redshift": _number(-1, 20), "redshift_err": _number(0), "mwebv": _number(-1, 100),
    "date_c": _text(32), "date_m": _text(32),
}  # fmt: skip


def read_obslog(path: Path) -> Log:
    """Return the log's rows by (run, exposure, channel mask)."""
    return _read(path, _LOG, ("run", "exposure", "channel"))


def read_targets(path: Path) -> Log:
    """Return the targets by name."""
    return _read(path, _TARGETS, ("name",))


def _read(path: Path, columns: Mapping[str, Callable[[str], Any]], key: tuple[str, ...]) -> Log:
    """Read a table; a missing file is a warning."""
    log = Log()
    try:
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            table = csv.DictReader(file)
            missing = [name for name in key if name not in (table.fieldnames or ())]
            if missing:
                log.warnings.append(f"{Place(str(path), line=1)}: no column {missing[0]}")
                return log
            for row in table:
                _take(log, row, columns, key, Place(str(path), line=table.line_num))
    except FileNotFoundError:
        log.warnings.append(f"{path} is missing")
    except (OSError, csv.Error) as error:
        log.warnings.append(f"{path}: {error}")
    return log


def _take(
    log: Log,
    row: Mapping[str, str | None],
    columns: Mapping[str, Callable[[str], Any]],
    key: tuple[str, ...],
    place: Place,
) -> None:
    """Take one row; a bad key loses the row, a bad value only itself."""
    values: dict[str, Any] = {}
    for name, read in columns.items():
        text = (row.get(name) or "").strip()
        if not text:
            continue
        try:
            values[name] = read(text)
        except (ValueError, KeyError, BadName):
            log.warnings.append(f"{place}: {name} {shown(text)} cannot be used")
            if name in key:
                return
    if any(name not in values for name in key):
        log.warnings.append(f"{place}: {', '.join(key)} must be given")
        return
    found = tuple(values[name] for name in key)
    log.rows[found[0] if len(key) == 1 else found] = values
