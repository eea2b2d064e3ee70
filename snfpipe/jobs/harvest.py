"""Harvesting: what happened to the jobs in hand, and settling those that are over.

One snapshot of the engine serves all jobs; a ledger is read only when it has grown or its job is
gone.  Whoever harvests may be killed anywhere, and two may harvest the same jobs.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe import archive
from snfpipe.config import Project
from snfpipe.db import store
from snfpipe.db.models import Attempt, Job, Production
from snfpipe.db.session import Database
from snfpipe.engines import processes
from snfpipe.engines.base import Engine, EngineOutcome, EngineState
from snfpipe.jobs import ledger
from snfpipe.jobs.commands import take
from snfpipe.jobs.ledger import Record
from snfpipe.jobs.manifest import Settled
from snfpipe.jobs.postmortem import judge
from snfpipe.jobs.products import Ended
from snfpipe.jobs.register import clear, register
from snfpipe.jobs.spec import AttemptFolder
from snfpipe.states import IN_HAND, State

_STATE_OF: dict[EngineState | None, State] = {
    EngineState.QUEUED: State.QUEUED,
    EngineState.HELD: State.HELD,
    EngineState.ERROR: State.QUEUE_ERROR,
    EngineState.RUNNING: State.RUNNING,
}
_TAIL_BYTES = 2000


@dataclass(frozen=True, slots=True)
class InHand:
    """A job with an attempt that is not settled; ``folder`` is below JOBDIR."""

    job_id: int
    production_id: int
    name: str
    unit: str
    folder: str
    state: State
    token: str
    number: int
    engine_id: str | None

    def attempt(self, jobs: Path) -> AttemptFolder:
        """Return the attempt's folder below JOBDIR."""
        attempts = jobs / self.folder / f"{self.name}.attempts"
        return AttemptFolder(attempts / f"{self.number:03}-{self.token}", self.name)


def in_hand(session: Session, project: Project, states: frozenset[State] = IN_HAND) -> list[InHand]:
    """Return the jobs of the configured productions that are in hand (or in other `states`)."""
    query = (
        sa.select(
            Job.id, Job.production_id, Job.name, Job.unit, Job.folder, Job.state, Job.token,
            Attempt.number, Attempt.engine_id,
        )
        .join(Attempt, Attempt.token == Job.token)
        .join(Production, Production.id == Job.production_id)
        .where(
            Production.name.in_([step.production for step in project.steps]),
            Job.state.in_([state.value for state in states]),
        )
        .order_by(Job.id)
    )  # fmt: skip
    return [
        InHand(ident, production, name, unit, folder, State(state), token, number, engine_id)
        for ident, production, name, unit, folder, state, token, number, engine_id
        in session.execute(query)
        if token is not None
    ]  # fmt: skip


class Harvester:
    """Looks after the jobs in hand of a project, whoever submitted them.

    Parameters
    ----------
    project : Project
        Whose jobs.
    database : Database
        Where they stand.
    engine : Engine
        Who has them.
    """

    def __init__(self, project: Project, database: Database, engine: Engine) -> None:
        self._project = project
        self._database = database
        self._engine = engine
        self._sizes: dict[str, int] = {}
        self._gone_since: dict[str, float] = {}

    def look(self) -> list[Settled]:
        """Take one look at all jobs in hand; settle and register those that are over.

        Raises
        ------
        ServiceUnavailable
            The engine or the database does not answer; nothing is lost, look again.
        """
        with self._database.read() as session:
            jobs = in_hand(session, self._project)
        jobs = [job for job in jobs if job.state is not State.CLAIMED]
        if not jobs:
            return []
        # in this order: what the database knew before must be in the snapshot while it runs
        snapshot = self._engine.snapshot()
        self._engine.fill()
        return self._settle(jobs, snapshot)

    def recover(self) -> list[Settled]:
        """Do what may have been left undone: late ends of lost jobs, and remains of old attempts.

        Returns what :meth:`look` does.
        """
        with self._database.read() as session:
            lost = in_hand(session, self._project, frozenset({State.LOST}))
        late = [job for job in lost if self._says_its_end(job)]
        settled = self._settle(late, {})
        self._clear_incoming()
        return settled

    def _settle(self, jobs: Sequence[InHand], snapshot: Mapping[str, EngineState]) -> list[Settled]:
        """Settle those of `jobs` that are over; note how the others stand."""
        gone = {job.token for job in jobs if job.engine_id not in snapshot}
        adopted = self._found_again(jobs, gone)
        accounting = self._engine.outcomes(
            [job.engine_id for job in jobs if job.token in gone and job.engine_id]
        )
        ended: list[Ended] = []
        moved: list[tuple[InHand, State, Record]] = []
        for job in jobs:
            folder = job.attempt(self._project.site.jobs)
            is_gone = job.token in gone and job.token not in adopted
            if not is_gone and not self._has_grown(job, folder):
                state = _STATE_OF.get(snapshot.get(job.engine_id or ""))
                if state and state is not job.state and job.state is not State.RUNNING:
                    moved.append((job, state, {}))
                continue
            records = ledger.read(folder.ledger)
            over = self._over(job, folder, records, is_gone, accounting.get(job.engine_id or ""))
            if over is not None:
                ended.append(over)
            elif (starting := _record(records, "starting")) and job.state is not State.RUNNING:
                moved.append((job, State.RUNNING, starting))
        self._note(moved, adopted)
        for job_over in ended:
            self._forget(job_over.spec.token)
        return register(self._project, self._database, ended)

    def _over(
        self,
        job: InHand,
        folder: AttemptFolder,
        records: Sequence[Record],
        gone: bool,
        accounting: EngineOutcome | None,
    ) -> Ended | None:
        """Return a job that is over, with what became of it; None while it is not."""
        starting = _record(records, "starting")
        if gone and starting is not None and _runs_here(starting):
            gone = False  # started by hand, or its wrapper was killed: its script goes on
        given_up = gone and self._given_up(job, folder, records)
        if not gone and _record(records, "end") is None:
            return None
        spec = folder.load()
        outcome = judge(
            spec, records, gone=gone, given_up=given_up, accounting=accounting,
            complaint=_last_line(folder.err) or _last_line(folder.engine_err),
        )  # fmt: skip
        if outcome is None:
            return None
        return Ended(job.job_id, job.production_id, job.folder, spec, outcome)

    def _given_up(self, job: InHand, folder: AttemptFolder, records: Sequence[Record]) -> bool:
        """Tell whether a job that is gone everywhere has been so for the engine's grace.

        One that never started is kept from starting later; one that starts just now is not lost.
        """
        since = self._gone_since.setdefault(job.token, time.monotonic())
        cancelled = _record(records, "cancel") is not None
        if not cancelled and time.monotonic() - since < self._engine.grace_s:
            return False
        if _record(records, "starting") is not None:
            return True
        return take(folder, "post-mortem") or time.monotonic() - since > self._engine.grace_s + 1

    def _found_again(self, jobs: Sequence[InHand], gone: set[str]) -> dict[str, str]:
        """Return token -> engine id of jobs that run under another id than the one we know."""
        if not gone:
            return {}
        found = self._engine.find(gone)
        known = {job.token: job.engine_id for job in jobs}
        return {token: ident for token, ident in found.items() if ident != known[token]}

    def _note(
        self, moved: Sequence[tuple[InHand, State, Record]], adopted: Mapping[str, str]
    ) -> None:
        """Store new states of jobs in hand, and new ids of those found again."""
        if not moved and not adopted:
            return
        moment = store.utc_now()

        def work(session: Session) -> None:
            for token, engine_id in sorted(adopted.items()):
                session.execute(
                    sa.update(Attempt).where(Attempt.token == token).values(engine_id=engine_id)
                )
            for job, state, starting in moved:
                session.execute(
                    sa.update(Job)
                    .where(Job.id == job.job_id, Job.token == job.token, Job.state == job.state)
                    .values(state=state.value, updated=moment)
                )
                if starting:
                    session.execute(
                        sa.update(Attempt)
                        .where(Attempt.token == job.token)
                        .values(started_at=moment, host=str(starting.get("host", ""))[:80])
                    )

        self._database.transact(work)

    def _has_grown(self, job: InHand, folder: AttemptFolder) -> bool:
        """Tell whether a ledger has grown since it was last looked at."""
        try:
            size = folder.ledger.stat().st_size
        except FileNotFoundError:
            return False
        before = self._sizes.get(job.token)
        self._sizes[job.token] = size
        return size != before

    def _says_its_end(self, job: InHand) -> bool:
        """Tell whether a ledger has an end."""
        records = ledger.read(job.attempt(self._project.site.jobs).ledger)
        return any(record["kind"] in ("end", "ending") for record in records)

    def _clear_incoming(self) -> None:
        """Remove what attempts left that are settled, or are not their job's attempt any more."""
        place = self._project.site.archive
        tokens = archive.incoming_tokens(place)
        if not tokens:
            return
        with self._database.read() as session:
            query = (
                sa.select(Attempt.token, Job.token, Job.state)
                .join(Job, Job.id == Attempt.job_id)
                .where(Attempt.token.in_(tokens))
            )
            rows = session.execute(query).all()
        for token, current, state in rows:
            if token != current or state not in IN_HAND:
                clear(self._database, place, token)

    def _forget(self, token: str) -> None:
        """Drop what was kept of a job."""
        self._sizes.pop(token, None)
        self._gone_since.pop(token, None)


def _record(records: Sequence[Record], kind: str) -> dict[str, Any] | None:
    """Return the last record of a kind."""
    return next((record for record in reversed(records) if record["kind"] == kind), None)


def _runs_here(starting: Record) -> bool:
    """Tell whether the script that wrote a starting record runs on this host now."""
    same_host = starting.get("host") == socket.gethostname()
    return same_host and processes.alive(str(starting.get("process", "")))


def _last_line(path: Path) -> str:
    """Return the last line that is not empty."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
