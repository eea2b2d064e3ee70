"""check_job_output: what is expected of jobs, class by class, against what is registered for them.

What is expected of a job here is what it declared when it was planned; ``snf audit`` also asks raw
exposures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe import fclass
from snfpipe.audit.archived import kind_of, problem
from snfpipe.audit.findings import Finding, Kind, Report
from snfpipe.audit.scope import JobRef, condition, select_jobs
from snfpipe.config.project import Project
from snfpipe.db import store
from snfpipe.db.models import Expected, File, Job, Process
from snfpipe.db.session import Database
from snfpipe.names import ProductName
from snfpipe.states import ACTIVE, FAILURES, FINISHED, State
from snfpipe.storage.archive import Watch

AUDIT = "check_job_output"

COLUMNS = ("class", "expected", "registered", "fraction", "meaning")

Row = tuple[object, ...]


def check_job_output(
    project: Project,
    database: Database,
    words: Sequence[str] = (),
    *,
    verify: bool = False,
    watch: Watch = lambda: None,
) -> Report:
    """Count what is expected of jobs and what is registered for them; changes nothing.

    Parameters
    ----------
    project, database : Project, Database
        Where to look.
    words : sequence of str
        The jobs, as :func:`~snfpipe.audit.scope.select_jobs` takes them.
    verify : bool
        Also read every file: size, checksum, structure of FITS files.
    watch : callable, optional
        Called for every file that is read.
    """
    with database.read() as session:
        jobs = {job.id: job for job in select_jobs(session, project, words)}
        chosen = condition(session, jobs.values())
        rows, uneven = _counts(session, chosen)
        findings = list(_uneven(session, jobs, chosen)) if uneven else []
        findings += _failed(jobs.values(), findings)
        if verify:
            findings += _spoilt(session, jobs, chosen, project.site.archive, watch)
    return Report(
        audit=AUDIT,
        title=", ".join(words) or f"{project.title} {project.version.label}",
        columns=COLUMNS,
        rows=tuple(rows),
        findings=tuple(findings),
        notes=(f"{len(jobs)} job{'' if len(jobs) == 1 else 's'}",),
    )


def _promised_and_live(chosen: sa.ColumnElement[bool]) -> tuple[Any, Any, Any]:
    """Return what jobs promised, what is live of them, and both, joined product by product.

    Each side is answered by an index alone; a side is empty where the other has no counterpart.
    """
    promised = (
        sa.select(Expected.job_id, Expected.id_process, Expected.fclass, Expected.xfclass)
        .join(Job, Job.id == Expected.job_id)
        .where(chosen, Expected.reason.is_(None))
        .subquery()
    )
    live = (
        sa.select(Process.job_id, Process.id_process)
        .join(Job, Job.id == Process.job_id)
        .where(chosen, Process.state == "live")
        .subquery()
    )
    same = sa.and_(live.c.id_process == promised.c.id_process, live.c.job_id == promised.c.job_id)
    return promised, live, promised.join(live, same, full=True)


def _counts(session: Session, chosen: sa.ColumnElement[bool]) -> tuple[list[Row], bool]:
    """Return a row a class, and whether any product is missing or unexpected."""
    promised, live, both = _promised_and_live(chosen)
    query = (
        sa.select(
            promised.c.fclass, promised.c.xfclass,
            sa.func.count(promised.c.id_process), sa.func.count(live.c.id_process),
        )
        .select_from(both)
        .group_by(promised.c.fclass, promised.c.xfclass)
    )  # fmt: skip
    rows = []
    uneven = False
    for major, minor, expected, there in session.execute(query):
        uneven |= expected != there
        if major is not None:
            fraction = round(there / expected, 3)
            code = fclass.code(major, minor)
            rows.append((code, expected, there, fraction, fclass.meaning(major, minor)))
    return sorted(rows), uneven


def _uneven(
    session: Session, jobs: dict[int, JobRef], chosen: sa.ColumnElement[bool]
) -> Iterator[Finding]:
    """Yield the promised products that are not live, and the live ones that nobody promised.

    A job that is not finished yet is one finding.
    """
    promised, live, both = _promised_and_live(chosen)
    query = (
        sa.select(promised.c.job_id, promised.c.id_process, live.c.job_id, live.c.id_process)
        .select_from(both)
        .where(sa.or_(promised.c.id_process.is_(None), live.c.id_process.is_(None)))
        .order_by(promised.c.id_process, live.c.id_process)
    )
    missing: list[tuple[JobRef, str]] = []
    waiting: Counter[int] = Counter()
    for owner, expected, maker, product in session.execute(query):
        job = jobs[maker if expected is None else owner]
        if expected is not None and job.state not in FINISHED:
            waiting[job.id] += 1
        elif expected is not None and job.state is not State.WAIVED:
            missing.append((job, expected))
        elif expected is None and job.state not in ACTIVE:  # else it promised the next generation
            name = str(ProductName.from_id(product))
            yield Finding(
                AUDIT, Kind.UNEXPECTED, name, job.name,
                "registered, but its job did not declare it", f"`snf provenance {name}`",
            )  # fmt: skip
    yield from _missing(session, missing)
    for job_id, count in waiting.items():
        job = jobs[job_id]
        what = f"{count} products expected, the job is '{job.state}'"
        yield Finding(AUDIT, Kind.WAITING, job.name, job.task, what, "`doit` makes them")


def _missing(session: Session, missing: Sequence[tuple[JobRef, str]]) -> Iterator[Finding]:
    """Yield missing products under the names that were promised, with their reasons."""
    query = sa.select(Expected.job_id, Expected.id_process, Expected.name, Expected.failure).where(
        Expected.reason.is_(None)
    )
    found = store.rows_in(
        session, query, Expected.job_id, [job.id for job, _ident in missing], 1_000
    )
    told = {(job_id, ident): (name, failure) for job_id, ident, name, failure in found}
    for job, ident in missing:
        name, failure = told[job.id, ident]
        what = failure or job.reason or f"its job is '{job.state}' and left it out"
        yield Finding(AUDIT, Kind.MISSING, name, job.name, what, f"`jobErrors {job.name}`")


def _failed(jobs: Iterable[JobRef], findings: Sequence[Finding]) -> Iterator[Finding]:
    """Yield the jobs that failed without having promised anything that could be missed."""
    told = {finding.place for finding in findings}
    for job in jobs:
        if job.state in FAILURES and job.name not in told:
            what = f"{job.state}: {job.reason}"
            yield Finding(AUDIT, Kind.FAILED, job.task, job.name, what, f"`jobErrors {job.name}`")


def _spoilt(
    session: Session,
    jobs: dict[int, JobRef],
    chosen: sa.ColumnElement[bool],
    archive: Path,
    watch: Watch,
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
        watch()
        what = problem(archive / path, size, checksum, verify=True)
        if what:
            told = f"registered by {jobs[job_id].name}; its file is {what}"
            yield Finding(AUDIT, kind_of(what), name, path, told, "`srb_cleanup` plans the repair")
