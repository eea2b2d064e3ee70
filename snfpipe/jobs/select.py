"""Which jobs a person means: whole names, shell patterns, regular expressions on request."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe.config.project import Project
from snfpipe.db import store
from snfpipe.db.models import Job, Process, Production
from snfpipe.errors import NotFound, Refused, UsageError, did_you_mean, shown
from snfpipe.names import VersionName
from snfpipe.states import State

_LONGEST = 120  # characters in a job's name
_NOBODY = "\0"  # in no name


@dataclass(frozen=True, slots=True)
class Wanted:
    """Patterns of job names.

    A name is meant when a pattern matches the whole of it.  What names of the configured version
    begin with, ``SNF-0203-``, may be left out.

    Parameters
    ----------
    patterns : tuple of str
        Shell patterns (``* ? [89] [!89]``), or regular expressions.
    regex : bool
        Which of the two.
    start : str
        What may be left out.

    Raises
    ------
    UsageError
        A pattern is empty, holds what no name does, or is no regular expression.
    """

    patterns: tuple[str, ...]
    regex: bool = False
    start: str = ""

    def __post_init__(self) -> None:
        """Check the patterns."""
        if not self.patterns:
            raise UsageError("no job is named", hint="say -j PATTERN")
        for pattern in self.patterns:
            if not pattern.strip():
                raise UsageError("the pattern is empty", hint="-j '*' means every job")
            if "/" in pattern or not pattern.isprintable() or len(pattern) > 10 * _LONGEST:
                raise UsageError(
                    f"pattern {shown(pattern)} is no job's name",
                    hint="names look like SNF-0203-SAMPLEe-06334, without folder or extension",
                )
            try:
                self._compiled(pattern)
            except re.error as error:
                raise UsageError(
                    f"{shown(pattern)} is no regular expression: {error}",
                    hint="without -E it would be a shell pattern",
                ) from error

    @classmethod
    def of(cls, project: Project, patterns: Sequence[str], *, regex: bool = False) -> Wanted:
        """Return what patterns mean in a project."""
        lite = VersionName(project.version.label, project.number).lite
        return cls(tuple(patterns), regex, f"{project.meta_prefix}{lite}-")

    def pick(self, names: Iterable[str]) -> list[str]:
        """Return those names that are meant, in their order.

        Raises
        ------
        NotFound
            A pattern means none; says how many it would with a ``*``, and what comes close.
        """
        names = list(names)
        found: set[str] = set()
        for pattern in self.patterns:
            mine = self._matching(pattern, names)
            if not mine:
                raise NotFound(f"no job matches {shown(pattern)}", hint=self._hint(pattern, names))
            found.update(mine)
        return [name for name in names if name in found]

    def refuse_everything(self) -> None:
        """Refuse patterns that any name at all would match: too wide for a change.

        Raises
        ------
        Refused
            Names the pattern.
        """
        for pattern in self.patterns:
            compiled = self._compiled(pattern)
            if any(compiled.fullmatch(_NOBODY * length) for length in range(_LONGEST)):
                raise Refused(
                    f"pattern {shown(pattern)} means every job there is or will be",
                    hint=f"name a production at least, like '{self.start}SAMPLEe-*'",
                )

    def _compiled(self, pattern: str) -> re.Pattern[str]:
        """Return a pattern as a regular expression for ``fullmatch``."""
        return re.compile(pattern if self.regex else fnmatch.translate(pattern))

    def _matching(self, pattern: str, names: Iterable[str]) -> list[str]:
        """Return the names that one pattern means."""
        matches = self._compiled(pattern).fullmatch
        start = self.start
        return [
            name
            for name in names
            if matches(name) or (start and name.startswith(start) and matches(name[len(start) :]))
        ]

    def _hint(self, pattern: str, names: Sequence[str]) -> str:
        """Say what a pattern that means nothing may have been meant to be."""
        longer = f"(?:{pattern}).*" if self.regex else f"{pattern}*"
        count = len(self._matching(longer, names))
        if count:
            end = ".*" if self.regex else "*"
            return f"{count} {'job begins' if count == 1 else 'jobs begin'} like that: add {end}"
        meant = did_you_mean(pattern, names[:20_000]).strip()
        return meant or "`manage_jobs -j '*'` lists them all"


@dataclass(frozen=True, slots=True)
class Listed:
    """A job as lists show it; ``processes`` are its live ones."""

    id: int
    name: str
    production: str
    version: str
    number: int
    unit: str
    state: State
    reason: str
    created: datetime
    processes: int
    superseded: int


def find_jobs(session: Session, wanted: Wanted) -> list[Listed]:
    """Return the jobs that are meant, of whatever production, by name.

    Raises
    ------
    NotFound
        A pattern means none.
    """
    rows = session.execute(sa.select(Job.name, Job.id).order_by(Job.name))
    ids = {name: ident for name, ident in rows}
    return jobs_of(session, [ids[name] for name in wanted.pick(ids)])


def jobs_of(session: Session, job_ids: Iterable[int]) -> list[Listed]:
    """Return jobs by their rows' ids, by name."""
    job_ids = list(job_ids)
    is_live = Process.state == "live"
    processes = sa.select(Process.job_id, is_live, sa.func.count()).group_by(
        Process.job_id, is_live
    )
    counts = {
        (ident, bool(live)): count
        for ident, live, count in store.rows_in(session, processes, Process.job_id, job_ids)
    }
    jobs = sa.select(
        Job.id, Job.name, Production.name, Production.version, Production.number,
        Job.unit, Job.state, Job.reason, Job.created,
    ).join(Production, Production.id == Job.production_id)  # fmt: skip
    found = [
        Listed(ident, name, production, version, number, unit, State(state), reason, created,
               counts.get((ident, True), 0), counts.get((ident, False), 0))
        for ident, name, production, version, number, unit, state, reason, created
        in store.rows_in(session, jobs, Job.id, job_ids)
    ]  # fmt: skip
    return sorted(found, key=lambda job: job.name)
