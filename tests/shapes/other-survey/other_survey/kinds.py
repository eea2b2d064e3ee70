"""A unit kind of this survey's own: half years."""

from __future__ import annotations

import re

from snfpipe.declarations.unit_kinds import UnitKind, month_of
from snfpipe.errors import BadName, shown

_HALF = re.compile(r"20[0-9]{2}h[12]", re.ASCII)


def half_of(night: str) -> str:
    """Return the half year of a night: ``2006h2`` of ``06_334``."""
    year, _, month = month_of(night).partition("-")
    return f"{year}h{1 if int(month) <= 6 else 2}"


def _half(text: str) -> str:
    if not _HALF.fullmatch(text):
        raise BadName(f"{shown(text)} is no half year", hint="expected something like 2006h2")
    return text


HALF_YEAR = UnitKind(
    name="half_year",
    example="2006h2",
    parse=_half,
    code=lambda unit: unit,
    folder=lambda unit: unit.replace("h", "/"),
    nights=lambda unit, observed: tuple(n for n in observed.nights if half_of(n) == unit),
    targets=lambda unit, observed: None,
)
