"""Quality flags: an append-only list of names, kept with a process as the text QualityS.

The text is ``$`` and then one character a group of seven flags: its highest bit is always set,
the seven others are the group's flags in their order, the first one highest.  Groups after the
last flag that is set are not written; 39 groups make 273 flags.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources

from snfpipe.errors import BadName, shown

_GROUP = 7
MAXIMUM = 39 * _GROUP


@cache
def known_flags() -> tuple[str, ...]:
    """Return the official flags, in order."""
    text = resources.files("snfpipe").joinpath("data/flags.txt").read_text(encoding="ascii")
    return tuple(line for line in text.split("\n") if line and not line.startswith("#"))


def encode(flags: Iterable[str], order: Sequence[str] | None = None) -> str:
    """Return the QualityS text of some flags.

    Raises
    ------
    BadName
        A flag that is not on the list.
    """
    places = {name: place for place, name in enumerate(order or known_flags())}
    groups: list[int] = []
    for flag in flags:
        if flag not in places or places[flag] >= MAXIMUM:
            raise BadName(f"{shown(flag)} is no quality flag", hint="see snfpipe/data/flags.txt")
        group, bit = divmod(places[flag], _GROUP)
        groups.extend([0] * (group + 1 - len(groups)))
        groups[group] |= 1 << (_GROUP - 1 - bit)
    return "$" + "".join(chr(0x80 | bits) for bits in groups)


def decode(text: str, order: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the flags of a QualityS text, in order.

    Raises
    ------
    BadName
        The text is none, or sets a flag that is not on the list.
    """
    names = order or known_flags()
    if not text.startswith("$") or len(text) > 40 or any(ord(c) & ~0x7F != 0x80 for c in text[1:]):
        raise BadName(f"{shown(text)} is no QualityS text", hint="it is $ and characters 80 to FF")
    found = [
        group * _GROUP + bit
        for group, character in enumerate(text[1:])
        for bit in range(_GROUP)
        if ord(character) >> (_GROUP - 1 - bit) & 1
    ]
    if found and found[-1] >= len(names):
        raise BadName(
            f"{shown(text)} sets flag number {found[-1]}, the list has {len(names)}",
            hint="it was written by a newer snfpipe",
        )
    return tuple(names[place] for place in found)


def inherit(texts: Iterable[str], own: Iterable[str] = ()) -> str:
    """Return the QualityS of a product: its parents' flags and its own."""
    return encode({flag for text in texts for flag in decode(text)} | set(own))


def matching_characters(
    flag: str, order: Sequence[str] | None = None
) -> tuple[int, tuple[str, ...]]:
    """Return what selects a flag in SQL: ``substr(quality_s, position, 1) IN characters``.

    Returns
    -------
    position : int
        Place in the text, from 1 on.
    characters : tuple of str
        The 64 characters that have the flag's bit.
    """
    names = order or known_flags()
    if flag not in names:
        raise BadName(f"{shown(flag)} is no quality flag", hint="see snfpipe/data/flags.txt")
    group, bit = divmod(names.index(flag), _GROUP)
    mask = 1 << (_GROUP - 1 - bit)
    return group + 2, tuple(chr(0x80 | bits) for bits in range(128) if bits & mask)
