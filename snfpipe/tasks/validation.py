"""The last act of a unit whose step has ``validate = "audit"``: a look at its own output."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe.config import Project
from snfpipe.db.models import File, Job, Owed, Process
from snfpipe.db.session import Database
from snfpipe.jobs.manifest import Settled

_VALIDATED = 2


def validate_outputs(project: Project, database: Database, settled: Settled) -> bool:
    """Validate a unit's products if all that it promised is registered and in the archive.

    The job stays *done*; its products get Status 2, so that steps with ``minimum_status = 2``
    may read them.  Incomplete output is left as it is, for the audit to name.
    """
    with database.read() as session:
        complete = _is_complete(session, project.site.archive, settled.job)
    if complete:
        database.transact(lambda session: _validate(session, settled.job))
    return complete


def _is_complete(session: Session, archive: Path, job: str) -> bool:
    """Hold what a job owes against the rows, and the rows against the disk."""
    promised = set(
        session.scalars(
            sa.select(Owed.id_process)
            .join(Job, Job.id == Owed.job_id)
            .where(Job.name == job, Owed.reason.is_(None))
        )
    )
    files = session.execute(
        sa.select(Process.id_process, File.path, File.size)
        .join(Process, Process.id_process == File.id_process)
        .join(Job, Job.id == Process.job_id)
        .where(Job.name == job, Process.state == "live", File.area == "archive")
    ).all()
    if promised - {id_process for id_process, _path, _size in files}:
        return False
    return all(_size_of(archive / path) == size for _id_process, path, size in files)


def _size_of(path: Path) -> int:
    """Return a file's size, -1 where it is missing."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _validate(session: Session, job: str) -> None:
    """Set the status of a job's live products."""
    ident = sa.select(Job.id).where(Job.name == job).scalar_subquery()
    session.execute(
        sa.update(Process)
        .where(Process.job_id == ident, Process.state == "live", Process.status < _VALIDATED)
        .values(status=_VALIDATED)
    )
