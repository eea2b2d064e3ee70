"""Products whose parent was deleted, and deletions that a kill left half-done."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe.audit.findings import Finding, Kind
from snfpipe.config.project import Project
from snfpipe.db.models import DeletedJob, DeletedParent, Job, Process, Production
from snfpipe.names import ProductName

AUDIT = "products"


def audit_ancestors(session: Session, project: Project) -> Iterator[Finding]:
    """Yield a finding for each live product of the configured steps whose parent was deleted.

    The mark goes when the product is made anew, or when a parent of the same bytes stands again.
    """
    steps = {step.production: step.key for step in project.steps}
    query = (
        sa.select(
            DeletedParent.child, DeletedParent.parent, DeletedParent.job, DeletedParent.moment,
            Production.name, Job.unit,
        )
        .join(Process, Process.id_process == DeletedParent.child)
        .join(Job, Job.id == Process.job_id)
        .join(Production, Production.id == Job.production_id)
        .where(Process.state == "live", Production.name.in_(steps))
        .order_by(DeletedParent.child, DeletedParent.parent)
    )  # fmt: skip
    for child, parent, job, moment, production, unit in session.execute(query):
        of = f" with job {job}" if job else ""
        yield Finding(
            AUDIT, Kind.WRONG, str(ProductName.from_id(child)), f"{steps[production]}:{unit}",
            f"made from {ProductName.from_id(parent)}, which was deleted{of} on {moment:%Y-%m-%d}",
            f"`manage_jobs --restore -j {job or 'JOB'}` brings it back, `doit` makes it anew",
        )  # fmt: skip


def audit_deletions(session: Session) -> Iterator[Finding]:
    """Yield a finding for each job that is on its way into the trash, or out of it."""
    query = sa.select(DeletedJob.name, DeletedJob.deletion, DeletedJob.state).where(
        DeletedJob.state != "deleted"
    )
    for name, deletion, state in session.execute(query.order_by(DeletedJob.name)):
        yield Finding(
            AUDIT, Kind.WAITING, name, f"deletion {deletion}", f"{state}, under way or interrupted",
            "`manage_jobs --finish` does what is left",
        )  # fmt: skip
