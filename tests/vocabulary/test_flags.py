"""Quality flags: the text QualityS, inheritance, queries on both databases."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from snfpipe import flags
from snfpipe.db import store
from snfpipe.db.models import Process
from snfpipe.db.session import open_database
from snfpipe.errors import BadName

TEST_LIST = (*string.ascii_uppercase, *string.ascii_lowercase)
FULL_LIST = tuple(f"F{number}" for number in range(flags.MAXIMUM))


def test_the_official_flags_in_their_order() -> None:
    assert flags.known_flags() == (
        "ES_PRIOR_POSITION", "ES_PRIOR_SEEING", "ES_PRIOR_AIRMASS", "ES_PRIOR_PARANGLE",
        "ES_MIS-CENTERED", "PFC_XNIGHT", "PFC_RELFLX", "ARTIFICIAL_ARC",
        "ES_HOST_MODEL", "ES_NO_SOURCE", "ES_LOW_SN", "ES_PLACE_UNSURE", "ES_EXTRA_LIGHT",
        "ES_CHI2",
    )  # fmt: skip


def test_the_real_example() -> None:
    text = flags.encode("AMbv", TEST_LIST)
    assert text.encode("latin-1") == b"$" + bytes.fromhex("C0 82 80 81 80 80 82")
    assert flags.decode(text, TEST_LIST) == ("A", "M", "b", "v")


def test_no_flag_is_the_dollar_alone() -> None:
    assert flags.encode([]) == "$"
    assert flags.decode("$") == ()


@given(st.sets(st.sampled_from(FULL_LIST)))
def test_flags_are_read_as_they_are_written(some: set[str]) -> None:
    text = flags.encode(some, FULL_LIST)
    assert set(flags.decode(text, FULL_LIST)) == some
    assert len(text) <= 40 and not text.endswith("\x80")
    assert flags.encode(reversed(sorted(some)), FULL_LIST) == text


@given(st.sets(st.sampled_from(FULL_LIST)))
def test_the_query_selects_by_each_flag_what_has_it(some: set[str]) -> None:
    text = flags.encode(some, FULL_LIST)
    for flag in FULL_LIST:
        position, characters = flags.matching_characters(flag, FULL_LIST)
        assert (text[position - 1 : position] in characters) == (flag in some)


@given(st.lists(st.sets(st.sampled_from(flags.known_flags()))), st.sets(
    st.sampled_from(flags.known_flags())))  # fmt: skip
def test_a_product_has_the_flags_of_its_parents_and_its_own(
    parents: list[set[str]], own: set[str]
) -> None:
    text = flags.inherit([flags.encode(one) for one in parents], own)
    assert set(flags.decode(text)) == own.union(*parents)


def test_a_list_has_room_for_273_flags_and_no_more() -> None:
    assert flags.MAXIMUM == 273
    assert len(flags.encode([FULL_LIST[-1]], FULL_LIST)) == 40
    with pytest.raises(BadName, match="'one more' is no quality flag"):
        flags.encode(["one more"], (*FULL_LIST, "one more"))


@pytest.mark.parametrize("text", ["", "C0", "$a", "$\u0180", "$" + "\x80" * 40, " $", "$\n"])
def test_what_is_no_quality_text_is_refused(text: str) -> None:
    with pytest.raises(BadName, match="no QualityS text"):
        flags.decode(text)


def test_a_flag_that_the_list_lacks_is_refused() -> None:
    with pytest.raises(BadName, match="'A_NEW_ONE' is no quality flag"):
        flags.encode(["A_NEW_ONE"])
    with pytest.raises(BadName, match="sets flag number 19, the list has 14") as refused:
        flags.decode("$\x80\x80\x82")
    assert "newer" in refused.value.hint
    with pytest.raises(BadName):
        flags.matching_characters("A_NEW_ONE")


@pytest.mark.services
def test_processes_are_selected_by_flag(database_url: str) -> None:
    database = open_database(database_url, create=True)
    held = {
        "1": ["PFC_XNIGHT"],
        "2": ["PFC_XNIGHT", "ARTIFICIAL_ARC"],
        "3": ["ARTIFICIAL_ARC", "ES_PRIOR_SEEING"],
        "4": [],
    }
    row = {"fclass": 38, "xfclass": 100, "channel": 4, "version": 203, "idx": 0, "night": "09_239"}
    with database.write() as session:
        rows = [
            {**row, "id_process": ident, "quality_s": flags.encode(some)}
            for ident, some in held.items()
        ]
        store.insert(session, Process, rows)
    with database.read() as session:
        for flag in flags.known_flags():
            found = session.scalars(select(Process.id_process).where(store.has_flag(flag)))
            assert set(found) == {ident for ident, some in held.items() if flag in some}
        kept = {
            ident: flags.decode(text)
            for ident, text in session.execute(select(Process.id_process, Process.quality_s))
        }
        assert {ident: set(some) for ident, some in kept.items()} == {
            ident: set(some) for ident, some in held.items()
        }
        with pytest.raises(BadName):
            store.has_flag("A_NEW_ONE")
    database.close()
