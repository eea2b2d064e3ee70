"""Units of every kind: what is read is what lists, job names and folders show."""

from __future__ import annotations

import runpy
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snfpipe.config.lists import parse_list
from snfpipe.declarations.unit_kinds import (
    LIST,
    MONTH,
    NIGHT,
    SURVEY,
    TARGET,
    UnitKind,
    month_of,
    ordinal,
)
from snfpipe.errors import BadName, ConfigError
from snfpipe.names import Night
from tests.declarations.observations import NIGHTS, Observations
from tests.shapes.project import PACKAGE

_KINDS = runpy.run_path(str(PACKAGE / "other_survey" / "kinds.py"))
HALF_YEAR: UnitKind = _KINDS["HALF_YEAR"]
half_of = _KINDS["half_of"]

TARGETS = st.from_regex(r"\A(?:SNF20[0-9]{6}-[0-9]{3}|PTF[0-9]{2}[a-z]{3}|GD[0-9]{2})\Z")
UNITS: dict[UnitKind, st.SearchStrategy[str]] = {
    NIGHT: NIGHTS,
    TARGET: TARGETS,
    MONTH: NIGHTS.map(month_of),
    HALF_YEAR: NIGHTS.map(half_of),
    SURVEY: st.just("all"),
    LIST: st.from_regex(r"\A[a-z][a-z0-9_]{0,29}\Z"),
}
EVERY_KIND = pytest.mark.parametrize("kind", UNITS, ids=lambda kind: kind.name)


@EVERY_KIND
@given(data=st.data())
def test_a_unit_is_read_as_lists_write_it(kind: UnitKind, data: st.DataObject) -> None:
    unit = data.draw(UNITS[kind])
    assert kind.parse(unit) == unit
    assert kind.parse(kind.example) == kind.example


@EVERY_KIND
@given(data=st.data())
def test_lists_of_units_come_back_in_their_order(kind: UnitKind, data: st.DataObject) -> None:
    units = data.draw(st.lists(UNITS[kind], unique_by=kind.code, max_size=8))
    text = "\n# a comment\n".join(f"  {unit}  # why" for unit in units)
    assert parse_list(text, kind, "a list") == tuple(units)


@EVERY_KIND
@given(data=st.data())
def test_a_unit_that_is_listed_twice_is_refused(kind: UnitKind, data: st.DataObject) -> None:
    unit = data.draw(UNITS[kind])
    with pytest.raises(ConfigError, match="listed twice, first in line 1"):
        parse_list(f"{unit}\n{unit}", kind, "a list")


@EVERY_KIND
@given(data=st.data())
def test_folders_and_codes_are_safe_and_tell_units_apart(
    kind: UnitKind, data: st.DataObject
) -> None:
    one, other = data.draw(UNITS[kind]), data.draw(UNITS[kind])
    for text in (kind.folder(one), kind.code(one)):
        path = PurePosixPath(text)
        assert text.isprintable()
        assert not path.is_absolute()
        assert ".." not in path.parts
    assert "/" not in kind.code(one)
    assert (kind.folder(one) == kind.folder(other)) == (one == other)


@EVERY_KIND
@given(text=st.text(max_size=45))
def test_a_text_is_a_unit_or_refused_by_its_name(kind: UnitKind, text: str) -> None:
    try:
        unit = kind.parse(text)
    except BadName as error:
        assert str(error).isprintable() or "\n  next: " in str(error)
        return
    assert kind.parse(unit) == unit
    assert kind.folder(unit).isprintable()


@given(observed=st.builds(Observations.of, st.data()))
def test_every_night_belongs_to_one_month_one_half_year_and_the_survey(
    observed: Observations,
) -> None:
    for kind, unit_of in ((MONTH, month_of), (HALF_YEAR, half_of), (SURVEY, lambda _night: "all")):
        found = [
            night
            for unit in sorted({unit_of(night) for night in observed.nights})
            for night in kind.nights(unit, observed)
        ]
        assert found == list(observed.nights)


@given(night=NIGHTS, other=NIGHTS)
def test_nights_are_as_far_apart_as_their_dates(night: str, other: str) -> None:
    dates = [Night.parse(text).date for text in (night, other)]
    assert ordinal(night) - ordinal(other) == (dates[0] - dates[1]).days
    assert month_of(night) == f"{dates[0]:%Y-%m}"


@given(observed=st.builds(Observations.of, st.data()))
def test_a_list_has_the_nights_it_names_and_those_of_its_targets(observed: Observations) -> None:
    nights, targets = [*observed.nights][:2], [*observed.nights_of][:1]
    listing = Observations(observed.runs, {"mixed": [*nights, *targets], "targets": targets})
    own = {night for target in targets for night in observed.nights_of[target]}
    assert list(LIST.nights("mixed", listing)) == sorted({*nights, *own})
    assert list(LIST.nights("targets", listing)) == sorted(own)
    assert LIST.all_targets("targets", listing) == targets
