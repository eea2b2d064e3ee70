"""One look at an engine's queue for everybody: kept in the database, taken anew by one at a time.

Whoever finds the last look too old takes the next one for all, under a lease; the others wait for
it.  So a scheduler answers once a cycle, however many watch.  An engine that asks no scheduler (the
local one looks at files of its machine) is asked whenever somebody harvests; what people are shown
is shared there, too.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe import clock
from snfpipe.config.site import Site
from snfpipe.db import lease, store
from snfpipe.db.models import Attempt, QueueSnapshot
from snfpipe.db.session import Database
from snfpipe.engines.base import Engine, EngineState
from snfpipe.jobs import driver
from snfpipe.jobs.active import active_jobs, of_engine
from snfpipe.worker.spec import AttemptFolder

_LEASE_S = 90.0  # longer than a scheduler's answer may take
_PAUSE_S = 0.1
#: How far clocks of hosts that share a database may be apart.
SKEW = timedelta(seconds=2)


class Usage(NamedTuple):
    """What the wrapper of a running job says: CPU time used and allowed, epoch of its start [s]."""

    cpu_s: float
    cpu_limit_s: float
    started: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What an engine had at a moment: engine id -> state, and of some that run -> usage.

    ``notices`` tell people what keeps jobs from starting; ``skew`` is how far ``taken`` may be off
    the clocks of others.
    """

    taken: datetime
    states: Mapping[str, EngineState]
    usage: Mapping[str, Usage]
    notices: tuple[str, ...] = ()
    skew: timedelta = SKEW

    def knows_of(self, engine_id: str | None, submitted_at: datetime | None) -> bool:
        """Tell whether a job would be in this look if the engine still had it."""
        if engine_id in self.states or submitted_at is None:
            return True
        return submitted_at + self.skew < self.taken


class SharedQueue:
    """The queue of an engine, as all who share a database see it.

    Parameters
    ----------
    site : Site
        The engine's.
    database : Database
        Where looks are kept.
    engine : Engine
        Who is asked.
    """

    def __init__(self, site: Site, database: Database, engine: Engine) -> None:
        self._site, self._database, self._engine = site, database, engine
        self._lease = f"look {engine.name}"
        self._me = json.dumps([secrets.token_hex(4), driver.identity()])

    def harvest(self) -> Snapshot:
        """Return a look for whoever finishes jobs; where it is a new one, the cap is filled up.

        It is younger than half a cycle, so that one who harvests every cycle takes a look in
        each, and those who only watch never have to.

        Raises
        ------
        ServiceUnavailable
            The engine or the database does not answer.
        """
        if self._engine.asks_scheduler:
            return self._shared(self._site.poll_s / 2, fill=True)
        look = Snapshot(clock.utc_now(), self._engine.snapshot(), {}, skew=timedelta(0))
        self._engine.fill()
        return look

    def watch(self) -> Snapshot:
        """Return a look for whoever shows jobs: at most one and a half cycles old.

        Raises
        ------
        ServiceUnavailable
            The engine or the database does not answer.
        """
        return self._shared(max(1.0, self._site.poll_s * 1.5), fill=False)

    def _shared(self, age_s: float, *, fill: bool) -> Snapshot:
        """Return the last look if it is not older than `age_s`, or take one, or wait for one."""
        while True:
            with self._database.read() as session:
                look = self._kept(session, age_s)
            if look is None and self._database.transact(self._take_lease):
                look = self._renew(age_s, fill=fill)
            if look is not None:
                return look
            clock.sleep(_PAUSE_S)

    def _take_lease(self, session: Session) -> bool:
        """Take the lease; one whose holder was killed on this host is not waited for."""
        if lease.take(session, self._lease, self._me, _LEASE_S):
            return True
        holder = lease.holder_of(session, self._lease)
        if holder is None or not _is_dead(holder):
            return False
        lease.release(session, self._lease, holder)
        return lease.take(session, self._lease, self._me, _LEASE_S)

    def _renew(self, age_s: float, *, fill: bool) -> Snapshot:
        """Take a look and keep it, unless somebody has just done so; give the lease back."""
        new: Snapshot | None = None
        try:
            with self._database.read() as session:
                look = self._kept(session, age_s)
            if look is not None:
                return look
            new = self._take()
            if fill:
                self._engine.fill()
            return new
        finally:
            self._database.transact(lambda session: self._keep(session, new))

    def _take(self) -> Snapshot:
        """Ask the engine, and the wrappers of running jobs by the files they leave."""
        moment = clock.utc_now()
        states, notices = self._engine.snapshot(), self._engine.notices
        idents = [ident for ident, state in states.items() if state is EngineState.RUNNING]
        with self._database.read() as session:
            whose = sa.and_(
                of_engine(self._engine), store.among(session, Attempt.engine_id, idents)
            )
            jobs = active_jobs(session, self._site, whose) if idents else []
        running = {job.engine_id: job.attempt for job in jobs if job.engine_id}
        return Snapshot(moment, states, usage_of(running), notices)

    def _keep(self, session: Session, look: Snapshot | None) -> None:
        """Keep a look for the others, and let them take the next."""
        if look is not None:
            row = {
                "engine": self._engine.name,
                "taken": look.taken,
                "states": {ident: str(state) for ident, state in look.states.items()},
                "usage": look.usage,
                "notices": look.notices,
            }
            store.upsert(session, QueueSnapshot, [row], ["taken", "states", "usage", "notices"])
        lease.release(session, self._lease, self._me)

    def _kept(self, session: Session, age_s: float) -> Snapshot | None:
        """Return the last look if it is not older than `age_s`."""
        row = session.get(QueueSnapshot, self._engine.name)
        if row is None or clock.utc_now() - row.taken > timedelta(seconds=age_s):
            return None
        states = {ident: EngineState(state) for ident, state in row.states.items()}
        usage = {ident: Usage(*it) for ident, it in row.usage.items()}
        return Snapshot(row.taken, states, usage, tuple(row.notices))


def _is_dead(holder: str) -> bool:
    """Tell whether who holds a lease was a process of this host, and is no more."""
    try:
        _one_of_many, claimer = json.loads(holder)
        return driver.has_let_go(claimer, timedelta(0), _LEASE_S)
    except (ValueError, AttributeError):
        return False


def usage_of(attempts: Mapping[str, AttemptFolder]) -> dict[str, Usage]:
    """Return what wrappers have said of attempts that run, where they have, under the same keys."""
    found = {}
    for key, attempt in attempts.items():
        with suppress(OSError, ValueError, TypeError):
            found[key] = Usage(*map(float, attempt.usage.read_text(encoding="ascii").split()))
    return found
