"""States of jobs: one table of legal changes, and what it promises."""

from __future__ import annotations

import pytest

from snfpipe.errors import Refused
from snfpipe.states import (
    ACTIVE,
    CLAIMABLE,
    FAILURES,
    FINISHED,
    LEGAL,
    MEANING,
    State,
    check_change,
)


def test_every_state_has_a_meaning_and_a_line_in_the_table() -> None:
    assert set(MEANING) == set(LEGAL) == set(State)
    assert all(meaning.text for meaning in MEANING.values())


def test_every_change_is_allowed_or_refused_as_the_table_says() -> None:
    for old in State:
        for new in State:
            if new is old or new in LEGAL[old]:
                check_change("SNF-0203-SAMPLEe-06334", old, new)
                continue
            with pytest.raises(Refused) as refused:
                check_change("SNF-0203-SAMPLEe-06334", old, new)
            assert f"job SNF-0203-SAMPLEe-06334 is '{old}'" in refused.value.message
            assert str(new) in refused.value.message
            assert all(allowed in refused.value.hint for allowed in LEGAL[old])


def test_a_job_is_in_hand_or_settled_or_neither_and_never_both() -> None:
    assert not ACTIVE & FINISHED
    assert set(State) - ACTIVE - FINISHED == {State.CREATED}
    assert FAILURES < FINISHED


def test_what_is_in_hand_can_not_be_claimed_again() -> None:
    assert not CLAIMABLE & ACTIVE
    assert set(State) - {State.WAIVED, State.VALIDATED} == CLAIMABLE | ACTIVE


def test_what_a_person_closed_is_opened_before_anything_else() -> None:
    assert LEGAL[State.WAIVED] == {State.CREATED}
    assert LEGAL[State.VALIDATED] == {State.CREATED, State.DONE, State.INCOMPLETE}


def test_no_state_is_a_dead_end_and_every_state_can_be_reached() -> None:
    assert all(LEGAL.values())
    reached, frontier = {State.CREATED}, {State.CREATED}
    while frontier:
        frontier = set().union(*(LEGAL[state] for state in frontier)) - reached
        reached |= frontier
    assert reached == set(State)


def test_what_an_engine_has_can_end_in_every_way() -> None:
    ends = {
        State.DONE, State.NOTHING_TO_DO, State.INCOMPLETE, State.FAILED, State.KILLED, State.LOST,
        State.CANCELLED,
    }  # fmt: skip
    for state in ACTIVE:
        assert ends <= LEGAL[state]


def test_a_late_end_corrects_a_loss_and_nothing_else_that_is_settled() -> None:
    assert State.DONE in LEGAL[State.LOST]
    for state in FINISHED - {State.LOST, State.VALIDATED}:
        assert State.DONE not in LEGAL[state] and State.ENDED not in LEGAL[state]


def test_only_products_that_are_there_can_be_validated() -> None:
    assert {old for old in State if State.VALIDATED in LEGAL[old]} == {
        State.DONE, State.INCOMPLETE
    }  # fmt: skip
