"""What runs and waits, for people: the active jobs of a database, as the last look saw them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session

from snfpipe import clock
from snfpipe.config.site import Site
from snfpipe.db import store
from snfpipe.db.models import Attempt, Job
from snfpipe.db.session import Database
from snfpipe.engines.base import Engine
from snfpipe.jobs.active import of_engine
from snfpipe.jobs.queue_snapshot import SharedQueue, Snapshot, Usage, usage_of
from snfpipe.states import ACTIVE, WITH_ENGINE, State
from snfpipe.worker.spec import AttemptFolder


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """An active job; times in seconds, None where they are not known.

    One that is not ``registered`` is of ``batch_jobs -L``.
    """

    name: str
    state: str
    engine_id: str | None
    host: str
    time_s: float | None
    cpu_s: float | None
    cpu_limit_s: float | None
    registered: bool


@dataclass(frozen=True, slots=True)
class Queue:
    """The active jobs, and when the engine was last looked at (UTC).

    ``notices`` are the engine's words on what keeps jobs from starting.
    """

    engine: str
    taken: datetime
    jobs: tuple[QueuedJob, ...]
    notices: tuple[str, ...]

    @property
    def counts(self) -> Counter[str]:
        """Count jobs by state; running and queued ones in any case."""
        counts = Counter({str(State.RUNNING): 0, str(State.QUEUED): 0})
        counts.update(job.state for job in self.jobs)
        return counts

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "taken": self.taken.isoformat(), "counts": dict(self.counts)}


def queue(site: Site, database: Database, engine: Engine, patterns: Sequence[str] = ()) -> Queue:
    """Return the active jobs of an engine, of all productions; running ones first.

    Parameters
    ----------
    site : Site
        The engine's.
    database : Database
        Where jobs and looks stand.
    engine : Engine
        Asked only if the last look is too old.
    patterns : sequence of str
        Shell patterns of job names; all by default.

    Raises
    ------
    ServiceUnavailable
        The engine or the database does not answer.
    """
    look = SharedQueue(site, database, engine).watch()
    query = (
        sa.select(Job.name, Job.state, Attempt.engine_id, Attempt.host, Attempt.submitted_at)
        .join(Attempt, Attempt.token == Job.token)
        .where(of_engine(engine), Job.state.in_(ACTIVE))
        .order_by(Job.name)
    )
    with database.read() as session:
        jobs = [_job(look, *row) for row in session.execute(query)]
        jobs += _unregistered(session, engine, look)
    if patterns:
        jobs = [it for it in jobs if any(fnmatchcase(it.name, pattern) for pattern in patterns)]
    order = {state: place for place, state in enumerate(_ORDER)}
    jobs.sort(key=lambda job: order.get(State(job.state), len(order)))
    return Queue(engine.name, look.taken, tuple(jobs), look.notices)


def _unregistered(session: Session, engine: Engine, look: Snapshot) -> list[QueuedJob]:
    """Return the jobs in a look that the database never heard of; what it knows is over, or listed.

    An attempt that was submitted just now is known by its token before it is by its engine id.
    """
    strange = set(look.states) - _known(session, Attempt.engine_id, look.states)
    found = {it: AttemptFolder.at(path) for it, path in sorted(engine.folders(strange).items())}
    known = _known(session, Attempt.token, {attempt.token for attempt in found.values()})
    strangers = {it: attempt for it, attempt in found.items() if attempt.token not in known}
    usage = usage_of(strangers)
    return [
        _queued(attempt.job, str(look.states[it]), it, "", usage.get(it), registered=False)
        for it, attempt in strangers.items()
    ]


def _known(
    session: Session, column: InstrumentedAttribute[Any], values: Collection[str]
) -> set[str]:
    """Return those values that an attempt has in a column."""
    return set(store.scalars_in(session, sa.select(column), column, values))


_ORDER = (State.RUNNING, State.ENDED, State.QUEUE_ERROR, State.HELD, State.QUEUED, State.CLAIMED)


def _job(
    look: Snapshot,
    name: str,
    state: str,
    engine_id: str | None,
    host: str,
    submitted: datetime | None,
) -> QueuedJob:
    """Put together what the database and the look say of a job."""
    seen = look.states.get(engine_id or "")
    if seen is not None:
        state = str(seen)
    elif state in WITH_ENGINE and look.knows_of(engine_id, submitted):
        state = str(State.ENDED)
    usage = look.usage.get(engine_id or "") if state == State.RUNNING else None
    return _queued(name, state, engine_id, host, usage)


def _queued(
    name: str,
    state: str,
    engine_id: str | None,
    host: str,
    usage: Usage | None,
    *,
    registered: bool = True,
) -> QueuedJob:
    """Return a job with what its wrapper says, if it runs."""
    return QueuedJob(
        name=name,
        state=state,
        engine_id=engine_id,
        host=host,
        time_s=round(clock.epoch_s() - usage.started, 1) if usage else None,
        cpu_s=usage.cpu_s if usage else None,
        cpu_limit_s=usage.cpu_limit_s if usage else None,
        registered=registered,
    )
