"""Reopening: failed jobs are put back to *created*, so that whoever plans next tries them again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy.orm import Session

from snfpipe.db import store
from snfpipe.db.models import Job
from snfpipe.grouping import grouped
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
    for before, failed in grouped((job.state, job) for job in jobs).items():
        check_change(failed[0].name, before, State.CREATED)
        reason = f"to be tried again, was {before}"
        rows = [{"id": it.id, "state": State.CREATED, "reason": reason} for it in failed]
        store.update_rows(session, Job, rows, ["id"], Job.state == before)
