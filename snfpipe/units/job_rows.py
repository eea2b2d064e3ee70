"""One quick look at the database: job rows, change stamps, nights of targets.

It is taken at every start of doit, over thousands of units, and so by a quick look.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from snfpipe.config.project import Project
from snfpipe.db.quick import Ask, quick_look, revision

_JOBS = (
    "SELECT unit, name, folder, state, reason, inputs_digest, manifest_sha, attempts "
    "FROM job WHERE production_id = %d"
)


class JobRow(NamedTuple):
    """What freshness needs of a job's row; ``folder`` is relative to JOBDIR."""

    name: str
    folder: str
    state: str
    reason: str
    inputs_digest: str | None
    manifest_sha: str | None
    attempts: int


class Look(NamedTuple):
    """One state of the database, as far as it bears on what is fresh.

    ``jobs``: (production, unit) -> row; ``stamps``: night -> number of changes;
    ``nights_of``: target -> its nights, where a step works on targets.
    """

    revision: str
    jobs: dict[tuple[str, str], JobRow]
    stamps: dict[str, int]
    nights_of: dict[str, list[str]]


def look(project: Project) -> Look:
    """Look at the configured productions.

    Raises
    ------
    SnfError
        The database does not answer, or is none of ours.
    """
    try:
        with quick_look(project.site.database_url, project.root) as ask:
            return _look(project, ask)
    except Exception:
        # the proper way in names what is wrong; where it finds nothing, the trouble stands
        from snfpipe.db.session import open_database

        open_database(project.site.database_url, project.root).close()
        raise


def _look(project: Project, ask: Ask) -> Look:
    """Ask; stamps before jobs, so that a change in between is seen again next time."""
    schema = revision(ask)
    stamps: dict[str, int] = dict(ask("SELECT night, seq FROM change_stamp"))
    wanted = {step.production for step in project.steps}
    ids = {ident: name for ident, name in ask("SELECT id, name FROM production") if name in wanted}
    jobs = {}
    for ident, production in ids.items():
        for unit, *row in ask(_JOBS % int(ident)):
            jobs[production, unit] = JobRow(*row)
    nights_of: dict[str, list[str]] = {}
    if any(step.unit_kind == "target" for step in project.steps):
        nights_of = _group(
            ask(
                "SELECT DISTINCT target.name, run.night FROM run "
                "JOIN target ON target.id = run.target_id ORDER BY 1, 2"
            )
        )
    return Look(schema, jobs, stamps, nights_of)


def _group(rows: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return target -> nights."""
    groups: dict[str, list[str]] = {}
    for target, night in rows:
        groups.setdefault(target, []).append(night)
    return groups
