"""From a job's row, its digest and its manifest to what is done about the unit."""

from __future__ import annotations

import pytest

from snfpipe.states import MEANING, State
from snfpipe.units.decision import Action, decide, needs_digest
from snfpipe.units.job_rows import JobRow


def row(state: State, digest: str | None = "d1") -> JobRow:
    return JobRow("SNF-0203-XZz-06334", "PFQ/06/334", str(state), "why", digest, "sha", 1)


@pytest.mark.parametrize("state", State)
def test_every_state_has_one_act_for_each_digest(state):
    same = decide(row(state), "d1", manifest_there=True)
    other = decide(row(state), "d2", manifest_there=True)
    meaning = MEANING[state]
    if meaning.active:
        assert (same.action, other.action) == (Action.ADOPT, Action.ADOPT)
    elif not meaning.finished:
        assert (same.action, other.action) == (Action.RUN, Action.RUN)
    elif state in (State.WAIVED, State.VALIDATED):
        assert (same.action, other.action) == (Action.NOTHING, Action.NOTHING)
    else:
        assert (same.action, other.action) == (Action.NOTHING, Action.RUN)


def test_a_unit_without_a_job_runs():
    assert decide(None, None, manifest_there=False).action is Action.RUN


def test_a_settled_failure_is_kept_with_its_reason():
    decision = decide(row(State.FAILED), "d1", manifest_there=True)
    assert (decision.action, decision.word, decision.reason) == (Action.NOTHING, "failed", "why")


def test_a_missing_manifest_is_rewritten_and_never_re_run():
    assert decide(row(State.DONE), "d1", manifest_there=False).action is Action.REWRITE


def test_a_validated_unit_is_never_redone_but_says_that_it_is_outdated():
    decision = decide(row(State.VALIDATED), "d2", manifest_there=True)
    assert decision.action is Action.NOTHING
    assert decision.word == "validated but outdated"


def test_only_settled_units_that_could_run_again_need_their_inputs_selected():
    assert needs_digest(row(State.DONE))
    assert needs_digest(row(State.FAILED))
    assert not needs_digest(row(State.RUNNING))
    assert not needs_digest(row(State.WAIVED))
    assert not needs_digest(None)
