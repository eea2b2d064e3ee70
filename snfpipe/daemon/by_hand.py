"""Finishing one job by hand, known by its logs, at once and without waiting for any grace."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from snfpipe.config.project import Project
from snfpipe.db.models import Attempt, Job
from snfpipe.db.session import Database
from snfpipe.engines.base import Engine
from snfpipe.errors import NotFound, Refused, UsageError, shown
from snfpipe.jobs.active import ActiveJob, active_jobs
from snfpipe.jobs.harvest import Harvester
from snfpipe.jobs.observations import Over
from snfpipe.jobs.postmortem import Outcome
from snfpipe.jobs.register import register
from snfpipe.states import MAY_REGISTER, State
from snfpipe.worker import ledger
from snfpipe.worker.spec import AttemptFolder
from snfpipe.worker.starting import take


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a job was, and what became of it."""

    job: str
    unit: str
    old: State
    outcome: Outcome


def settle_by_hand(
    project: Project, database: Database, engine: Engine, out: Path, err: Path,
    *, dry_run: bool = False,
) -> Verdict:  # fmt: skip
    """Finish the job whose output and errors these files are, as Osiris would.

    Parameters
    ----------
    project, database, engine : Project, Database, Engine
        Whose job it is, where it stands, who had it.
    out, err : Path
        ``<job>.out`` and ``<job>.err``, in the job's folder or in an attempt's; they need not be
        there.
    dry_run : bool
        Only say what would become of it.

    Raises
    ------
    UsageError
        They are not the logs of one attempt.
    NotFound
        The database has no such attempt.
    Refused
        It is not the job's attempt any more, is finished, or still runs.
    ServiceUnavailable
        The engine or the database does not answer.
    """
    folder = _attempt_of(out, err)
    job = _find(project, database, folder.token)
    known = engine.find([job.token]).get(job.token, job.engine_id) or ""
    if known in engine.snapshot():
        raise Refused(
            f"job {job.name} is still with the engine, as {known}",
            hint=f"wait for its end, or end it by `manage_jobs -j {job.name} -k`",
        )
    accounting = job.accounting or engine.outcomes([known] if known else []).get(known)
    if not dry_run and not ledger.read(folder.ledger):
        take(folder, "update_sge_job")  # it shall not start after this
    ended = Harvester(project, database, engine).diagnose([Over(job, accounting, given_up=True)])
    if not ended:
        raise Refused(
            f"job {job.name} is {job.state}, and nothing more is known of it",
            hint=f"its script may still run here; look into {folder.path}",
        )
    if not dry_run and not register(project, database, ended):
        raise Refused(
            f"job {job.name} was finished by another just now", hint="look at `snf status`"
        )
    return Verdict(job.name, job.unit, job.state, ended[0].outcome)


def _attempt_of(out: Path, err: Path) -> AttemptFolder:
    """Return the attempt whose logs these are."""
    real = out.resolve()
    folder = AttemptFolder.at(real.parent)
    if real != folder.out or err.resolve() != folder.err:
        raise UsageError(
            f"{shown(out)} and {shown(err)} are not output and errors of one attempt",
            hint="give <job>.out and <job>.err of a job's folder",
        )
    return folder


def _find(project: Project, database: Database, token: str) -> ActiveJob:
    """Return the job whose attempt is to be finished."""
    with database.read() as session:
        jobs = active_jobs(session, project.site, Attempt.token == token, states=MAY_REGISTER)
        query = sa.select(Job.name, Job.state, Job.token).join(Attempt, Attempt.job_id == Job.id)
        row = session.execute(query.where(Attempt.token == token)).first()
    if jobs:
        return jobs[0]
    if row is None:
        raise NotFound(
            f"the database knows no attempt {shown(token)}",
            hint="is this its production's database?",
        )
    name, state, current = row
    if current != token:
        raise Refused(
            f"job {name} has another attempt by now",
            hint="what an older one left is never registered",
        )
    raise Refused(
        f"job {name} is finished: {state}", hint="`snf retry` lets a failed one run again"
    )
