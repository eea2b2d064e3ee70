"""A person's word on jobs: validated, reopened, waived.

A validated job is read only: what it made has Status 2, and when its inputs change it is called
*validated but outdated* and not made again until it is reopened.  A waived one is known to be
missing, for a reason that somebody gave.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe import clock
from snfpipe.db import store
from snfpipe.db.models import Job, Process
from snfpipe.errors import UsageError
from snfpipe.states import LEGAL, State

REGISTERED, VALIDATED = 1, 2


@dataclass(frozen=True, slots=True)
class Word:
    """What was done, or would be, about a job; ``refused`` says why nothing was."""

    job: str
    old: State
    new: State
    refused: str = ""


def set_status(
    session: Session, job_ids: Iterable[int], status: int, by: str, *, dry_run: bool = False
) -> list[Word]:
    """Validate jobs and all they made (2), or reopen them (1).

    A job that made nothing because it had nothing to do needs no validation and is left alone;
    one that was waived and is reopened is to be tried again.

    Parameters
    ----------
    session : Session
        A writing session.
    job_ids : iterable of int
        Rows of jobs.
    status : int
        1 or 2.
    by : str
        Who says so.
    dry_run : bool
        Only say what would be done.

    Returns
    -------
    list of Word
        A word on each job that was changed or could not be, by name.

    Raises
    ------
    UsageError
        There is no such status.
    """
    if status not in (REGISTERED, VALIDATED):
        raise UsageError(
            f"there is no status {status} to set", hint="1 is registered (reopens), 2 validated"
        )
    rows = _locked(session, job_ids)
    if status == VALIDATED:
        closed = {State.VALIDATED, State.NOTHING_TO_DO}
        words = [_to(row, State.VALIDATED) for row in rows if row.state not in closed]
        reasons = {row.name: row.reason or f"validated by {by}" for row in rows}
    else:
        opened = [row for row in rows if row.state in (State.VALIDATED, State.WAIVED)]
        words = [_to(row, row.made_as) for row in opened]
        reasons = {row.name: row.made_reason for row in opened}
    if not dry_run:
        _write(session, words, reasons)
        _set_processes(session, [word.job for word in words if not word.refused], status)
    return words


def waive(
    session: Session, job_ids: Iterable[int], reason: str, by: str, *, dry_run: bool = False
) -> list[Word]:
    """Say of jobs that nothing more is expected of them, for a reason.

    Parameters and result as of :func:`set_status`.

    Raises
    ------
    UsageError
        The reason or the name is empty.
    """
    if not reason.strip() or not by.strip():
        raise UsageError("a job is waived for a reason, by somebody", hint="--waive REASON")
    rows = _locked(session, job_ids)
    words = [_to(row, State.WAIVED) for row in rows if row.state is not State.WAIVED]
    if not dry_run:
        _write(session, words, {row.name: f"{reason.strip()} ({by.strip()})" for row in rows})
    return words


@dataclass(frozen=True, slots=True)
class _Row:
    """A job's row, locked."""

    name: str
    state: State
    reason: str
    manifest: str | None

    @property
    def made_as(self) -> State:
        """What a closed job becomes when it is reopened: what its attempt made of it."""
        if self.state is State.VALIDATED and self.manifest:
            outcome = State(json.loads(self.manifest)["outcome"])
            return outcome if outcome in LEGAL[State.VALIDATED] else State.CREATED
        return State.CREATED

    @property
    def made_reason(self) -> str:
        """What the attempt gave as reason, or that the job is to be tried again."""
        if self.made_as is State.CREATED:
            return f"to be tried again, was {self.state}"
        return str(json.loads(self.manifest or "{}").get("reason", ""))


def _locked(session: Session, job_ids: Iterable[int]) -> list[_Row]:
    """Return rows of jobs, locked, by name."""
    query = (
        sa.select(Job.name, Job.state, Job.reason, Job.manifest).order_by(Job.id).with_for_update()
    )
    rows = [
        _Row(name, State(state), reason, manifest)
        for name, state, reason, manifest in store.rows_in(session, query, Job.id, job_ids)
    ]
    return sorted(rows, key=lambda row: row.name)


def _to(row: _Row, new: State) -> Word:
    """Return the change of a job, refused where the table of states has none such."""
    if new in LEGAL[row.state]:
        return Word(row.name, row.state, new)
    told = f" ({row.reason})" if row.reason else ""
    return Word(row.name, row.state, row.state, f"it is '{row.state}'{told}")


def _write(session: Session, words: Sequence[Word], reasons: Mapping[str, str]) -> None:
    """Change the rows of jobs, in bulk."""
    moment = clock.utc_now()
    rows = [
        {"name": word.job, "state": word.new.value, "reason": reasons[word.job], "updated": moment}
        for word in words
        if not word.refused
    ]
    store.update_rows(session, Job, rows, ["name"])


def _set_processes(session: Session, names: Iterable[str], status: int) -> None:
    """Set the status of the live processes of jobs, where it is another."""
    ids = store.scalars_in(session, sa.select(Job.id), Job.name, names)
    others = sa.update(Process).where(Process.state == "live", Process.status != status)
    store.change_in(session, others.values(status=status), Process.job_id, ids)
