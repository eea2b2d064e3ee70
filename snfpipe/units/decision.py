"""How a unit stands: the one table from a job's row, its digest and its manifest to an act."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from snfpipe.states import ACTIVE, FINISHED, State
from snfpipe.units.job_rows import JobRow


class Action(Enum):
    """What a driver does about a unit."""

    NOTHING = "nothing"
    REWRITE = "rewrite its manifest"
    ADOPT = "wait for the attempt on its way"
    RUN = "run"


class Decision(NamedTuple):
    """A unit at one moment: what to do, the word for it in tables, and why."""

    action: Action
    word: str
    reason: str


NOT_CREATED = "not created"
WAITING = "waiting"
OUTDATED = "outdated"
VALIDATED_OUTDATED = "validated but outdated"
WAITS_FOR_VALIDATION = "waiting for validation"

_NOT_CREATED = Decision(Action.RUN, NOT_CREATED, "it was never tried")


def needs_digest(row: JobRow | None) -> bool:
    """Tell whether it depends on the digest of its inputs what is to be done."""
    return row is not None and row.state in FINISHED and row.state != State.WAIVED


def decide(row: JobRow | None, digest: str | None, manifest_there: bool) -> Decision:
    """Say how a unit stands.

    Parameters
    ----------
    row : JobRow or None
        Its job, None where there is none.
    digest : str or None
        The digest of what would be selected now; not looked at unless :func:`needs_digest`.
    manifest_there : bool
        Whether the manifest on disk is the one of the row.
    """
    if row is None:
        return _NOT_CREATED
    state = row.state
    if state in ACTIVE:
        return Decision(Action.ADOPT, state, "an attempt is on its way")
    if state not in FINISHED:
        return Decision(Action.RUN, state, row.reason or "it is to be tried")
    if state != State.WAIVED and row.inputs_digest != digest:
        lost = row.inputs_digest is None and row.reason  # a repair took it away, and said why
        if state == State.VALIDATED:
            why = "its inputs, options or programs are not those it was made from"
            return Decision(Action.NOTHING, VALIDATED_OUTDATED, lost or why)
        return Decision(Action.RUN, OUTDATED, lost or "its inputs, options or programs changed")
    if not manifest_there:
        return Decision(Action.REWRITE, state, row.reason)
    return Decision(Action.NOTHING, state, row.reason)
