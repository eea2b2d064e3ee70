"""What an engine's accounting alone makes of an attempt whose ledger says nothing."""

from __future__ import annotations

import pytest

from snfpipe.engines.base import EngineOutcome
from snfpipe.jobs.postmortem import diagnose
from snfpipe.states import State
from tests.jobs.attempts import make_spec

FAILED_START = EngineOutcome(failure="failed 21: in recognizing job", final=False)


@pytest.mark.parametrize(
    ("accounting", "state", "reason"),
    [
        (EngineOutcome(signal=9, started=1.0), State.KILLED, "SIGKILL ended it"),
        (EngineOutcome(signal=9, failure="over a limit"), State.KILLED, "'over a limit'"),
        (EngineOutcome(failure="refused: no queue"), State.FAILED, "could not run it"),
        (EngineOutcome(exit_status=0, failure="assumedly after job"), State.FAILED, "after job"),
        (EngineOutcome(exit_status=3), State.FAILED, "status 3"),
        (EngineOutcome(exit_status=0), State.LOST, "its ledger does not"),
    ],
)
def test_an_end_that_only_the_engine_tells(tmp_path, accounting, state, reason):
    outcome = diagnose(make_spec(tmp_path), [], gone=True, accounting=accounting)
    assert outcome is not None
    assert outcome.state is state
    assert reason in outcome.reason


def test_failed_starts_are_waited_out_and_then_a_loss_with_the_reason(tmp_path):
    spec = make_spec(tmp_path)
    assert diagnose(spec, [], gone=True, accounting=FAILED_START) is None
    outcome = diagnose(spec, [], gone=True, given_up=True, accounting=FAILED_START)
    assert outcome is not None
    assert outcome.state is State.LOST
    assert "failed 21: in recognizing job" in outcome.reason


def test_while_the_engine_has_it_nothing_is_over(tmp_path):
    accounting = EngineOutcome(exit_status=0)
    assert diagnose(make_spec(tmp_path), [], gone=False, accounting=accounting) is None
