"""The states of a job and their legal changes: the one table every tool takes its words from.

A job is one unit (a night or a target) of one production.  It is *active* while an attempt
may still write to it, and *finished* when nothing will happen to it unless somebody asks or
its inputs change.  ``not created``, ``waiting``, ``outdated`` and the like are not states of a
job row: they follow from a production's list, graph and manifests.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from snfpipe.errors import Refused


class State(StrEnum):
    """What a job is doing, as stored in its row and printed by every tool."""

    CREATED = "created"
    CLAIMED = "claimed"
    HELD = "held"
    QUEUED = "queued"
    QUEUE_ERROR = "queue error"
    RUNNING = "running"
    ENDED = "ended"
    DONE = "done"
    NOTHING_TO_DO = "nothing to do"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    KILLED = "killed"
    LOST = "lost"
    CANCELLED = "cancelled"
    WAIVED = "waived"
    VALIDATED = "validated"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a state implies for those who wait for the job."""

    text: str
    active: bool = False
    finished: bool = False
    failure: bool = False


MEANING: dict[State, Meaning] = {
    State.CREATED: Meaning("has a row, no attempt is on its way"),
    State.CLAIMED: Meaning("an attempt owns it, the engine may not know it yet", active=True),
    State.HELD: Meaning("with the engine, held back", active=True),
    State.QUEUED: Meaning("with the engine, waiting for a slot", active=True),
    State.QUEUE_ERROR: Meaning("with the engine, which cannot start it", active=True),
    State.RUNNING: Meaning("its script has taken the unit", active=True),
    State.ENDED: Meaning("its script is over, its products are not registered yet", active=True),
    State.DONE: Meaning("every expected product is registered", finished=True),
    State.NOTHING_TO_DO: Meaning("nothing is expected of it, with a reason", finished=True),
    State.INCOMPLETE: Meaning("some expected products were not made", finished=True, failure=True),
    State.FAILED: Meaning("made nothing, with a reason", finished=True, failure=True),
    State.KILLED: Meaning("ended by a limit or a signal", finished=True, failure=True),
    State.LOST: Meaning(
        "left no trace in queue, accounting or ledger", finished=True, failure=True
    ),
    State.CANCELLED: Meaning("ended on an operator's word", finished=True, failure=True),
    State.WAIVED: Meaning("known to be missing, with a reason and a name", finished=True),
    State.VALIDATED: Meaning("checked and closed: read only", finished=True),
}

_OUTCOMES = frozenset(
    {State.DONE, State.NOTHING_TO_DO, State.INCOMPLETE, State.FAILED, State.KILLED, State.CANCELLED}
)
_PLANNED = frozenset({State.CLAIMED, State.NOTHING_TO_DO, State.FAILED})
#: Of a job that the engine has, or had when it was last looked at.
WITH_ENGINE = frozenset({State.HELD, State.QUEUED, State.QUEUE_ERROR, State.RUNNING})
_WITH_ENGINE = WITH_ENGINE | {State.ENDED}
_LEAVES_ENGINE = frozenset({State.LOST, State.CREATED}) | _OUTCOMES

LEGAL: dict[State, frozenset[State]] = {
    State.CREATED: _PLANNED | {State.WAIVED, State.CANCELLED},
    State.CLAIMED: _WITH_ENGINE | _LEAVES_ENGINE,
    State.HELD: _WITH_ENGINE | _LEAVES_ENGINE,
    State.QUEUED: _WITH_ENGINE | _LEAVES_ENGINE,
    State.QUEUE_ERROR: _WITH_ENGINE | _LEAVES_ENGINE,
    State.RUNNING: frozenset({State.ENDED, State.LOST}) | _OUTCOMES,
    State.ENDED: _OUTCOMES | {State.LOST},
    State.DONE: _PLANNED | {State.CREATED, State.VALIDATED},
    State.NOTHING_TO_DO: _PLANNED | {State.CREATED, State.WAIVED},
    State.INCOMPLETE: _PLANNED | {State.CREATED, State.WAIVED, State.VALIDATED},
    State.FAILED: _PLANNED | {State.CREATED, State.WAIVED},
    State.KILLED: _PLANNED | {State.CREATED, State.WAIVED},
    # a late end of the attempt that was given up corrects a loss
    State.LOST: _PLANNED | _OUTCOMES | {State.CREATED, State.WAIVED, State.ENDED},
    State.CANCELLED: _PLANNED | {State.CREATED, State.WAIVED},
    State.WAIVED: frozenset({State.CREATED}),
    State.VALIDATED: frozenset({State.CREATED, State.DONE, State.INCOMPLETE}),
}

ACTIVE = frozenset(state for state, meaning in MEANING.items() if meaning.active)
FINISHED = frozenset(state for state, meaning in MEANING.items() if meaning.finished)
FAILURES = frozenset(state for state, meaning in MEANING.items() if meaning.failure)
#: Of a job whose products may yet be registered: a late end corrects a loss.
MAY_REGISTER = ACTIVE | {State.LOST}
CLAIMABLE = frozenset(state for state in State if State.CLAIMED in LEGAL[state])


def check_change(job: str, old: State, new: State) -> None:
    """Refuse a change of state that the table does not list.

    Raises
    ------
    Refused
        Names the job, both states and what may follow the old one.
    """
    if new is old or new in LEGAL[old]:
        return
    allowed = ", ".join(sorted(LEGAL[old]))
    raise Refused(
        f"job {job} is '{old}' and cannot become '{new}'",
        hint=f"from '{old}' a job may become: {allowed}",
    )
