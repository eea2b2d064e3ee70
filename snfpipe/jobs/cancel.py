"""Cancelling: an operator's word to end jobs in hand."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from snfpipe.config import Project
from snfpipe.db.models import Attempt
from snfpipe.db.session import Database
from snfpipe.engines.base import Engine
from snfpipe.jobs import ledger
from snfpipe.jobs.in_hand import InHand, in_hand, of_project
from snfpipe.jobs.postmortem import Outcome
from snfpipe.jobs.products import Ended
from snfpipe.jobs.register import register
from snfpipe.jobs.spec import JobSpec
from snfpipe.jobs.starting import take
from snfpipe.states import State


def cancel(
    project: Project, database: Database, engine: Engine, names: Collection[str], by: str
) -> list[InHand]:
    """Ask for the end of those jobs among `names` that are in hand.

    Their ledgers tell who asked; what the engine does not have yet is settled here and never
    starts, the others are settled by the next harvest.

    Returns
    -------
    list of InHand
        The jobs that were in hand.
    """
    with database.read() as session:
        jobs = [
            job for job in in_hand(session, project.site, of_project(project)) if job.name in names
        ]
    for job in jobs:
        folder = job.attempt
        folder.path.mkdir(parents=True, exist_ok=True)
        ledger.append(folder.ledger, "cancel", by=by)
    engine.cancel([job.engine_id for job in jobs if job.engine_id])
    unsent = [job for job in jobs if job.state is State.CLAIMED and take(job.attempt, "cancel")]
    register(project, database, [_cancelled(database, job, by) for job in unsent])
    return jobs


def _cancelled(database: Database, job: InHand, by: str) -> Ended:
    """Return the end of a job that never started."""
    with database.read() as session:
        text = session.scalar(sa.select(Attempt.spec).where(Attempt.token == job.token))
    spec = JobSpec.from_json(text or "{}")
    reason = f"cancelled by {by}"
    missing = {product.name: reason for product in spec.products}
    outcome = Outcome(State.CANCELLED, reason, missing=missing)
    return Ended(job.job_id, job.production_id, spec, outcome)
