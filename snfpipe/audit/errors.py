"""jobErrors: results and errors of jobs, and the problems of a production put into groups."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from snfpipe.audit.findings import Finding, Kind, Report
from snfpipe.audit.patterns import ENGINE, ERR, OUT, REASON, Pattern, gist, load_patterns, match
from snfpipe.audit.scope import JobRef, condition, select_jobs
from snfpipe.config.project import Project
from snfpipe.db.models import Attempt, Expected, Job
from snfpipe.db.session import Database
from snfpipe.states import FAILURES, FINISHED
from snfpipe.worker import ledger
from snfpipe.worker.spec import AttemptFolder

AUDIT = "jobErrors"

JOB_COLUMNS = ("job", "severity", "group", "lines", "example", "meaning")
GROUP_COLUMNS = ("step", "severity", "group", "jobs", "products", "first job", "meaning")

_NO_MEANING = "no pattern of configs/errors.toml knows it"
_ADD_PATTERN = "look into one of the jobs, and add a pattern to configs/errors.toml"
_EXAMPLE = 160  # characters of a line that are shown


# --- one job, from its files ---------------------------------------------------------------


@dataclass
class _Trouble:
    """What one pattern found in a job."""

    pattern: Pattern
    lines: int = 0
    example: str = ""


@dataclass
class JobErrors:
    """What the files of a job's current attempt say."""

    job: JobRef
    results: int = 0
    with_errors: int = 0
    starts: int = 0
    problems: dict[str, _Trouble] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """The original's line."""
        return (
            f"Job {self.job.name}: {self.results} results, "
            f"{self.with_errors} with errors (incl. warnings)"
        )


def job_errors(project: Project, database: Database, words: Sequence[str]) -> Report:
    """Read the output of jobs and say what went wrong in each; changes nothing.

    Parameters
    ----------
    project, database : Project, Database
        Where to look.
    words : sequence of str
        The jobs, as :func:`~snfpipe.audit.scope.select_jobs` takes them.
    """
    patterns = load_patterns(project)
    with database.read() as session:
        jobs = select_jobs(session, project, words)
    found = [read_job(project, patterns, job) for job in jobs]
    return Report(
        audit=AUDIT,
        title=", ".join(words) or f"{project.title} {project.version.label}",
        columns=JOB_COLUMNS,
        rows=tuple(
            (one.job.name, it.pattern.severity, it.pattern.group, it.lines, it.example,
             it.pattern.meaning)
            for one in found
            for it in one.problems.values()
        ),
        findings=tuple(finding for one in found for finding in _job_findings(one)),
        notes=tuple(one.line for one in found),
    )  # fmt: skip


def read_job(project: Project, patterns: Sequence[Pattern], job: JobRef) -> JobErrors:
    """Read the files of a job's current attempt.

    A result is an item that its program spoke of; it counts as one with errors where the program
    said so, or where a line that a pattern knows names it.
    """
    found = JobErrors(job)
    spoilt: set[str] = set()
    items: list[str] = []
    folder = attempt_folder(project, job)
    if job.reason:
        _note(found, match(patterns, REASON, job.plan, job.reason), job.reason)
    if folder is not None:
        items, spoilt = _items(folder)
        files = {OUT: [folder.out], ERR: [folder.err],
                 ENGINE: [folder.engine_out, folder.engine_err]}  # fmt: skip
        for where, paths in files.items():
            for line in (line for path in paths for line in _lines(path)):
                pattern = match(patterns, where, job.plan, line)
                if pattern:
                    _note(found, pattern, line)
                    spoilt.update(item for item in items if item in line)
        found.starts = sum(it["kind"] == "starting" for it in ledger.read(folder.ledger))
    found.results = len(items)
    found.with_errors = len(spoilt) or len(found.problems)
    return found


def attempt_folder(project: Project, job: JobRef) -> AttemptFolder | None:
    """Return the folder of a job's current attempt, None where it never had one."""
    folder = project.site.jobs.parent / job.version / job.folder
    found = AttemptFolder.all_of(folder, job.name)
    return next((it for it in found if it.token == job.token), None)


def _items(folder: AttemptFolder) -> tuple[list[str], set[str]]:
    """Return the items a program spoke of, and those it was not happy with."""
    said: list[tuple[str, bool]] = []
    with suppress(OSError):
        found = ledger.json_lines(folder.work / folder.results.name)
        said = [(str(it["item"]), bool(it.get("ok"))) for it in found if "item" in it]
    return [item for item, _ok in said], {item for item, ok in said if not ok}


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file, none where it is missing."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                yield line.rstrip("\n")
    except OSError:
        return


def _note(found: JobErrors, pattern: Pattern | None, text: str) -> None:
    """Count a text that a pattern knows."""
    if pattern is not None:
        problem = found.problems.setdefault(pattern.key, _Trouble(pattern))
        problem.lines += 1
        problem.example = problem.example or text[:_EXAMPLE]


def _job_findings(found: JobErrors) -> Iterator[Finding]:
    """Yield what an operator has to see of one job."""
    job = found.job
    if found.starts > 1:
        yield Finding(
            AUDIT, Kind.WRONG, job.name, job.task,
            f"{found.starts} start records in the ledger of one attempt",
            "two scripts took the unit: compare its products with `snf audit --verify`",
        )  # fmt: skip
    if job.state in FAILURES and not found.problems:
        yield Finding(
            AUDIT, Kind.FAILED, job.name, job.task, f"{job.state}: {job.reason}", _ADD_PATTERN
        )
    for it in found.problems.values():
        kind = Kind.FAILED if it.pattern.severity == "error" else Kind.WRONG
        what = f"{it.pattern.group}: {it.example}"
        action = it.pattern.next_step(configured=bool(job.step))
        yield Finding(AUDIT, kind, job.name, job.task, what, action)


# --- a production, from the database -------------------------------------------------------


@dataclass
class _Group:
    """Jobs and products with the same problem."""

    pattern: Pattern | None
    excused: bool
    jobs: set[str] = field(default_factory=set)
    products: int = 0


def error_groups(project: Project, database: Database, words: Sequence[str] = ()) -> Report:
    """Put the problems of productions into groups: "37 jobs: no arc in night".

    Only the database is asked: the reasons of failed jobs, and of products that were not made.
    """
    patterns = load_patterns(project)
    with database.read() as session:
        jobs = {job.id: job for job in select_jobs(session, project, words)}
        groups = _group(session, jobs, patterns)
        findings = list(_twice_at_once(session, jobs))
    rows = []
    for (step, label), group in sorted(groups.items(), key=lambda it: -len(it[1].jobs)):
        pattern = group.pattern
        severity = pattern.severity if pattern else "known" if group.excused else "error"
        first = min(group.jobs)
        meaning = pattern.meaning if pattern else "as planned" if group.excused else _NO_MEANING
        rows.append((step, severity, label, len(group.jobs), group.products, first, meaning))
        if severity == "error":
            count = len(group.jobs)
            told = f"{count} job{'s' if count > 1 else ''}: {label}"
            configured = any(step == it.key for it in project.steps)
            action = pattern.next_step(configured=configured) if pattern else _ADD_PATTERN
            findings.append(Finding(AUDIT, Kind.FAILED, label, step, f"{told} ({first})", action))
    return Report(
        audit=AUDIT,
        title=", ".join(words) or f"{project.title} {project.version.label}",
        columns=GROUP_COLUMNS,
        rows=tuple(rows),
        findings=tuple(findings),
    )


def _group(
    session: Session, jobs: dict[int, JobRef], patterns: Sequence[Pattern]
) -> dict[tuple[str, str], _Group]:
    """Return (step, what the problem is called) -> group."""
    groups: dict[tuple[str, str], _Group] = {}
    told: defaultdict[int, Counter[tuple[str, bool]]] = defaultdict(Counter)
    text = sa.func.coalesce(Expected.failure, Expected.reason)
    query = (
        sa.select(Expected.job_id, text, Expected.failure.is_(None), sa.func.count())
        .join(Job, Job.id == Expected.job_id)
        .where(condition(session, jobs.values()), text.is_not(None))
        .group_by(Expected.job_id, text, Expected.failure.is_(None))
    )
    for job_id, reason, planned, count in session.execute(query):
        if job_id in jobs and jobs[job_id].state in FINISHED:
            told[job_id][reason, bool(planned)] += count
    for job in jobs.values():
        if job.state in FAILURES and not told[job.id]:
            told[job.id][job.reason, False] += 0
        for (reason, planned), count in told[job.id].items():
            pattern = match(patterns, REASON, job.plan, reason)
            label = pattern.group if pattern else gist(reason) or "no reason is known"
            key = (job.step or job.production, label)
            group = groups.setdefault(key, _Group(pattern, planned))
            group.excused &= planned
            group.jobs.add(job.name)
            group.products += count
    return groups


def _twice_at_once(session: Session, jobs: dict[int, JobRef]) -> Iterator[Finding]:
    """Yield the jobs of which two attempts ran at the same time."""
    one, other = aliased(Attempt), aliased(Attempt)
    query = (
        sa.select(one.job_id, one.number, other.number)
        .join(other, other.job_id == one.job_id)
        .join(Job, Job.id == one.job_id)
        .where(
            condition(session, jobs.values()),
            Job.attempts > 1,
            other.number > one.number,
            other.started_at < one.ended_at,
        )
        .order_by(Job.name, one.number)
    )
    for job_id, first, second in session.execute(query):
        job = jobs[job_id]
        yield Finding(
            AUDIT, Kind.WRONG, job.name, job.task,
            f"attempts {first} and {second} ran at the same time",
            "compare its products with `snf audit --verify`",
        )  # fmt: skip
