"""Launching into the database: jobs are created or claimed there, products go to the archive.

Killed anywhere, the same again goes on: what was claimed is taken over and submitted once.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe import clock
from snfpipe.config.project import Project
from snfpipe.config.step import Step
from snfpipe.db import store
from snfpipe.db.models import Job, Production
from snfpipe.db.session import Database
from snfpipe.engines import make_engine
from snfpipe.jobs import planning
from snfpipe.jobs.reopen import Failed, reopen
from snfpipe.jobs.submit import Submitter
from snfpipe.launch.result import PAUSE_S, LaunchedUnit, Progress, Sent
from snfpipe.states import FAILURES, State
from snfpipe.units.job_rows import JobRow, jobs_of
from snfpipe.units.sequence import Considered, claim, submit


@dataclass(frozen=True)
class Registered:
    """The database and the archive as the place of jobs and products.

    With `retry`, failed jobs are tried again, too; with `keep`, jobs leave their products in the
    work folder as well.
    """

    project: Project
    database: Database
    step: Step
    retry: bool = False
    keep: bool = False
    registered: bool = True

    @property
    def folder(self) -> Path:
        """The folder of the plan below JOBDIR."""
        return self.project.site.jobs / self.step.folder

    def rows(self, session: Session) -> dict[str, JobRow]:
        """Return unit -> row; with `retry`, failed ones as if they were to be tried."""
        step = self.step
        found = jobs_of(session, [step.production], step.units)
        rows = {unit: row for (_production, unit), row in found.items()}
        if not self.retry:
            return rows
        return {
            unit: row._replace(state=str(State.CREATED)) if row.state in FAILURES else row
            for unit, row in rows.items()
        }

    def alone(self) -> AbstractContextManager[None]:
        """Let others submit: the claim keeps units apart."""
        return nullcontext()

    def left_alone(self, units: Sequence[LaunchedUnit]) -> list[LaunchedUnit]:
        """Return the units: their rows say already which of them are under way."""
        return list(units)

    def create(self, considered: Sequence[Considered]) -> None:
        """Create jobs and their folders."""
        for it in considered:
            (self.project.site.jobs / self.step.job_folder(it.unit)).mkdir(
                parents=True, exist_ok=True
            )
        planning.create(self.project, self.database, self.step, self.step.units)

    def submit(self, considered: Sequence[Considered], progress: Progress | None) -> Sent:
        """Claim and submit; take over what a killed launch of the same production left behind."""
        if self.retry:
            self.database.transact(self._reopen)
        submitter = Submitter(self.project, self.database, make_engine(self.project.site))
        failed = submitter.adopt()
        planned = claim(self.project, self.database, self.step, considered, keep=self.keep)
        failed += submit(submitter, planned)
        total = submitter.waiting
        unsent = submitter.send()
        while submitter.waiting:
            if progress:
                progress(total - submitter.waiting, total)
            clock.sleep(PAUSE_S)
            unsent += submitter.send()
        return Sent(total - len(unsent), {it.job: it.reason for it in [*failed, *unsent]})

    def _reopen(self, session: Session) -> None:
        """Put the failed ones among the step's units back to *created*."""
        for part in store.chunks(self.step.units):
            query = (
                sa.select(Job.id, Job.name, Job.state)
                .join(Production, Production.id == Job.production_id)
                .where(
                    Production.name == self.step.production,
                    Job.unit.in_(part),
                    Job.state.in_([str(state) for state in FAILURES]),
                )
            )
            rows = session.execute(query).all()
            reopen(session, (Failed(ident, name, State(state)) for ident, name, state in rows))
