"""job_env_check: what workers saw of environment and programs, and whether it was all the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe.audit.findings import Finding, Kind, Report
from snfpipe.audit.scope import JobRef, condition, select_jobs
from snfpipe.config.project import Project
from snfpipe.config.versions import Version, load_version
from snfpipe.db.models import Attempt, Job
from snfpipe.db.session import Database
from snfpipe.errors import NotFound, UsageError
from snfpipe.jobs.version_digest import edits
from snfpipe.states import State

AUDIT = "job_env_check"

JOB_COLUMNS = ("name", "the worker saw", "wanted")
PRODUCTION_COLUMNS = ("production", "jobs", "program", "host", "first job")

#: Differ between machines, and change no product.
_PLACES = frozenset({"PATH", "HOME", "JOBDIR", "SNF_TASKS", "TMPDIR"})
_FACTS = ("host", "user", "system")
_MADE_SOMETHING = (State.DONE, State.INCOMPLETE, State.VALIDATED)
_AGAIN = "`snf retry` the jobs that differ, on workers that are all alike"

Environment = dict[str, str]


def job_env_check(project: Project, database: Database, words: Sequence[str] = ()) -> Report:
    """Compare environments as workers saw them; changes nothing.

    Parameters
    ----------
    project, database : Project, Database
        Where to look.
    words : sequence of str
        One job to hold against its version's file, two jobs to compare, or none: every
        configured production, which must not mix versions.

    Raises
    ------
    NotFound
        No such job, or one that never ran.
    UsageError
        More than two jobs.
    """
    with database.read() as session:
        if not words:
            return _productions(session, project)
        if len(words) > 2:
            raise UsageError("more than two jobs", hint="name one, two, or none")
        jobs = [_only(select_jobs(session, project, [word]), word) for word in words]
        seen = _seen(session, jobs)
    for job in jobs:
        if job.id not in seen:
            raise NotFound(f"no worker ever saw job {job.name}", hint=f"it is '{job.state}'")
    first = jobs[0]
    if len(jobs) == 2:
        return _compare(first, seen[first.id], jobs[1], seen[jobs[1].id])
    return _against_version(first, seen[first.id], load_version(project.root, first.version))


def _only(jobs: Sequence[JobRef], word: str) -> JobRef:
    """Return the one job a word names."""
    if len(jobs) != 1:
        raise UsageError(f"{word!r} names {len(jobs)} jobs", hint="name one")
    return jobs[0]


def _seen(session: Session, jobs: Sequence[JobRef]) -> dict[int, Environment]:
    """Return job id -> what the worker of its current attempt saw."""
    query = (
        sa.select(Attempt.job_id, Attempt.environment)
        .join(Job, Job.token == Attempt.token)
        .where(condition(session, jobs))
    )
    return {
        job_id: _flat(environment)
        for job_id, environment in session.execute(query)
        if environment.get("variables")
    }


def _flat(environment: Mapping[str, Any]) -> Environment:
    """Return facts and variables in one table, the program among them."""
    facts = {name: str(environment.get(name) or "") for name in ("program", *_FACTS)}
    return facts | {
        name: "(not set)" if value is None else str(value)
        for name, value in environment["variables"].items()
    }


def _compare(one: JobRef, seen: Environment, other: JobRef, wanted: Environment) -> Report:
    """Compare two jobs."""
    rows = [(name, seen.get(name, ""), wanted.get(name, "")) for name in sorted({*seen, *wanted})]
    same_plan = one.plan == other.plan
    findings = [
        Finding(AUDIT, Kind.WRONG, one.name, other.name, f"{name}: {left!r} and {right!r}", _AGAIN)
        for name, left, right in rows
        if left != right and name not in _PLACES and name not in _FACTS
        if same_plan or name != "program"
    ]
    return Report(
        audit=AUDIT,
        title=f"{one.name} and {other.name}",
        columns=("name", one.name, other.name),
        rows=tuple(row for row in rows if row[1] != row[2]),
        findings=tuple(findings),
        notes=(f"{sum(left == right for _, left, right in rows)} of {len(rows)} are the same",),
    )


def _against_version(job: JobRef, seen: Environment, version: Version) -> Report:
    """Hold a job against the file of its version."""
    wanted = wanted_of(version, job.plan)
    rows = tuple((name, seen.get(name, ""), wanted.get(name, "")) for name in sorted(seen))
    return Report(
        audit=AUDIT,
        title=f"{job.name} and {version.path.name}",
        columns=JOB_COLUMNS,
        rows=rows,
        findings=tuple(_differences(job, seen, wanted, version)),
    )


def wanted_of(version: Version, plan: str) -> Environment:
    """Return what a version's file wants a job of a plan to see."""
    wanted = {"SNF_VERSION": version.label, "SNF_VERSION_LITE": version.lite, **version.environment}
    program = version.programs.get(plan)
    if program is not None and program.version != "*":
        wanted["program"] = f"{program.name} {program.version}"
    return wanted


def _differences(
    job: JobRef, seen: Environment, wanted: Environment, version: Version
) -> Iterator[Finding]:
    """Yield what a worker saw otherwise than its version's file wants it."""
    for name, value in wanted.items():
        if seen.get(name, "(not set)") != value:
            what = f"{name}: the worker saw {seen.get(name, '(not set)')!r}, wanted is {value!r}"
            yield Finding(AUDIT, Kind.WRONG, job.name, str(version.path), what, _AGAIN)


def _productions(session: Session, project: Project) -> Report:
    """Hold all jobs of each configured production against each other and the version's file.

    And the files of released versions against what they said when they were first used.

    Productions that they are based on are others, and may be of any version.
    """
    jobs = [job for job in select_jobs(session, project, ()) if job.state in _MADE_SOMETHING]
    seen = _seen(session, jobs)
    rows: list[tuple[object, ...]] = []
    findings: list[Finding] = []
    alike: dict[str, dict[tuple[tuple[str, str], ...], list[JobRef]]]
    alike = defaultdict(lambda: defaultdict(list))
    for job in jobs:
        if job.id in seen:
            kept = {k: v for k, v in seen[job.id].items() if k not in _PLACES and k not in _FACTS}
            alike[job.production][tuple(sorted(kept.items()))].append(job)
    for production, kinds in alike.items():
        ranked = sorted(kinds.items(), key=lambda it: (-len(it[1]), it[1][0].name))
        most = dict(ranked[0][0])
        total = sum(map(len, kinds.values()))
        for content, members in ranked:
            hosts = sorted({seen[job.id]["host"] for job in members})
            first = members[0]
            program = dict(content)["program"]
            rows.append((production, len(members), program, ", ".join(hosts), first.name))
            what = _what_differs(dict(content), most)
            if what:
                findings.append(
                    Finding(AUDIT, Kind.WRONG, first.name, production,
                            f"mixed versions: {len(members)} of {total} jobs have {what}",
                            f"`job_env_check {first.name} {ranked[0][1][0].name}`; {_AGAIN}")
                )  # fmt: skip
        wanted = wanted_of(project.version, ranked[0][1][0].plan)
        findings += _differences(ranked[0][1][0], most, wanted, project.version)
    findings += [
        Finding(AUDIT, Kind.WRONG, it.label, str(it.path), it.what, it.next_step)
        for it in edits(session, project)
    ]
    return Report(
        audit=AUDIT,
        title=f"{project.title} {project.version.label}",
        columns=PRODUCTION_COLUMNS,
        rows=tuple(rows),
        findings=tuple(findings),
    )


def _what_differs(content: Environment, most: Environment) -> str:
    """Return how an environment differs from that of most jobs, nothing if it does not."""
    return ", ".join(
        f"{name} {content.get(name, '')!r} instead of {most.get(name, '')!r}"
        for name in sorted({*content, *most})
        if content.get(name) != most.get(name)
    )
