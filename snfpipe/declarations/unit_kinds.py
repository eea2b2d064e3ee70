"""Unit kinds: what a step works on one of at a time.  All that differs between them is here.

A kind reads a unit's text, says how job names and folders show it, and which nights and targets
belong to it.  A plan names the kinds it works on; one of its own may come with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from snfpipe.errors import BadName, shown
from snfpipe.names import Night, check_target, short_target


class Observed(Protocol):
    """What was observed, as far as it says which nights and targets belong to a unit."""

    @property
    def nights(self) -> Sequence[str]:
        """All nights with a run, in order."""
        ...

    @property
    def nights_of(self) -> Mapping[str, Sequence[str]]:
        """Target -> the nights it was observed in, in order."""
        ...

    @property
    def targets_of(self) -> Mapping[str, Sequence[str]]:
        """Night -> the targets that were observed in it."""
        ...

    @property
    def named_by(self) -> Mapping[str, str]:
        """Target -> the night that its products are named by, that of its first run."""
        ...

    def listed(self, name: str) -> Sequence[str]:
        """Return the lines of the list ``lists/<name>.list``: nights or targets."""
        ...


@dataclass(frozen=True, slots=True)
class UnitKind:
    """One kind of unit.

    Attributes
    ----------
    name : str
        As production files write it.
    example : str
        A unit of this kind, for messages.
    parse : callable
        Checks a unit's text and returns it as lists write it; raises BadName.
    code : callable
        The unit as job names show it.
    folder : callable
        The unit's folder below that of its plan.
    nights : callable
        The nights of a unit, in order.
    targets : callable
        The targets of a unit, or None where it has all that its nights have.
    fixed : bool
        Whether the nights follow from the unit's name alone, whatever is observed.
    """

    name: str
    example: str
    parse: Callable[[str], str]
    code: Callable[[str], str]
    folder: Callable[[str], str]
    nights: Callable[[str, Observed], Sequence[str]]
    targets: Callable[[str, Observed], Sequence[str] | None]
    fixed: bool = False

    def all_targets(self, unit: str, observed: Observed) -> Sequence[str]:
        """Return the targets of a unit, those of its nights where it names none itself."""
        own = self.targets(unit, observed)
        if own is not None:
            return own
        nights = self.nights(unit, observed)
        return tuple(dict.fromkeys(t for n in nights for t in observed.targets_of.get(n, ())))


def _itself(unit: str) -> str:
    return unit


def _all_in_nights(unit: str, observed: Observed) -> None:
    return None


NIGHT = UnitKind(
    name="night",
    example="09_239",
    parse=lambda text: str(Night.parse(text)),
    code=lambda unit: Night.parse(unit).code,
    folder=lambda unit: Night.parse(unit).folder,
    nights=lambda unit, observed: (unit,),
    targets=_all_in_nights,
    fixed=True,
)

TARGET = UnitKind(
    name="target",
    example="SNF20060530-003",
    parse=check_target,
    code=short_target,
    folder=check_target,
    nights=lambda unit, observed: observed.nights_of.get(unit, ()),
    targets=lambda unit, observed: (unit,),
)

# --- months --------------------------------------------------------------------------------

_MONTH = re.compile(r"20[0-9]{2}-(?:0[1-9]|1[0-2])", re.ASCII)


def _month(text: str) -> str:
    """Check the text of a month."""
    if not _MONTH.fullmatch(text):
        raise BadName(f"{shown(text)} is no month", hint="expected something like 2009-08")
    return text


def month_of(night: str) -> str:
    """Return the month of a night: ``2009-08`` of ``09_239``."""
    return date.fromordinal(ordinal(night)).isoformat()[:7]


def ordinal(night: str) -> int:
    """Return a night as a number of days, so that differences are days."""
    year, _, day = night.partition("_")
    return date(2000 + int(year), 1, 1).toordinal() + int(day) - 1


MONTH = UnitKind(
    name="month",
    example="2009-08",
    parse=_month,
    code=lambda unit: unit.replace("-", ""),
    folder=_itself,
    nights=lambda unit, observed: tuple(n for n in observed.nights if month_of(n) == unit),
    targets=_all_in_nights,
)

# --- the whole survey, and lists -----------------------------------------------------------

EVERYTHING = "all"


def _everything(text: str) -> str:
    """Check the one unit of the survey."""
    if text != EVERYTHING:
        raise BadName(f"{shown(text)} is not the survey", hint=f"its one unit is {EVERYTHING!r}")
    return text


SURVEY = UnitKind(
    name="survey",
    example=EVERYTHING,
    parse=_everything,
    code=_itself,
    folder=_itself,
    nights=lambda unit, observed: observed.nights,
    targets=_all_in_nights,
)

_LIST = re.compile(r"[a-z][a-z0-9_]{0,29}", re.ASCII)
_NIGHT = re.compile(r"[0-9]{2}_[0-9]{3}", re.ASCII)


def _list(text: str) -> str:
    """Check the name of a hand-written list."""
    if not _LIST.fullmatch(text):
        raise BadName(
            f"{shown(text)} is no list's name", hint="expected NAME of lists/NAME.list, lower case"
        )
    return text


def _nights_of_list(unit: str, observed: Observed) -> Sequence[str]:
    """Return the nights of a list: those it names, and those of the targets it names."""
    found: dict[str, None] = {}
    for word in observed.listed(unit):
        found.update(dict.fromkeys((word,) if _NIGHT.fullmatch(word) else
                                   observed.nights_of.get(word, ())))  # fmt: skip
    return tuple(sorted(found))


def _targets_of_list(unit: str, observed: Observed) -> Sequence[str] | None:
    """Return the targets of a list of targets; a list with nights has all that these have."""
    words = observed.listed(unit)
    return None if any(map(_NIGHT.fullmatch, words)) else words


LIST = UnitKind(
    name="list",
    example="reference_stars",
    parse=_list,
    code=_itself,
    folder=_itself,
    nights=_nights_of_list,
    targets=_targets_of_list,
)
