"""Targets by whatever spelling: ``gd71`` and ``GD 71`` are GD71."""

from __future__ import annotations

import re
from collections.abc import Iterable

_DROPPED = re.compile("[ \t\xa0_-]+")
_BLANKS = re.compile("[ \t\xa0]+")


def spelling(name: str) -> str:
    """Return what the spellings of one target have in common: no case, blanks or dashes."""
    return _DROPPED.sub("", name).casefold()


def without_blanks(name: str) -> str:
    """Return a name as names of targets are written."""
    return _BLANKS.sub("", name)


class KnownTargets:
    """The names of targets that are known, found by any spelling."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(names)
        self._by_spelling: dict[str, str | None] = {}
        for name in self.names:
            key = spelling(name)
            self._by_spelling[key] = None if key in self._by_spelling else name

    def name_of(self, text: str) -> str:
        """Return the known name that a text spells; of none, or of two, the text without blanks."""
        if text in self.names:
            return text
        return self._by_spelling.get(spelling(text)) or without_blanks(text)

    def like(self, text: str) -> str | None:
        """Return the known name that comes closest to a misspelt one, if any is close."""
        import difflib

        close = difflib.get_close_matches(spelling(text), self._by_spelling, 1, cutoff=0.7)
        return self._by_spelling[close[0]] if close else None
