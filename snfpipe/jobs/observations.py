"""What a look at the engine and the ledgers tells of jobs, noted in bulk before any is finished."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from snfpipe import clock
from snfpipe.db import store
from snfpipe.db.models import Attempt, Job
from snfpipe.db.session import Database
from snfpipe.engines.base import EngineOutcome
from snfpipe.jobs.active import ActiveJob, stored
from snfpipe.jobs.postmortem import moment_of
from snfpipe.states import WITH_ENGINE, State
from snfpipe.worker.ledger import Record


@dataclass(frozen=True, slots=True)
class Over:
    """A job whose attempt is over, and what the engine says of it."""

    job: ActiveJob
    accounting: EngineOutcome | None = None
    given_up: bool = False


@dataclass(frozen=True, slots=True)
class Moved:
    """A job that changed its state but is not over; ``starting`` is the ledger's, when it began."""

    job: ActiveJob
    state: State
    starting: Record | None = None


def note(database: Database, moved: Sequence[Moved], over: Sequence[Over]) -> None:
    """Store new states, and what the engine says of ends."""
    ends = [it.job for it in over if it.job.state in WITH_ENGINE and not it.given_up]
    changes = [*moved, *(Moved(job, State.ENDED) for job in ends)]
    for part in store.chunks(changes):
        database.transact(partial(_write_states, part))
    told = [
        {"token": it.job.token, **_facts(it.accounting)}
        for it in over
        if it.accounting is not None and it.job.accounting is None
    ]
    for rows in store.chunks(told):
        database.transact(partial(store.update_rows, model=Attempt, rows=rows, match=["token"]))


def _write_states(moved: Sequence[Moved], session: Session) -> None:
    """Change the states of jobs that are where they were seen."""
    moment = clock.utc_now()
    for before in {it.job.state for it in moved}:
        rows = [
            {"id": it.job.job_id, "token": it.job.token, "state": it.state.value, "updated": moment}
            for it in moved
            if it.job.state is before
        ]
        store.update_rows(session, Job, rows, ["id", "token"], Job.state == before.value)
    started = [
        {
            "token": it.job.token,
            "started_at": moment_of(it.starting["time"]),
            "host": str(it.starting.get("host", ""))[:80],
        }
        for it in moved
        if it.starting
    ]
    store.update_rows(session, Attempt, started, ["token"])


def _facts(outcome: EngineOutcome) -> dict[str, Any]:
    """Return what an attempt's row says of an end that only the engine has told of so far."""
    return {
        "accounting": stored(outcome),
        "exit_status": outcome.exit_status,
        "signal": outcome.signal,
        "cpu_s": outcome.cpu_s,
        "memory_mb": outcome.memory_mb,
        "host": outcome.host[:80],
        "started_at": moment_of(outcome.started),
        "ended_at": moment_of(outcome.ended),
    }
