"""What can go wrong, said so that the next step is clear.

::

    SnfError                     3  an error
    +-- UsageError               2  the call's words are off
    |   +-- BadName              2  a name that follows no rule
    |   +-- ConfigError          2  a configuration, version or list file
    |   +-- NotFound             2  something named does not exist
    +-- Refused                  3  legal words, but not in this state
    +-- DatabaseMismatch         3  the schema is not that of the code
    +-- ServiceUnavailable       4  a database or scheduler does not answer

The number is the exit code of a command that ends with the error; 1 is kept for findings.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where a problem stands: a file, and a line or a field in it."""

    file: str
    line: int | None = None
    field: str | None = None

    def __str__(self) -> str:
        """Return ``file:line: field``, as far as known."""
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return where if self.field is None else f"{where}: {self.field}"


class SnfError(Exception):
    """Base of all errors a user can meet.

    Parameters
    ----------
    message : str
        What was found, naming the object; foreign text in it through :func:`shown`.
    hint : str
        The next step.
    place : Place, optional
        The file, line or field.
    """

    exit_code = 3

    def __init__(self, message: str, hint: str = "", place: Place | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.place = place

    def __str__(self) -> str:
        """Return place, message and, on a line of its own, the next step."""
        text = self.message if self.place is None else f"{self.place}: {self.message}"
        return f"{text}\n  next: {self.hint}" if self.hint else text


class UsageError(SnfError):
    """The words of a call are off."""

    exit_code = 2


class BadName(UsageError):
    """A name or id that follows no rule."""


class ConfigError(UsageError):
    """A configuration, version or list file that cannot be used."""


class NotFound(UsageError):
    """Something named does not exist."""


class Refused(SnfError):
    """A legal request that the present state forbids."""


class DatabaseMismatch(SnfError):
    """A database whose schema is not that of this code."""


class ServiceUnavailable(SnfError):
    """A database or scheduler that does not answer."""

    exit_code = 4


def shown(text: object, limit: int = 80) -> str:
    """Return foreign text as it may be printed: quoted, escaped and cut to `limit`."""
    quoted = ascii(str(text))
    return quoted if len(quoted) <= limit else f"{quoted[: limit - 4]}...'"


def told(error: Exception) -> str:
    """Return what an error says, in a line: an own one without its next step, a driver's own."""
    text = str(getattr(error, "message", None) or getattr(error, "orig", None) or error)
    return (text.strip().splitlines() or [type(error).__name__])[0]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a question after the word that comes closest, with a blank behind; or nothing."""
    import difflib

    close = difflib.get_close_matches(word, list(known), 1)
    return f"did you mean {close[0]}? " if close else ""


def printable(text: object) -> str:
    """Return foreign text that is a name or a line as it may be printed: escaped if need be."""
    found = str(text)
    return found if found.isprintable() else ascii(found)[1:-1]
