"""Submitting: claimed attempts to the engine, each once, whoever claimed them.

A claim belongs to the process that made it.  When that process is gone, whoever drives the
production next takes the claim over: what the engine or the attempt's folder knows already is
adopted, the rest is submitted under the same token.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe import clock
from snfpipe.config.project import Project
from snfpipe.db import store
from snfpipe.db.models import Attempt, Job, Production
from snfpipe.db.session import Database
from snfpipe.engines.base import Engine, Submission
from snfpipe.jobs import driver, root
from snfpipe.jobs.active import Whose, of_project, stored_specs
from snfpipe.jobs.manifest import Finished
from snfpipe.jobs.products import never_started
from snfpipe.jobs.register import register
from snfpipe.killpoint import killpoint
from snfpipe.states import State
from snfpipe.worker.script import write_attempts
from snfpipe.worker.spec import AttemptFolder, JobSpec


class Submitter:
    """The attempts that this process claimed and the engine has not taken yet.

    Parameters
    ----------
    project : Project
        Whose jobs.
    database : Database
        Where claims stand.
    engine : Engine
        Who runs them.
    whose : condition, optional
        Whose orphaned claims are taken over; those of the configured productions by default.
    """

    def __init__(
        self, project: Project, database: Database, engine: Engine, whose: Whose | None = None
    ) -> None:
        self._project, self._database, self._engine = project, database, engine
        self._whose = of_project(project) if whose is None else whose
        self._waiting: dict[str, Submission] = {}
        self._tried: set[str] = set()  # what the engine may have, though it has not said so

    @property
    def capacity(self) -> int:
        """How many more jobs should be claimed now."""
        return max(0, self._engine.capacity() - len(self._waiting))

    @property
    def waiting(self) -> int:
        """How many claimed attempts the engine has not taken yet."""
        return len(self._waiting)

    def add(self, specs: Iterable[JobSpec]) -> list[Finished]:
        """Write the folders of claimed attempts; the next :meth:`send` submits them.

        Returns
        -------
        list of Finished
            Those that failed at once: their folders cannot be written.
        """
        claimed = list(specs)
        failures = write_attempts(claimed)
        self._waiting |= {
            spec.token: submission(spec) for spec in claimed if spec.token not in failures
        }
        return self._fail(failures)

    def send(self) -> list[Finished]:
        """Submit what the engine takes, by one call, and store the ids it gave.

        Returns
        -------
        list of Finished
            Those that the engine would not have: they failed, with its words.

        Raises
        ------
        ServiceUnavailable
            The engine does not answer: what it took nevertheless is found by the next call.
        """
        if not self._waiting:
            return []
        killpoint("submit:before")
        known = self._engine.find(self._tried & self._waiting.keys())
        batch = [job for token, job in self._waiting.items() if token not in known]
        self._tried.update(job.token for job in batch)
        known |= self._engine.submit(batch)
        killpoint("submit:after-call")
        words = self._engine.refused(known.values())
        refused = {token: words[it] for token, it in known.items() if it in words}
        self._acknowledge({token: it for token, it in known.items() if token not in refused})
        killpoint("submit:acknowledged")
        finished = self._fail(refused)
        self.forget(refused)
        return finished

    def adopt(self) -> list[Finished]:
        """Take over claims whose claimer is gone; return what :meth:`add` does."""
        specs = self._database.transact(self._take_over)
        begun = {it.token for it in specs if AttemptFolder.of(it).taken.exists()}
        self._acknowledge(dict.fromkeys(begun))
        left = [spec for spec in specs if spec.token not in begun]
        self._tried.update(spec.token for spec in left)
        return self.add(left)

    def forget(self, tokens: Iterable[str]) -> None:
        """Leave out attempts that were finished before the engine took them."""
        for token in tokens:
            self._waiting.pop(token, None)
            self._tried.discard(token)

    def _fail(self, reasons: Mapping[str, str]) -> list[Finished]:
        """Finish attempts that cannot be submitted, token -> why, if they are still current."""
        if not reasons:
            return []
        with self._database.read() as session:
            query = sa.select(Job.token, Job.id, Job.production_id).where(Job.token.in_(reasons))
            ids = {str(token): (job, of) for token, job, of in session.execute(query)}
            specs = stored_specs(session, ids)
        ended = [never_started(*ids[it], spec, reasons[it]) for it, spec in specs.items()]
        return register(self._project, self._database, ended)

    def _take_over(self, session: Session) -> list[JobSpec]:
        """Make orphaned claims ours."""
        me = driver.identity()
        moment = clock.utc_now()
        query = (
            sa.select(Attempt.token, Attempt.environment, Attempt.claimed_at, Attempt.spec)
            .join(Job, Job.token == Attempt.token)
            .join(Production, Production.id == Job.production_id)
            .where(
                self._whose,
                Job.state == State.CLAIMED.value,
                Attempt.engine_id.is_(None),
            )
            .order_by(Attempt.token)
            .with_for_update(of=Attempt)
        )
        specs = []
        ours = []
        for token, environment, claimed_at, text in session.execute(query):
            claimer = environment.get("claimed_by", {})
            age = moment - claimed_at
            if claimer != me and driver.has_let_go(claimer, age, self._project.site.grace_s):
                specs.append(JobSpec.from_json(text))
                ours.append({"token": token, "environment": {"claimed_by": me}})
        if ours:
            root.hold(session, self._project.site)
        store.update_rows(session, Attempt, ours, ["token"])
        return specs

    def _acknowledge(self, known: Mapping[str, str | None]) -> None:
        """Store that the engine has attempts; an id of None: it started, the engine forgot it."""
        if not known:
            return
        moment = clock.utc_now()
        attempts = [
            {"token": token, "engine_id": engine_id, "engine": self._engine.name,
             "submitted_at": moment}
            for token, engine_id in sorted(known.items())
        ]  # fmt: skip
        jobs = [
            {"token": token, "state": State.QUEUED.value, "updated": moment}
            for token in sorted(known)
        ]

        def work(session: Session) -> None:
            store.update_rows(session, Attempt, attempts, ["token"])
            store.update_rows(session, Job, jobs, ["token"], Job.state == State.CLAIMED.value)

        self._database.transact(work)
        self.forget(known)


def submission(spec: JobSpec) -> Submission:
    """Return what an engine needs of an attempt."""
    folder = AttemptFolder.of(spec)
    return Submission(
        token=spec.token,
        name=spec.job,
        production=spec.production,
        plan=spec.plan,
        script=folder.script,
        stdout=folder.engine_out,
        stderr=folder.engine_err,
        cpu_s=spec.limits["cpu_s"],
        memory_mb=spec.limits["memory_mb"],
        wall_s=spec.limits["wall_s"],
    )
