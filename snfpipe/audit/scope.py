"""Which jobs an audit is asked about: a job, a pattern, a file, a step, a production, a folder.

Patterns are matched here, against names the database gave: none of what a user types reaches a
query but as a value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe.config.project import Project
from snfpipe.config.step import Step
from snfpipe.db import store
from snfpipe.db.models import Job, Production
from snfpipe.errors import NotFound, UsageError, shown
from snfpipe.states import State

#: How many values a query may be told one by one; above, all jobs are taken and sifted.
_FEW = 1_000


@dataclass(frozen=True, slots=True)
class JobRef:
    """A job's row; ``step`` is the key of the configured step it belongs to, or empty."""

    id: int
    name: str
    production: str
    version: str
    plan: str
    unit: str
    folder: str
    state: State
    reason: str
    token: str | None
    step: str

    @property
    def task(self) -> str:
        """What to call it in a command: ``step:unit``, or its name where no step has it."""
        return f"{self.step}:{self.unit}" if self.step else self.name


_COLUMNS = (
    Job.id, Job.name, Production.name, Production.version, Production.plan, Job.unit, Job.folder,
    Job.state, Job.reason, Job.token,
)  # fmt: skip


def select_jobs(session: Session, project: Project, words: Sequence[str]) -> list[JobRef]:
    """Return the jobs that words name, in order of their names; all configured ones for none.

    A word is a job's name, ``step:unit``, a step, a production, a plan's folder, any file of a
    job (``.../SNF-0203-SAMPLEe-06334.json``), or a file that lists such words, one a line.
    Names may hold ``* ? []``.

    Raises
    ------
    NotFound
        A word that names no job; says what might have been meant.
    UsageError
        An empty word.
    """
    if not words:
        return _query(session, project, [step.production for step in project.steps])
    found: dict[int, JobRef] = {}
    for word in _spelt_out(words):
        jobs = _jobs_of(session, project, word)
        if not jobs:
            raise NotFound(
                f"no job is called {shown(word)}",
                hint="name a job, STEP:UNIT, a step, a production, or a job's file; patterns may "
                "hold * ? [] (quoted)",
            )
        found.update((job.id, job) for job in jobs)
    return sorted(found.values(), key=lambda job: job.name)


def condition(session: Session, jobs: Collection[JobRef]) -> sa.ColumnElement[bool]:
    """Return what to ask of :class:`~snfpipe.db.models.Job` to get these jobs and no other.

    Jobs that are all of some productions are asked for by those, which databases do better.
    """
    names = {job.production for job in jobs}
    productions = sa.select(Production.id).where(Production.name.in_(names))
    of_productions = Job.production_id.in_(productions)
    if len(jobs) == session.scalar(sa.select(sa.func.count(Job.id)).where(of_productions)):
        return of_productions
    return store.among(session, Job.id, [job.id for job in jobs])


def select_steps(project: Project, word: str) -> list[Step]:
    """Return the configured steps that a step's key, folder or production names; all for none.

    Raises
    ------
    NotFound
        There is none such.
    """
    if word in ("", project.production_key):
        return list(project.steps)
    folder = Path(word).name
    found = [it for it in project.steps if word in (it.key, it.production) or folder == it.folder]
    if not found:
        known = ", ".join(
            f"{step.key} ({step.folder}, {step.production})" for step in project.steps
        )
        raise NotFound(f"no step, folder or production is called {shown(word)}", hint=known)
    return found


def _spelt_out(words: Iterable[str]) -> Iterator[str]:
    """Yield words; of files the job they belong to, or the words they list."""
    for word in words:
        if not word.strip():
            raise UsageError("an empty name", hint="to take all jobs, name none")
        path = Path(word)
        if len(word) > 1_000 or not path.is_file():
            yield word
        elif "." in path.name and path.suffix not in (".list", ".txt"):
            yield path.stem
        else:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            listed = (line.partition("#")[0].strip() for line in lines)
            yield from (line for line in listed if line)


def _jobs_of(session: Session, project: Project, word: str) -> list[JobRef]:
    """Return the jobs that one word names."""
    exact = _query(session, project, names=[word])
    if exact:
        return exact
    with suppress(NotFound):
        return _query(session, project, [step.production for step in select_steps(project, word)])
    key, colon, unit = word.partition(":")
    if colon:
        productions = [s.production for s in project.steps if fnmatchcase(s.key, key)]
        return [j for j in _query(session, project, productions) if fnmatchcase(j.unit, unit)]
    wanted = {name for name in session.scalars(sa.select(Job.name)) if fnmatchcase(name, word)}
    if not wanted:
        return _query(session, project, [word])
    if len(wanted) <= _FEW:
        return _query(session, project, names=sorted(wanted))
    return [job for job in _query(session, project) if job.name in wanted]


def _query(
    session: Session,
    project: Project,
    productions: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
) -> list[JobRef]:
    """Return jobs, of some productions or of some names."""
    query = sa.select(*_COLUMNS).join(Production, Production.id == Job.production_id)
    if productions is not None:
        query = query.where(Production.name.in_(productions))
    if names is not None:
        query = query.where(Job.name.in_(names))
    steps = {step.production: step.key for step in project.steps}
    return [
        JobRef(
            ident, name, production, version, plan, unit, folder, State(state), reason, token,
            steps.get(production, ""),
        )
        for (
            ident, name, production, version, plan, unit, folder, state, reason, token,
        ) in session.execute(query.order_by(Job.name))
    ]  # fmt: skip
