"""check_job_output: what jobs owe, class by class, against what is registered for them.

What a job owes here is what it declared when it was planned; ``snf audit`` also asks raw
exposures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe import fclass
from snfpipe.audit import files
from snfpipe.audit.archived import Watch
from snfpipe.audit.findings import Finding, Kind, Report
from snfpipe.audit.scope import JobRef, condition, select_jobs
from snfpipe.config import Project
from snfpipe.db.models import File, Job, Owed, Process
from snfpipe.db.session import Database
from snfpipe.names import ProductName
from snfpipe.states import FAILURES, IN_HAND, SETTLED, State

AUDIT = "check_job_output"

COLUMNS = ("class", "expected", "registered", "fraction", "meaning")

_LIVE = sa.and_(
    Process.id_process == Owed.id_process,
    Process.job_id == Owed.job_id,
    Process.state == "live",
)


def check_job_output(
    project: Project,
    database: Database,
    words: Sequence[str] = (),
    *,
    verify: bool = False,
    watch: Watch | None = None,
) -> Report:
    """Count what jobs owe and what is registered for them; changes nothing.

    Parameters
    ----------
    project, database : Project, Database
        Where to look.
    words : sequence of str
        The jobs, as :func:`~snfpipe.audit.scope.select_jobs` takes them.
    verify : bool
        Also read every file: size, checksum, structure of FITS files.
    watch : callable, optional
        Told of every file that is read.
    """
    with database.read() as session:
        jobs = {job.id: job for job in select_jobs(session, project, words)}
        chosen = condition(session, jobs.values())
        rows = tuple(_counts(session, chosen))
        findings = [*_missing(session, jobs, chosen), *_unexpected(session, jobs, chosen)]
        if verify:
            findings += _spoilt(session, jobs, chosen, project.site.archive, watch)
    return Report(
        audit=AUDIT,
        title=", ".join(words) or f"{project.title} {project.version.label}",
        columns=COLUMNS,
        rows=rows,
        findings=tuple(findings),
        notes=(f"{len(jobs)} job{'' if len(jobs) == 1 else 's'}",),
    )


def _counts(session: Session, chosen: sa.ColumnElement[bool]) -> Iterator[tuple[object, ...]]:
    """Yield a row a class."""
    query = (
        sa.select(Owed.fclass, Owed.xfclass, sa.func.count(), sa.func.count(Process.id_process))
        .join(Job, Job.id == Owed.job_id)
        .outerjoin(Process, _LIVE)
        .where(chosen, Owed.reason.is_(None))
        .group_by(Owed.fclass, Owed.xfclass)
        .order_by(Owed.fclass, Owed.xfclass)
    )
    for major, minor, owed, there in session.execute(query):
        fraction = round(there / owed, 3)
        yield fclass.code(major, minor), owed, there, fraction, fclass.meaning(major, minor)


def _missing(
    session: Session, jobs: dict[int, JobRef], chosen: sa.ColumnElement[bool]
) -> Iterator[Finding]:
    """Yield the promised products that settled jobs have not left, and the jobs that say why.

    A job that is not settled yet is one finding, and so is one that failed without a promise.
    """
    query = (
        sa.select(Owed.job_id, Owed.name, Owed.failure)
        .join(Job, Job.id == Owed.job_id)
        .outerjoin(Process, _LIVE)
        .where(chosen, Owed.reason.is_(None), Process.id_process.is_(None))
        .order_by(Job.name, Owed.id_process)
    )
    waiting: Counter[int] = Counter()
    told = set()
    for job_id, name, failure in session.execute(query):
        job = jobs[job_id]
        if job.state not in SETTLED:
            waiting[job_id] += 1
        elif job.state is not State.WAIVED:
            told.add(job_id)
            what = failure or job.reason or f"its job is '{job.state}' and left it out"
            yield Finding(AUDIT, Kind.MISSING, name, job.name, what, f"`jobErrors {job.name}`")
    for job_id, count in waiting.items():
        job = jobs[job_id]
        what = f"{count} products owed, the job is '{job.state}'"
        yield Finding(AUDIT, Kind.WAITING, job.name, job.task, what, "`doit` makes them")
    for job in jobs.values():
        if job.state in FAILURES and job.id not in told:
            what = f"{job.state}: {job.reason}"
            yield Finding(AUDIT, Kind.FAILED, job.task, job.name, what, f"`jobErrors {job.name}`")


def _unexpected(
    session: Session, jobs: dict[int, JobRef], chosen: sa.ColumnElement[bool]
) -> Iterator[Finding]:
    """Yield live products that their job did not declare, or declared as impossible."""
    declared = sa.and_(
        Owed.job_id == Process.job_id,
        Owed.id_process == Process.id_process,
        Owed.reason.is_(None),
    )
    query = (
        sa.select(Job.id, Process.id_process)
        .join(Job, Job.id == Process.job_id)
        .outerjoin(Owed, declared)
        .where(chosen, Process.state == "live", Owed.id_process.is_(None))
        .order_by(Process.id_process)
    )
    for job_id, id_process in session.execute(query):
        job = jobs[job_id]
        if job.state in IN_HAND:
            continue  # its attempt has declared the next generation
        name = str(ProductName.from_id(id_process))
        yield Finding(
            AUDIT, Kind.UNEXPECTED, name, job.name, "registered, but its job did not declare it",
            f"`snf provenance {name}`",
        )  # fmt: skip


def _spoilt(
    session: Session,
    jobs: dict[int, JobRef],
    chosen: sa.ColumnElement[bool],
    archive: Path,
    watch: Watch | None,
) -> Iterator[Finding]:
    """Yield the files of live products that are not as they were registered."""
    query = (
        sa.select(Job.id, File.name, File.path, File.size, File.checksum)
        .join(Process, Process.id_process == File.id_process)
        .join(Job, Job.id == Process.job_id)
        .where(chosen, Process.state == "live", File.area == "archive")
        .order_by(File.path)
    )
    for job_id, name, path, size, checksum in session.execute(query):
        if watch:
            watch(path)
        what = files.trouble(archive / path, size, checksum, verify=True)
        if what:
            kind = Kind.MISSING if what.startswith(files.ABSENT) else Kind.WRONG
            told = f"registered by {jobs[job_id].name}; its file is {what}"
            yield Finding(AUDIT, kind, name, path, told, "`srb_cleanup` plans the repair")
