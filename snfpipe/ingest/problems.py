"""What an operator has to see of raw frames and logs, and how often it is told."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

_NAMED = 3  #: how many of many frames are named
_CARD = re.compile(r"([A-Z0-9_-]{1,8})=\S+: (.*)")
_VALUE = re.compile(r"'[^']*'|[-+]?\d[\d.]*")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that loses light, or may be a mix-up.

    Parameters
    ----------
    night : str
        Of which night, empty for what belongs to none.
    kind : str
        As in an audit: missing, wrong or unexpected.
    object : str
        The frame, the line, the run, the file.
    what : str
        What is the matter.
    next_step : str
        What to do about it.
    """

    night: str
    kind: str
    object: str
    what: str
    next_step: str

    def __str__(self) -> str:
        """Return object and what."""
        return f"{self.object}: {self.what}"

    @property
    def place(self) -> str:
        """Where to look, below the raw folder."""
        if "/" in self.object or not self.night:
            return self.object
        return self.night.replace("_", "/")


def not_taken(night: str, path: str, reason: str) -> Problem:
    """Return the problem of something in the raw folder that was not taken."""
    what = f"not taken: {reason}"
    return Problem(night, "wrong", path, what, "replace or remove it, then `snf ingest` and `doit`")


def told_once(
    found: Mapping[str, Iterable[str]], groups: Mapping[str, Collection[str]]
) -> Iterator[tuple[str, str]]:
    """Yield (who, what) for what was found of frames; what holds for all of a group comes once.

    Parameters
    ----------
    found : mapping
        Frame -> what was found of it.
    groups : mapping
        What all frames of a group are called -> the frames; larger groups first.
    """
    frames_of: dict[str, list[str]] = {}
    for frame, texts in found.items():
        for text in texts:
            frames_of.setdefault(text, []).append(frame)
    for text, frames in frames_of.items():
        left = set(frames)
        for group, members in groups.items():
            if len(members) > _NAMED and left.issuperset(members):
                left.difference_update(members)
                yield group, text
        yield from ((frame, text) for frame in frames if frame in left)


def said_once(found: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield (place, what) of a table's lines; what many lines share comes once, with the first."""
    places_of: dict[str, list[str]] = {}
    for place, what in found:
        places_of.setdefault(what, []).append(place)
    for what, places in places_of.items():
        if len(places) > _NAMED:
            yield places[0], f"{what} (and {len(places) - 1} more lines)"
        else:
            yield from ((place, what) for place in places)


def grouped(found: Mapping[str, Iterable[str]]) -> list[str]:
    """Return notes on frames, a line for all that say the same of different frames and values."""
    groups: dict[str, dict[str, tuple[list[str], list[str]]]] = {}
    for frame, texts in found.items():
        for text in texts:
            match = _CARD.fullmatch(text)
            cards, what = ([match[1]], match[2]) if match else ([], text)
            key = _VALUE.sub("#", what)
            told = groups.setdefault(key, {}).setdefault(frame, ([], [what]))
            told[0].extend(cards)
    lines = []
    for frames in groups.values():
        cards = sorted({card for told, _ in frames.values() for card in told})
        what = next(iter(frames.values()))[1][0]
        lines.append(f"{named(list(frames))}: {', '.join(cards)}{': ' if cards else ''}{what}")
    return lines


def named(frames: Sequence[str]) -> str:
    """Return the names of frames, of many the number and the first."""
    if len(frames) <= _NAMED:
        return ", ".join(frames)
    return f"{len(frames)} frames ({', '.join(frames[:_NAMED])} ...)"
