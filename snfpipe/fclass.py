"""File classes: what a product of class Fclass/XFclass is, and what it may be made from.

The catalogue is the table ``data/fclasses.tsv``.  It is not complete, and never will be while
people try new steps: a class that it lacks is kept, and :func:`warning` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

from snfpipe.errors import BadName, shown

#: A class: Fclass, XFclass.
Pair = tuple[int, int]

#: Raw Fclass -> Fclass once preprocessed.
PREPROCESSED = {3: 4, 7: 8, 12: 13, 17: 18, 52: 54, 60: 61, 25: 70}


@dataclass(frozen=True, slots=True)
class FileClass:
    """One class of the catalogue: what it is, what makes it, what it may be made from."""

    fclass: int
    xfclass: int
    meaning: str
    made_by: str
    parents: tuple[Pair, ...]


@cache
def catalogue() -> Mapping[Pair, FileClass]:
    """Return all known classes, by (Fclass, XFclass), in order."""
    text = resources.files("snfpipe").joinpath("data/fclasses.tsv").read_text(encoding="ascii")
    found: dict[Pair, FileClass] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        code, made_by, sources, told = line.split("\t")
        pair = parse(code)
        found[pair] = FileClass(*pair, told, made_by, tuple(map(parse, sources.split())))
    return MappingProxyType(found)


def parse(text: str) -> Pair:
    """Return the class that is written ``038_100``.

    Raises
    ------
    BadName
        It is not written like that.
    """
    fclass, _, xfclass = text.partition("_")
    if not all(len(part) == 3 and part.isascii() and part.isdigit() for part in (fclass, xfclass)):
        raise BadName(f"{shown(text)} is no file class", hint="expected something like 038_100")
    return int(fclass), int(xfclass)


def code(fclass: int, xfclass: int) -> str:
    """Return how file names write a class: ``038_100``."""
    return f"{fclass:03}_{xfclass:03}"


def meaning(fclass: int, xfclass: int) -> str:
    """Return what a class is, in a few words; of an unknown one, that it is unknown."""
    known = catalogue().get((fclass, xfclass))
    return known.meaning if known else "unknown class"


def parents(fclass: int, xfclass: int) -> tuple[Pair, ...]:
    """Return the classes a class may be made from; none of raw and unknown ones."""
    known = catalogue().get((fclass, xfclass))
    return known.parents if known else ()


def children(fclass: int, xfclass: int) -> tuple[Pair, ...]:
    """Return the classes that may be made from a class, in order."""
    return _children().get((fclass, xfclass), ())


def warning(fclass: int, xfclass: int) -> str | None:
    """Return what to say of a class that the catalogue lacks, or None of one it has."""
    if (fclass, xfclass) in catalogue():
        return None
    return f"class {code(fclass, xfclass)} is not in the catalogue; it is kept as it is"


@cache
def _children() -> Mapping[Pair, tuple[Pair, ...]]:
    """Return the catalogue's parents, turned around."""
    found: dict[Pair, tuple[Pair, ...]] = {}
    for pair, known in catalogue().items():
        for parent in known.parents:
            found[parent] = (*found.get(parent, ()), pair)
    return found
