"""Reopening: failed jobs are put back to *created*, so that whoever plans next tries them again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy.orm import Session

from snfpipe.db import store
from snfpipe.db.models import Job
from snfpipe.states import State, check_change


class Failed(NamedTuple):
    """A job's row as it was seen."""

    id: int
    name: str
    state: State


def reopen(session: Session, jobs: Iterable[Failed]) -> None:
    """Reopen jobs, each on condition that it is still in the state it was seen in.

    Raises
    ------
    Refused
        A state from which no job goes back.
    """
    by_state: dict[State, list[dict[str, object]]] = {}
    for job in jobs:
        check_change(job.name, job.state, State.CREATED)
        reason = f"to be tried again, was {job.state}"
        row = {"id": job.id, "state": str(State.CREATED), "reason": reason}
        by_state.setdefault(job.state, []).append(row)
    for before, rows in by_state.items():
        store.update_rows(session, Job, rows, ["id"], Job.state == str(before))
