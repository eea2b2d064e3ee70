"""Lists of units: one a line, ``#`` comments, blank lines allowed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from snfpipe.config.textfile import Where, read_text
from snfpipe.declarations.unit_kinds import UnitKind
from snfpipe.errors import BadName, ConfigError, Place, printable, shown


def read_list(path: Path, kind: UnitKind, asked_by: Where | None = None) -> tuple[str, ...]:
    """Return the units of a list file, in its order.

    Parameters
    ----------
    path : Path
        The list.
    kind : UnitKind
        What it is a list of.
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
    return parse_list(text, kind, printable(path))


def parse_list(text: str, kind: UnitKind, source: str) -> tuple[str, ...]:
    """Return the units of a list's text; `source` names it in errors."""
    seen: dict[str, tuple[str, int]] = {}  # what job names hold of a unit -> unit, line
    for number, word in _words(text):
        place = Place(source, line=number)
        try:
            unit = kind.parse(word)
        except BadName as error:
            raise ConfigError(error.message, hint=error.hint, place=place) from error
        code = kind.code(unit)
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


def list_words(path: Path) -> tuple[str, ...]:
    """Return the lines of a list whatever they are, without comments.

    Raises
    ------
    NotFound, ConfigError
        There is no such file, or it is no text.
    """
    return tuple(word for _number, word in _words(read_text(path, "make it, one name a line")))


def _words(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that hold something, with their numbers."""
    for number, line in enumerate(text.split("\n"), 1):
        word = line.partition("#")[0].strip()
        if word:
            yield number, word
