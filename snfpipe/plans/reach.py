"""How far an input reaches: the nights, targets and units from which a unit may read.

The graph makes edges of it, freshness the nights whose changes may bear on a unit, and the
selection the candidates of a unit.  Everything follows from the input's scope and the kinds.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache

from snfpipe.declarations.rows import Candidate
from snfpipe.declarations.spec import Input, PlanSpec, Scope
from snfpipe.declarations.unit_kinds import Observed, UnitKind, ordinal

#: Scopes that reach no further than the nights of the unit itself.
_OWN_NIGHTS = (Scope.SAME_EXPOSURE, Scope.SAME_NIGHT, Scope.TARGET_NIGHTS)


def depends_on_runs(spec: PlanSpec, kind: UnitKind) -> bool:
    """Tell whether it depends on what was observed from which nights a unit may read."""
    wide = (Scope.NIGHT_TARGETS, Scope.NEARBY, Scope.SURVEY)
    return not kind.fixed or any(it.scope in wide for it in spec.inputs)


def nights_read(it: Input, kind: UnitKind, unit: str, observed: Observed) -> Sequence[str]:
    """Return the nights whose files an input may be, products of targets by their names."""
    own = kind.nights(unit, observed)
    match it.scope:
        case Scope.NEARBY:
            return _nearby(own, observed.nights, it.days)
        case Scope.SURVEY:
            return observed.nights
        case Scope.NIGHT_TARGETS:
            return _with_names(own, kind.all_targets(unit, observed), observed)
        case Scope.SAME_UNIT:
            return _with_names(own, kind.targets(unit, observed) or (), observed)
    return own


def all_nights(
    inputs: Iterable[Input], kind: UnitKind, unit: str, observed: Observed
) -> tuple[str, ...]:
    """Return every night whose changes may bear on a unit."""
    own = kind.nights(unit, observed)
    further = [it for it in inputs if it.scope not in _OWN_NIGHTS]
    if not further:
        return tuple(own)
    found = dict.fromkeys(own)
    for it in further:
        found.update(dict.fromkeys(nights_read(it, kind, unit, observed)))
    return tuple(found)


def in_reach(
    it: Input, kind: UnitKind, unit: str, observed: Observed, found: Iterable[Candidate]
) -> list[Candidate]:
    """Return those candidates of an input that a unit may read."""
    match it.scope:
        case Scope.SAME_UNIT:
            return [one for one in found if one.unit == unit]
        case Scope.SAME_EXPOSURE | Scope.TARGET_NIGHTS:
            own = kind.targets(unit, observed)
            wide = it.scope is Scope.TARGET_NIGHTS
            return [one for one in found if own is None or _is_of(own, one, wide)]
        case Scope.NIGHT_TARGETS:
            targets = set(kind.all_targets(unit, observed))
            own_nights = set(kind.nights(unit, observed))
            return [
                one
                for one in found
                # of the night that names a target only what is of the whole target
                if one.target in targets and (one.id_exposure is None or one.night in own_nights)
            ]
    return list(found)


class Members:
    """The units of a step, by the nights and targets that belong to them."""

    def __init__(self, kind: UnitKind, units: Sequence[str], observed: Observed) -> None:
        self.kind = kind
        self.units = frozenset(units)
        self.by_night: dict[str, list[str]] = {}
        self.by_target: dict[str, list[str]] = {}
        for unit in units:
            targets = kind.targets(unit, observed)
            table, keys = (
                (self.by_night, kind.nights(unit, observed))
                if targets is None
                else (self.by_target, targets)
            )
            for key in keys:
                table.setdefault(key, []).append(unit)


def units_read(
    it: Input, kind: UnitKind, unit: str, others: Members, observed: Observed
) -> list[str]:
    """Return the units of another step from which a unit may read.

    None for an input that orders whole steps only.
    """
    if it.scope.ordered_only:
        return []
    if it.scope is Scope.SAME_UNIT:
        return [unit] if others.kind == kind and unit in others.units else []
    found: dict[str, None] = {}
    for night in kind.nights(unit, observed):
        found.update(dict.fromkeys(others.by_night.get(night, ())))
    if others.by_target:
        own = kind.targets(unit, observed)
        if own is None or it.scope is Scope.SAME_NIGHT:
            own = _targets_in(kind.nights(unit, observed), observed)
        for target in own:
            found.update(dict.fromkeys(others.by_target.get(target, ())))
    return list(found)


def _targets_in(nights: Iterable[str], observed: Observed) -> Sequence[str]:
    """Return all targets of some nights."""
    return tuple(dict.fromkeys(t for night in nights for t in observed.targets_of.get(night, ())))


def _with_names(
    nights: Sequence[str], targets: Iterable[str], observed: Observed
) -> tuple[str, ...]:
    """Return nights, and those that products of targets are named by."""
    named = (observed.named_by[it] for it in targets if it in observed.named_by)
    return tuple(dict.fromkeys((*nights, *named)))


def _is_of(targets: Sequence[str], one: Candidate, wide: bool) -> bool:
    """Tell whether a candidate is of one of the targets; products of nights count where `wide`."""
    return one.target in targets or (wide and one.target is None)


@lru_cache(8)
def _ordinals(nights: tuple[str, ...]) -> list[int]:
    """Return nights as numbers of days; asked for again for every unit of a step."""
    return [ordinal(night) for night in nights]


def _nearby(own: Sequence[str], nights: Sequence[str], days: int) -> tuple[str, ...]:
    """Return the nights that are within some days of one of `own`."""
    numbers = _ordinals(tuple(nights))
    found: dict[str, None] = dict.fromkeys(own)
    for night in own:
        here = ordinal(night)
        first, last = bisect_left(numbers, here - days), bisect_right(numbers, here + days)
        found.update(dict.fromkeys(nights[first:last]))
    return tuple(found)
