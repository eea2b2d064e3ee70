"""Reopening: failed jobs are put back to *created*, so that whoever plans next tries them again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

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
    for job in jobs:
        check_change(job.name, job.state, State.CREATED)
        session.execute(
            sa.update(Job)
            .where(Job.id == job.id, Job.state == str(job.state))
            .values(state=str(State.CREATED), reason=f"to be tried again, was {job.state}")
        )
