"""Cancelling: an operator's word to end active jobs."""

from __future__ import annotations

from contextlib import suppress

from snfpipe.config.project import Project
from snfpipe.db.session import Database
from snfpipe.engines.base import Engine
from snfpipe.jobs.active import ActiveJob, Whose, active_jobs, stored_specs
from snfpipe.jobs.products import never_started
from snfpipe.jobs.register import register
from snfpipe.states import State
from snfpipe.worker import ledger
from snfpipe.worker.starting import close


def cancel(
    project: Project, database: Database, engine: Engine, whose: Whose, by: str
) -> list[ActiveJob]:
    """Ask for the end of those jobs that are active.

    Their ledgers tell who asked; what the engine does not have yet is finished here and never
    starts, the others are finished by the next harvest.

    Returns
    -------
    list of ActiveJob
        The jobs that were active.
    """
    with database.read() as session:
        jobs = active_jobs(session, project.site, whose)
    for job in jobs:
        folder = job.attempt
        with suppress(OSError):  # it ends all the same, as killed or lost
            folder.path.mkdir(parents=True, exist_ok=True)
            ledger.append(folder.ledger, "cancel", by=by)
    engine.cancel([job.engine_id for job in jobs if job.engine_id])
    unsent = [job for job in jobs if job.state is State.CLAIMED and close(job.attempt, "cancel")]
    with database.read() as session:
        specs = stored_specs(session, [job.token for job in unsent])
    ended = [
        never_started(it.job_id, it.production_id, specs[it.token], f"cancelled by {by}",
                      State.CANCELLED)
        for it in unsent
    ]  # fmt: skip
    register(project, database, ended)
    return jobs
