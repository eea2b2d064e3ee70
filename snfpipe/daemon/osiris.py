"""Osiris: the post-mortem daemon, which finishes the jobs of all productions of a database.

One serves at a time, by a lease that it renews with every step of its work; Anubis waits, and
takes over when the lease runs out or is given back.  What is to be done stands in the database:
whoever takes over, after seconds or after days, goes on from there.  Two that serve at once, one
of them believed dead, do no harm either: every change is conditional.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from snfpipe import clock
from snfpipe.config.project import Project
from snfpipe.db import lease
from snfpipe.db.session import Database
from snfpipe.engines.base import Engine
from snfpipe.errors import Refused, ServiceUnavailable, told
from snfpipe.jobs.active import ActiveJob, of_engine
from snfpipe.jobs.harvest import LATE, Harvester
from snfpipe.jobs.late_ends import note_late_ends
from snfpipe.jobs.products import Ended
from snfpipe.jobs.register import restore_manifests
from snfpipe.jobs.submit import Submitter
from snfpipe.killpoint import killpoint
from snfpipe.worker import processes

T = TypeVar("T")

_LOGGER = logging.getLogger(__name__)

HEARTBEAT_S = 60.0
_TIDY_EVERY_S = 60.0
_RENEWALS = 4  # renewals in the time that a lease holds
_SHORT_S = 5.0  # how long one try at the database may take where signals have to be heard


@dataclass(frozen=True, slots=True)
class Event:
    """Something that Osiris did or met; ``kind`` is one of those in docs/osiris.md."""

    kind: str
    text: str = ""
    job: str = ""
    production: str = ""
    unit: str = ""
    state: str = ""
    reason: str = ""
    time: datetime = field(default_factory=clock.utc_now)


def lease_name(engine: str) -> str:
    """Return the lease of the Osiris that serves an engine's jobs."""
    return f"osiris {engine}"


class Osiris:
    """The daemon.

    Parameters
    ----------
    project : Project
        Whose site, engine and database.
    database : Database
        Where jobs stand.
    engine : Engine
        Whose jobs are looked after, of whatever production.
    say : callable
        Told of every event; also an attribute.
    heartbeat_s : float
        For how long it may be silent before Anubis takes over.
    limit_s : float, optional
        After so many seconds it hands over.
    since : datetime, optional
        Jobs given up as lost since then are looked at again; a week ago by default.
    """

    def __init__(
        self,
        project: Project,
        database: Database,
        engine: Engine,
        say: Callable[[Event], None],
        *,
        heartbeat_s: float = HEARTBEAT_S,
        limit_s: float | None = None,
        since: datetime | None = None,
    ) -> None:
        database = database.with_patience(_SHORT_S)  # it says so, and looks again
        self._project, self._database, self._engine = project, database, engine
        self.say, self._heartbeat_s = say, heartbeat_s
        self._deadline = None if limit_s is None else clock.monotonic() + limit_s
        self._since = since
        self._whose = of_engine(engine)
        self._harvester = Harvester(project, database, engine, self._whose)
        self._submitter = Submitter(project, database, engine, self._whose)
        self._lease = lease_name(engine.name)
        self._me = f"{socket.gethostname()} process {processes.identity(os.getpid())}"
        self._renewed = float("-inf")
        self._tidied = float("-inf")
        self._away: Callable[[], object] | None = None  # what could not be done
        #: Whether it was told to stop.
        self.stopped = False

    def stop(self) -> None:
        """Hand over after what is being written now; a signal handler may call it."""
        self.stopped = True

    @property
    def over(self) -> bool:
        """Whether it is to stop: told so, or at the end of its time."""
        return self.stopped or (self._deadline is not None and clock.monotonic() > self._deadline)

    def begin(self) -> None:
        """Take the lease.

        Raises
        ------
        Refused
            Another Osiris serves.
        ServiceUnavailable
            The database does not answer.
        """
        if self._take():
            self.say(Event("began", f"serves {self._engine.name} jobs of {self._database.shown}"))
            return
        with self._database.read() as session:
            holder = lease.holder_of(session, self._lease)
        raise Refused(
            f"an Osiris serves already: {holder or 'it has just stopped'}",
            hint="`anubis` waits and takes over when that one stops",
        )

    def wait(self, enough: Callable[[], bool] = lambda: False) -> bool:
        """Be Anubis, until `enough` says to wait no more; tell whether the lease was taken."""
        self.say(Event("waits", "takes over when the heartbeat of Osiris stops"))
        while not self.over and not enough():
            if self._reach(self._take):
                self.say(Event("took over", f"serves {self._engine.name} jobs from now on"))
                return True
            self._pause(min(self._heartbeat_s / _RENEWALS, self._project.site.poll_s))
        return False

    def serve(self, beside: Callable[[], object] = lambda: None) -> None:
        """Look after jobs until it is time to stop; the lease is given back then.

        Parameters
        ----------
        beside : callable
            Called every turn, for what else is to be done; it raises nothing.

        Raises
        ------
        Refused
            Another took over: this one was silent for too long.
        """
        try:
            while not self.over and self._keep():
                began = clock.monotonic()
                beside()
                if not self._reach(self.cycle):
                    self._pause(self._project.site.poll_s - (clock.monotonic() - began))
        finally:
            self.end()

    def once(self) -> None:
        """Do what :meth:`serve` does, one turn of it; more where the grace has to be waited for.

        Raises
        ------
        ServiceUnavailable
            The engine or the database does not answer.
        """
        try:
            self.cycle()
            until = clock.monotonic() + 2 * self._engine.grace_s + 5
            while self._harvester.in_doubt and not self.over and clock.monotonic() < until:
                self._pause(self._project.site.poll_s)
                self.cycle()
            self._tidy()
        finally:
            self.end()

    def end(self) -> None:
        """Give the lease back if it was taken, so that Anubis need not wait for it to run out."""
        if self._renewed == float("-inf"):
            return
        self._reach(
            lambda: self._database.transact(
                lambda session: lease.release(session, self._lease, self._me)
            )
        )
        self._renewed = float("-inf")
        self.say(Event("stopped", "whoever waits takes over now"))

    def preview(self) -> list[tuple[ActiveJob, Ended]]:
        """Return the jobs that would be finished now, and how; change nothing."""
        return self._harvester.preview(self._since or clock.utc_now() - LATE)

    def cycle(self) -> int:
        """Do all that is to be done now; return how many jobs were finished."""
        began = clock.monotonic()
        finished = self._submitter.adopt()
        problem: ServiceUnavailable | None = None
        try:
            finished += self._submitter.send()
        except ServiceUnavailable as error:  # what has ended is finished all the same
            problem = error
        finished += self._harvester.look(
            self._since or clock.utc_now() - LATE, lambda: not self.over and self._keep()
        )
        if finished:
            killpoint("osiris:before-report")
        for job in finished:
            words = (job.job, job.production, job.unit, job.state.value, job.reason)
            self.say(Event("finished", "", *words))
        if clock.monotonic() - self._tidied > _TIDY_EVERY_S:
            self._tidy()
        _LOGGER.debug("a turn of %.2f s: %d finished", clock.monotonic() - began, len(finished))
        if problem := problem or self._harvester.problem:
            raise problem
        return len(finished)

    def _tidy(self) -> None:
        """Do what need not be done every time."""
        if self._tidied == float("-inf"):  # whoever served before may have been killed
            restore_manifests(self._project, self._database, everything=True)
        since = self._since or clock.utc_now() - LATE
        for late in note_late_ends(self._database, self._project.site, self._whose, since):
            self.say(Event("late end", f"attempt {late.number}: {late.text}", job=late.job))
        self._harvester.clear_incoming()
        self._tidied = clock.monotonic()

    # --- the lease --------------------------------------------------------------------------

    def _take(self) -> bool:
        """Take or renew the lease; tell whether it is ours."""
        began = clock.monotonic()
        ours = self._database.transact(
            lambda session: lease.take(session, self._lease, self._me, self._heartbeat_s)
        )
        if ours:
            self._renewed = began
            _LOGGER.debug("holds the lease for %g s", self._heartbeat_s)
        return ours

    def _keep(self) -> bool:
        """Renew the lease when it is time to, and wait while the database is away.

        Returns
        -------
        bool
            False where it is time to stop.

        Raises
        ------
        Refused
            The lease is another's.
        """
        while not self.over:
            if clock.monotonic() - self._renewed < self._heartbeat_s / _RENEWALS:
                return True
            ours = self._reach(self._take)
            if ours:
                return True
            if ours is not None:
                raise Refused(
                    f"another Osiris took over after {self._heartbeat_s:g} s of silence",
                    hint="nothing is lost; `anubis` waits for the next turn",
                )
        return False

    # --- services that go away --------------------------------------------------------------

    def _reach(self, work: Callable[[], T]) -> T | None:
        """Return what `work` does, or None after a pause where a service is away."""
        try:
            result = work()
        except (ServiceUnavailable, OSError) as error:  # a disk is a service, too
            if self._away is None:
                self._away = work
                self.say(Event("service away", told(error)))
            self._pause(max(1.0, self._project.site.poll_s))
            return None
        if self._away == work:  # the lease may well be renewed while a scheduler is away
            self._away = None
            self.say(Event("service back"))
        return result

    def _pause(self, seconds: float) -> None:
        """Sleep, but not beyond a word to stop."""
        until = clock.monotonic() + seconds
        while not self.over and (left := until - clock.monotonic()) > 0:
            clock.sleep(min(0.2, left))
