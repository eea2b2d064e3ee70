"""Lists of units: one a line, ``#`` comments, blank lines allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from snfpipe.errors import BadName, ConfigError, NotFound, Place, shown
from snfpipe.names import Night, check_job_units, check_target


def _night(text: str) -> str:
    """Return a night as lists write it."""
    return str(Night.parse(text))


_CHECKS: dict[str, Callable[[str], str]] = {"night": _night, "target": check_target}


def read_list(path: Path, unit_kind: str) -> tuple[str, ...]:
    """Return the units of a list file, in its order.

    Parameters
    ----------
    path : Path
        The list.
    unit_kind : str
        ``night`` or ``target``.

    Raises
    ------
    NotFound
        There is no such file.
    ConfigError
        A line that is no unit, or a unit that is listed twice; names file and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise NotFound(
            f"there is no list {path}", hint="make it, one unit a line, or name another list"
        ) from error
    except (UnicodeDecodeError, OSError) as error:
        raise ConfigError(
            f"the list cannot be read: {error}", hint="a list is UTF-8 text", place=Place(str(path))
        ) from error
    units = parse_list(text, unit_kind, str(path))
    try:
        check_job_units(units, unit_kind)
    except BadName as error:
        raise ConfigError(error.message, hint=error.hint, place=Place(str(path))) from error
    return units


def parse_list(text: str, unit_kind: str, source: str) -> tuple[str, ...]:
    """Return the units of a list's text; `source` names it in errors."""
    check = _CHECKS[unit_kind]
    lines: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        word = line.partition("#")[0].strip()
        if not word:
            continue
        place = Place(source, line=number)
        try:
            unit = check(word)
        except BadName as error:
            raise ConfigError(error.message, hint=error.hint, place=place) from error
        first = lines.setdefault(unit, number)
        if first != number:
            raise ConfigError(
                f"{shown(unit)} is listed twice, first in line {first}",
                hint="remove one of the two lines",
                place=place,
            )
    return tuple(lines)


def format_list(units: tuple[str, ...], comment: str = "") -> str:
    """Return the text of a list."""
    head = [f"# {line}" for line in comment.splitlines()]
    return "\n".join([*head, *units]) + "\n"
