"""Lists of units: one a line, ``#`` comments, blank lines allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from snfpipe.config.textfile import Where, read_text
from snfpipe.errors import BadName, ConfigError, Place, printable, shown
from snfpipe.names import Night, check_target, job_unit

#: Kind of unit -> what returns a unit as lists write it.
_CHECKS: dict[str, Callable[[str], str]] = {
    "night": lambda text: str(Night.parse(text)),
    "target": check_target,
}


def read_list(path: Path, unit_kind: str, asked_by: Where | None = None) -> tuple[str, ...]:
    """Return the units of a list file, in its order.

    Parameters
    ----------
    path : Path
        The list.
    unit_kind : str
        ``night`` or ``target``.
    asked_by : callable, optional
        Gives the place that names the list.

    Raises
    ------
    NotFound
        There is no such file.
    ConfigError
        A line that is no unit, a unit that is listed twice, or two units whose jobs would have
        one name; names file and line.
    """
    text = read_text(path, "make it, one unit a line, or name another list", asked_by)
    return parse_list(text, unit_kind, printable(path))


def parse_list(text: str, unit_kind: str, source: str) -> tuple[str, ...]:
    """Return the units of a list's text; `source` names it in errors."""
    check = _CHECKS[unit_kind]
    seen: dict[str, tuple[str, int]] = {}  # what job names hold of a unit -> unit, line
    for number, line in enumerate(text.split("\n"), 1):
        word = line.partition("#")[0].strip()
        if not word:
            continue
        place = Place(source, line=number)
        try:
            unit = check(word)
        except BadName as error:
            raise ConfigError(error.message, hint=error.hint, place=place) from error
        code = job_unit(unit, unit_kind)
        other, first = seen.setdefault(code, (unit, number))
        if first == number:
            continue
        if other == unit:
            raise ConfigError(
                f"{shown(unit)} is listed twice, first in line {first}",
                hint="remove one of the two lines",
                place=place,
            )
        raise ConfigError(
            f"{unit} and {other} of line {first} would both be called {code} in job names",
            hint="put them into lists of productions with different prefixes",
            place=place,
        )
    return tuple(unit for unit, _line in seen.values())
