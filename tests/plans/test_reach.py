"""Edges, selection and freshness reach equally far, whatever the kinds of units and the scope."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from snfpipe.declarations.rows import Candidate
from snfpipe.declarations.spec import Input, Scope
from snfpipe.declarations.unit_kinds import MONTH, NIGHT, SURVEY, TARGET, UnitKind, month_of
from snfpipe.plans.reach import Members, all_nights, in_reach, nights_read, units_read
from tests.declarations.observations import Observations
from tests.shapes.project import PACKAGE

_KINDS = runpy.run_path(str(PACKAGE / "other_survey" / "kinds.py"))
HALF_YEAR: UnitKind = _KINDS["HALF_YEAR"]
half_of = _KINDS["half_of"]

KINDS = st.sampled_from([NIGHT, TARGET, MONTH, HALF_YEAR, SURVEY])


def units_of(kind: UnitKind, observed: Observations) -> list[str]:
    """Return all units of a kind that anything was observed of."""
    per_night = {NIGHT: lambda night: night, MONTH: month_of, HALF_YEAR: half_of}
    if kind == TARGET:
        return [*observed.nights_of]
    if kind == SURVEY:
        return ["all"]
    return sorted({per_night[kind](night) for night in observed.nights})


def candidate(night: str, unit: str, target: str | None, *, exposure: bool) -> Candidate:
    """Return a product of which nothing matters but where it comes from."""
    known = {"night": night, "unit": unit, "target": target, "id_exposure": 1 if exposure else None}
    return Candidate(**{it.name: known.get(it.name) for it in fields(Candidate)})  # type: ignore[arg-type]


def products_of(kind: UnitKind, unit: str, observed: Observations) -> Iterator[Candidate]:
    """Yield a product of each exposure of a unit, and one of the whole unit."""
    targets = kind.all_targets(unit, observed)
    for night, target in observed.runs:
        if night in kind.nights(unit, observed) and target in targets:
            yield candidate(night, unit, target, exposure=True)
    if kind == TARGET:
        yield candidate(observed.named_by[unit], unit, unit, exposure=False)
    else:
        yield candidate(kind.nights(unit, observed)[0], unit, None, exposure=False)


@given(data=st.data(), reader=KINDS, maker=KINDS, scope=st.sampled_from(Scope),
       days=st.integers(0, 60))  # fmt: skip
def test_whatever_a_unit_may_select_comes_from_a_unit_that_it_waits_for(
    data: st.DataObject, reader: UnitKind, maker: UnitKind, scope: Scope, days: int
) -> None:
    observed = Observations.of(data)
    others = units_of(maker, observed)
    members = Members(maker, others, observed)
    made = [it for unit in others for it in products_of(maker, unit, observed)]
    it = Input("role", ((18, 0),), scope, days=days)
    for unit in units_of(reader, observed):
        nights = set(nights_read(it, reader, unit, observed))
        seen = in_reach(it, reader, unit, observed, [one for one in made if one.night in nights])
        edges = units_read(it, reader, unit, members, observed)
        assert set(edges) <= set(others)
        if scope.ordered_only:
            assert edges == []  # the whole step comes first
        else:
            assert {one.unit for one in seen} <= set(edges)


def test_of_the_night_that_names_a_target_only_what_is_of_the_whole_target_is_read() -> None:
    observed = Observations([("00_300", "GD71"), ("00_301", "GD71")])
    it = Input("role", ((18, 0),), Scope.NIGHT_TARGETS)
    whole = candidate("00_300", "GD71", "GD71", exposure=False)
    other = candidate("00_300", "00_300", "GD71", exposure=True)
    mine = candidate("00_301", "00_301", "GD71", exposure=True)
    assert nights_read(it, NIGHT, "00_301", observed) == ("00_301", "00_300")
    assert in_reach(it, NIGHT, "00_301", observed, [whole, other, mine]) == [whole, mine]


@given(data=st.data(), kind=KINDS, scope=st.sampled_from(Scope), days=st.integers(0, 60))
def test_every_night_that_a_unit_may_read_from_is_looked_at_for_changes(
    data: st.DataObject, kind: UnitKind, scope: Scope, days: int
) -> None:
    observed = Observations.of(data)
    it = Input("role", ((18, 0),), scope, days=days)
    for unit in units_of(kind, observed):
        assert set(nights_read(it, kind, unit, observed)) <= set(
            all_nights((it,), kind, unit, observed)
        )


@given(data=st.data(), days=st.integers(0, 60))
def test_nights_are_near_by_their_dates_and_both_ways(data: st.DataObject, days: int) -> None:
    observed = Observations.of(data)
    it = Input("role", ((18, 0),), Scope.NEARBY, days=days)
    near = {night: set(nights_read(it, NIGHT, night, observed)) for night in observed.nights}
    for night, others in near.items():
        assert night in others
        assert all(night in near[other] for other in others)
        assert others == {
            other for other in observed.nights if abs(_day(other) - _day(night)) <= days
        }


def _day(night: str) -> int:
    from snfpipe.names import Night

    return Night.parse(night).date.toordinal()
