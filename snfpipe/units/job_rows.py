"""What the database says at one moment: job rows, change stamps, nights of targets.

It is read at every start of doit, over thousands of units, and so by few plain queries.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from snfpipe.config.project import Project
from snfpipe.db.quick import Ask, quick_look, revision
from snfpipe.plans.observed import SurveySoFar
from snfpipe.plans.reach import depends_on_runs

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

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


class Rows(NamedTuple):
    """One state of the database, as far as it bears on what is fresh.

    ``jobs``: (production, unit) -> row; ``stamps``: night -> number of changes.
    """

    revision: str
    jobs: dict[tuple[str, str], JobRow]
    stamps: dict[str, int]
    observed: SurveySoFar


def jobs_of(
    session: Session, productions: Iterable[str], units: Iterable[str]
) -> dict[tuple[str, str], JobRow]:
    """Return (production, unit) -> row, of the jobs that there are."""
    import sqlalchemy as sa

    from snfpipe.db.models import Job, Production
    from snfpipe.db.store import chunks

    found: dict[tuple[str, str], JobRow] = {}
    names = list(productions)
    for part in chunks(sorted(set(units))):
        query = (
            sa.select(
                Production.name, Job.unit, Job.name, Job.folder, Job.state, Job.reason,
                Job.inputs_digest, Job.manifest_sha, Job.attempts,
            )
            .join(Production, Production.id == Job.production_id)
            .where(Production.name.in_(names), Job.unit.in_(part))
        )  # fmt: skip
        for production, unit, *row in session.execute(query):
            found[production, unit] = JobRow._make(row)
    return found


def manifests_of(
    session: Session, productions: Iterable[str], units: Iterable[str]
) -> dict[tuple[str, str], str]:
    """Return (production, unit) -> the text of the manifest, of finished jobs."""
    import sqlalchemy as sa

    from snfpipe.db.models import Job, Production
    from snfpipe.db.store import chunks

    names = list(productions)
    found: dict[tuple[str, str], str] = {}
    for part in chunks(sorted(set(units))):
        query = (
            sa.select(Production.name, Job.unit, Job.manifest)
            .join(Production, Production.id == Job.production_id)
            .where(Production.name.in_(names), Job.unit.in_(part), Job.manifest.is_not(None))
        )
        for production, unit, text in session.execute(query):
            found[production, unit] = text or ""
    return found


def read_rows(project: Project) -> Rows:
    """Read the rows of the configured productions.

    Raises
    ------
    SnfError
        The database does not answer, or is none of ours.
    """
    try:
        with quick_look(project.site.database_url, project.root) as ask:
            return _read(project, ask)
    except Exception:
        # the proper way in names what is wrong; where it finds nothing, the problem remains
        from snfpipe.db.session import open_database

        open_database(project.site.database_url, project.root).close()
        raise


def _read(project: Project, ask: Ask) -> Rows:
    """Ask; stamps before jobs, so that a change in between is seen again next time."""
    schema = revision(ask)
    stamps: dict[str, int] = dict(ask("SELECT night, seq FROM change_stamp"))
    wanted = {step.production for step in project.steps}
    ids = {ident: name for ident, name in ask("SELECT id, name FROM production") if name in wanted}
    jobs = {}
    for ident, production in ids.items():
        for unit, *row in ask(_JOBS % int(ident)):
            jobs[production, unit] = JobRow(*row)
    observed = SurveySoFar(ask, project.root)
    if any(depends_on_runs(step.spec, step.kind) for step in project.steps):
        observed.load()
    return Rows(schema, jobs, stamps, observed)
