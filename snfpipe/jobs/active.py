"""Active jobs: those whose attempt is not finished, as whoever looks after them sees them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe.config.project import Project
from snfpipe.config.site import Site
from snfpipe.db.models import Attempt, Job, Production
from snfpipe.engines.base import Engine, EngineOutcome
from snfpipe.states import ACTIVE, State
from snfpipe.worker.spec import AttemptFolder, JobSpec

_DEFAULTS = {field.name: field.default for field in fields(EngineOutcome)}
_VALUES = attrgetter(*_DEFAULTS)

#: Which jobs somebody looks after: a condition on Production, Job and Attempt.
Whose = sa.ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class ActiveJob:
    """A job and the attempt its row names; ``folder`` is below ``jobs``, its version's JOBDIR."""

    job_id: int
    production_id: int
    production: str
    name: str
    unit: str
    jobs: Path
    folder: str
    state: State
    token: str
    number: int
    engine_id: str | None
    submitted_at: datetime | None
    accounting: EngineOutcome | None

    @property
    def attempt(self) -> AttemptFolder:
        """The attempt's folder."""
        folder = self.jobs / self.folder
        return AttemptFolder.numbered(folder, self.name, self.number, self.token)


def of_project(project: Project) -> Whose:
    """Return the condition for jobs of the configured productions."""
    return Production.name.in_([step.production for step in project.steps])


def of_engine(engine: Engine) -> Whose:
    """Return the condition for jobs of any production that an engine has."""
    return Attempt.engine == engine.name


def active_jobs(
    session: Session,
    site: Site,
    whose: Whose,
    *,
    states: frozenset[State] = ACTIVE,
    lost_since: datetime | None = None,
) -> list[ActiveJob]:
    """Return active jobs (or in other `states`), and those given up as lost since a moment."""
    wanted: Whose = Job.state.in_(states)
    if lost_since is not None:
        of_late = sa.or_(Attempt.ended_at.is_(None), Attempt.ended_at >= lost_since)
        wanted = sa.or_(wanted, sa.and_(Job.state == State.LOST.value, of_late))
    query = (
        sa.select(
            Job.id, Production.id, Production.name, Job.name, Job.unit, Production.version,
            Job.folder, Job.state, Attempt.token, Attempt.number, Attempt.engine_id,
            Attempt.submitted_at, Attempt.accounting,
        )
        .join(Attempt, Attempt.token == Job.token)
        .join(Production, Production.id == Job.production_id)
        .where(whose, wanted)
        .order_by(Job.id)
    )  # fmt: skip
    rows = session.connection().execute(query).all()  # of the ORM they need nothing
    jobs = {version: site.jobs.parent / version for version in {row.version for row in rows}}
    return [
        ActiveJob(
            ident, production_id, production, name, unit, jobs[version], folder, State(state),
            token, number, engine_id, submitted, outcome_of(accounting),
        )
        for ident, production_id, production, name, unit, version, folder, state, token, number,
        engine_id, submitted, accounting in rows
    ]  # fmt: skip


def stored_specs(session: Session, tokens: Collection[str]) -> dict[str, JobSpec]:
    """Return token -> spec of attempts as the database has them."""
    query = sa.select(Attempt.token, Attempt.spec).where(Attempt.token.in_(tokens))
    return {token: JobSpec.from_json(text) for token, text in session.execute(query)}


def outcome_of(stored: Mapping[str, Any] | None) -> EngineOutcome | None:
    """Return an engine's word as it was stored with an attempt."""
    return None if stored is None else EngineOutcome(**stored)


def stored(outcome: EngineOutcome) -> dict[str, Any]:
    """Return an engine's word as it is stored with an attempt: what it says, and no more."""
    said = zip(_DEFAULTS.items(), _VALUES(outcome), strict=True)
    return {name: value for (name, default), value in said if value != default}
