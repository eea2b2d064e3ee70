"""What a call of ``manage_jobs`` is about: the project, its database, the jobs that are meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from snfpipe.config.project import Project
from snfpipe.errors import UsageError

if TYPE_CHECKING:
    from snfpipe.db.session import Database
    from snfpipe.jobs.select import Listed, Wanted


@dataclass(frozen=True)
class Call:
    """What every action needs."""

    project: Project
    database: Database
    wanted: Wanted | None
    by: str
    dry_run: bool
    as_json: bool

    @property
    def pattern(self) -> Wanted:
        """The jobs that are meant; an action may not be called without."""
        if self.wanted is None:
            raise UsageError("no job is named", hint="say -j PATTERN")
        return self.wanted

    def find(self) -> list[Listed]:
        """Return the jobs that are meant, for a change."""
        from snfpipe.jobs.select import find_jobs

        self.pattern.refuse_everything()
        with self.database.read() as session:
            return find_jobs(session, self.pattern)
