"""Harvesting: what happened to the active jobs, and finishing those that are over.

One snapshot of the engine and one look at its accounting serve all jobs.  What is over is noted
first, for all at once: state *ended*, and what the engine says of the end.  Then it is finished,
some jobs at a time, from ledgers and what was noted.  Whoever harvests may be killed anywhere,
and two may harvest the same jobs.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from snfpipe import clock
from snfpipe.config.project import Project
from snfpipe.db import store
from snfpipe.db.models import Attempt, Job
from snfpipe.db.session import Database
from snfpipe.engines.base import Engine, EngineState
from snfpipe.errors import ServiceUnavailable
from snfpipe.garbage import uncollected
from snfpipe.jobs import root
from snfpipe.jobs.active import ActiveJob, Whose, active_jobs, of_project, stored_specs
from snfpipe.jobs.manifest import Finished
from snfpipe.jobs.observations import Moved, Over, note
from snfpipe.jobs.postmortem import diagnose
from snfpipe.jobs.products import Ended
from snfpipe.jobs.queue_snapshot import SharedQueue
from snfpipe.jobs.register import AT_ONCE, ArchiveUnavailable, clear, register
from snfpipe.killpoint import killpoint
from snfpipe.states import ACTIVE, State
from snfpipe.storage import archive
from snfpipe.worker import ledger, processes
from snfpipe.worker.ledger import Record
from snfpipe.worker.logs import last_line, tails
from snfpipe.worker.spec import JobSpec
from snfpipe.worker.starting import close

_STATE_OF: dict[EngineState | None, State] = {
    EngineState.QUEUED: State.QUEUED,
    EngineState.HELD: State.HELD,
    EngineState.ERROR: State.QUEUE_ERROR,
    EngineState.RUNNING: State.RUNNING,
}
#: For how long a job that was given up may still come to an end that counts.
LATE = timedelta(days=7)


class Harvester:
    """Looks after active jobs, whoever submitted them.

    Parameters
    ----------
    project : Project
        Whose site.
    database : Database
        Where they stand.
    engine : Engine
        Who has them.
    whose : condition, optional
        Which jobs; those of the configured productions by default.
    """

    def __init__(
        self, project: Project, database: Database, engine: Engine, whose: Whose | None = None
    ) -> None:
        self._project, self._database, self._engine = project, database, engine
        self._whose = of_project(project) if whose is None else whose
        self._queue = SharedQueue(project.site, database, engine)
        self._sizes: dict[str, int] = {}
        self._gone_since: dict[str, float] = {}
        #: Whether the last look left jobs open for the grace: without a trace, or in error.
        self.in_doubt = False
        #: Why the last look left jobs open that are over; they are in the next one.
        self.problem: ServiceUnavailable | None = None

    def look(
        self, lost_since: datetime | None = None, between: Callable[[], bool] = lambda: True
    ) -> list[Finished]:
        """Take one look at all active jobs; finish and register those that are over.

        Parameters
        ----------
        lost_since : datetime, optional
            Look also at jobs that were given up since then: they may have ended nevertheless.
        between : callable
            Called between two transactions of a long harvest; where it says no, the rest is left
            to the next look, of anybody.

        Raises
        ------
        ServiceUnavailable
            The engine or the database does not answer; nothing is lost, look again.
        """
        over = self.note(lost_since)
        finished: list[Finished] = []
        self.problem = None
        for part in store.chunks(over, AT_ONCE):
            if not between():
                break
            try:
                finished += register(self._project, self._database, self.diagnose(part))
            except ArchiveUnavailable as problem:
                finished += problem.finished
                self.problem = problem
        return finished

    def note(self, lost_since: datetime | None = None) -> list[Over]:
        """Bring the rows of active jobs up to date; return those that are over, not finished."""
        with uncollected():
            over = self._note(self._jobs(lost_since))
        if over:
            killpoint("harvest:after-note")
        return over

    def _note(self, jobs: Sequence[ActiveJob]) -> list[Over]:
        """Do what :meth:`note` says of jobs."""
        self.in_doubt = False
        if not jobs:
            return []
        self._sizes = {job.token: self._sizes.get(job.token, 0) for job in jobs}
        tokens = self._sizes.keys()
        self._gone_since = {key: it for key, it in self._gone_since.items() if key in tokens}
        # in this order: what the database knew before must be in the look while it runs
        try:
            look = self._queue.harvest()
            known = [job for job in jobs if look.knows_of(job.engine_id, job.submitted_at)]
            moved, over, silent = self._sort(known, look.states)
            given_up = self._give_up(silent)
            doubtful = [it for it in silent if it.job.state is not State.LOST]
            states = [look.states.get(job.engine_id or "") for job in known]
            self.in_doubt = len(doubtful) + states.count(EngineState.ERROR) > len(given_up)
            over += given_up
            note(self._database, moved, over)
        except BaseException:
            self._sizes.clear()  # what was seen now was not noted: see it again
            raise
        return over

    def preview(self, lost_since: datetime | None = None) -> list[tuple[ActiveJob, Ended]]:
        """Return the jobs that the next :meth:`look` would finish, and how; change nothing."""
        jobs = self._jobs(lost_since)
        _moved, over, _silent = self._sort(jobs, self._engine.snapshot() if jobs else {})
        return [(it.job, ended) for it in over for ended in self.diagnose([it])]

    def diagnose(self, over: Iterable[Over]) -> list[Ended]:
        """Say what became of jobs that are over; those whose script still runs are left out."""
        return [ended for it in over if (ended := self._diagnose(it)) is not None]

    def recover(self) -> list[Finished]:
        """Do what may have been left undone: late ends of lost jobs, and remains of old attempts.

        Returns what :meth:`look` does.
        """
        finished = self.look(clock.utc_now() - LATE)
        self.clear_incoming()
        return finished

    def clear_incoming(self) -> None:
        """Remove what attempts left that are finished, or are not their job's attempt any more.

        What a lost one left stays as long as it may end late.
        """
        place = self._project.site.archive
        tokens = archive.incoming_tokens(place)
        if not tokens:
            return
        with self._database.read() as session:
            query = (
                sa.select(Attempt.token, Job.token, Job.state, Attempt.ended_at)
                .join(Job, Job.id == Attempt.job_id)
                .where(Attempt.token.in_(tokens))
            )
            rows = session.execute(query).all()
        of_late = clock.utc_now() - LATE
        for token, current, state, ended in rows:
            may_end = state in ACTIVE or (state == State.LOST and ended and ended >= of_late)
            if token != current or not may_end:
                clear(self._database, place, token)

    # --- looking ----------------------------------------------------------------------------

    def _jobs(self, lost_since: datetime | None) -> list[ActiveJob]:
        """Return the jobs to look at, unless their folders are out of reach as a whole."""
        with self._database.read() as session:
            jobs = active_jobs(session, self._project.site, self._whose, lost_since=lost_since)
            jobs = [job for job in jobs if job.state is not State.CLAIMED]
            folders = {job.jobs for job in jobs if job.state is not State.LOST}
            if folders:
                root.check(session, self._project.site)
        for jobdir in folders:
            try:
                jobdir.stat()
            except OSError as error:
                raise ServiceUnavailable(
                    f"the folder of all jobs is out of reach: {error}",
                    hint="mount it; no job is finished meanwhile",
                ) from error
        return jobs

    def _sort(
        self, jobs: Sequence[ActiveJob], snapshot: Mapping[str, EngineState]
    ) -> tuple[list[Moved], list[Over], list[Over]]:
        """Return jobs that moved, jobs that are over, and those that left no end anywhere."""
        gone = [job for job in jobs if job.engine_id not in snapshot and job.accounting is None]
        told = self._engine.outcomes([job.engine_id for job in gone if job.engine_id])
        moved: list[Moved] = []
        over: list[Over] = []
        silent: list[Over] = []
        for job in jobs:
            state = snapshot.get(job.engine_id or "")
            if state is not None:
                self._gone_since.pop(job.token, None)
            accounting = job.accounting or told.get(job.engine_id or "")
            if job.state is State.ENDED or (state is None and accounting and accounting.final):
                over.append(Over(job, accounting))
            elif state is None:
                if job.state is not State.LOST or self._has_grown(job):
                    kinds = {record["kind"] for record in ledger.read(job.attempt.ledger)}
                    (over if kinds & {"end", "ending"} else silent).append(Over(job, accounting))
            elif state is not EngineState.RUNNING:
                if job.state not in (_STATE_OF[state], State.RUNNING):
                    moved.append(Moved(job, _STATE_OF[state]))
            elif self._has_grown(job):
                records = ledger.read(job.attempt.ledger)
                starting = last_of(records, "starting")
                if last_of(records, "end") is not None:
                    over.append(Over(job))
                elif starting is not None and job.state is not State.RUNNING:
                    moved.append(Moved(job, State.RUNNING, starting))
        return moved, over, silent

    def _give_up(self, silent: Iterable[Over]) -> list[Over]:
        """Return those of jobs that left no end anywhere that have been gone for the grace."""
        doubtful = {
            it.job.token: it
            for it in silent
            if it.job.state is not State.LOST and self._grace_is_over(it.job)
        }
        elsewhere = self._found_again([it.job for it in doubtful.values()])
        return [
            replace(it, given_up=True)
            for token, it in doubtful.items()
            if token not in elsewhere and self._never_starts(it.job)
        ]

    def _grace_is_over(self, job: ActiveJob, more_s: float = 0.0) -> bool:
        """Tell whether a job has been without a trace for the engine's grace, or was cancelled."""
        since = self._gone_since.setdefault(job.token, clock.monotonic())
        if clock.monotonic() - since >= self._engine.grace_s + more_s:
            return True
        return not more_s and last_of(ledger.read(job.attempt.ledger), "cancel") is not None

    def _never_starts(self, job: ActiveJob) -> bool:
        """Tell whether a job without a trace began once, or is kept from beginning now.

        One whose script takes the unit just now is given a second to say so.
        """
        begun = last_of(ledger.read(job.attempt.ledger), "starting") is not None
        return begun or close(job.attempt, "post-mortem") or self._grace_is_over(job, 1.0)

    def _found_again(self, jobs: Sequence[ActiveJob]) -> set[str]:
        """Note the ids of jobs that the engine has under another one than we know."""
        if not jobs:
            return set()
        found = self._engine.find([job.token for job in jobs])
        known = {job.token: job.engine_id for job in jobs}
        rows = [
            {"token": token, "engine_id": engine_id}
            for token, engine_id in found.items()
            if engine_id != known[token]
        ]
        if rows:
            self._database.transact(
                lambda session: store.update_rows(session, Attempt, rows, ["token"])
            )
        return {row["token"] for row in rows}

    def _has_grown(self, job: ActiveJob) -> bool:
        """Tell whether a ledger has grown since it was last looked at."""
        try:
            size = job.attempt.ledger.stat().st_size
        except OSError:
            return False
        before = self._sizes.get(job.token)
        self._sizes[job.token] = size
        return size != before

    # --- finishing ---------------------------------------------------------------------------

    def _diagnose(self, over: Over) -> Ended | None:
        """Say what became of a job; None where that is open."""
        job, folder = over.job, over.job.attempt
        records = ledger.read(folder.ledger)
        starting = last_of(records, "starting")
        given_up = over.given_up
        if last_of(records, "end") is None:
            if starting is not None and _runs_here(starting):
                return None  # started by hand, or its wrapper was killed: its script goes on
            # the engine speaks of an attempt that found its unit taken, or nobody speaks
            given_up = given_up or self._grace_is_over(job)
        spec = self._spec(job)
        outcome = diagnose(
            spec, records, gone=True, given_up=given_up, accounting=over.accounting,
            complaint=last_line(folder.err) or last_line(folder.engine_err),
        )  # fmt: skip
        if outcome is None or (outcome.state is State.LOST and not given_up):
            self.in_doubt = self.in_doubt or job.state is not State.LOST
            return None  # not to be said yet
        if outcome.state is State.LOST and job.state is State.LOST:
            return None  # known
        return Ended(job.job_id, job.production_id, spec, outcome, tails(folder))

    def _spec(self, job: ActiveJob) -> JobSpec:
        """Return a job's spec: its folder's, or the database's where that is out of reach."""
        try:
            return job.attempt.load()
        except (OSError, ValueError):
            with self._database.read() as session:
                return stored_specs(session, [job.token])[job.token]


def last_of(records: Sequence[Record], kind: str) -> Record | None:
    """Return the last record of a kind."""
    return next((record for record in reversed(records) if record["kind"] == kind), None)


def _runs_here(starting: Record) -> bool:
    """Tell whether the script that wrote a starting record runs on this host now."""
    same_host = starting.get("host") == socket.gethostname()
    return same_host and processes.alive(str(starting.get("process", "")))
