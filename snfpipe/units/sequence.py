"""The one way from units to jobs: select, decide, plan and claim, submit.

    select    what each unit would read and make now            plans.selection
    decide    what to do about it, from its job's row           units.decision
    claim     indices, expected products, token: one commit     jobs.planning
    submit    scripts, then one call of the engine              jobs.submit

``snf why``, ``plan_*`` and ``batch_jobs -D`` end it after *decide*; ``batch_jobs`` only makes the
jobs; ``batch_jobs -s`` and doit go to its end; ``batch_jobs -L`` goes on with a folder in the
place of the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from snfpipe.config.project import Project
from snfpipe.config.step import Step
from snfpipe.db.session import Database
from snfpipe.jobs import planning
from snfpipe.jobs.manifest import Finished
from snfpipe.jobs.planning import Planned
from snfpipe.jobs.submit import Submitter
from snfpipe.plans.selection import select
from snfpipe.plans.unit_plan import UnitPlan, digest
from snfpipe.units.decision import Action, Decision, decide
from snfpipe.units.job_rows import JobRow


@dataclass(frozen=True, slots=True)
class Considered:
    """A unit, halfway: what it would read and make now, its job's row, and what to do about it."""

    unit: str
    plan: UnitPlan
    digest: str
    row: JobRow | None
    decision: Decision

    @property
    def to_run(self) -> bool:
        """Whether the unit is to be claimed."""
        return self.decision.action is Action.RUN


def _there(unit: str, row: JobRow) -> bool:
    return True


def consider(
    session: Session,
    step: Step,
    units: Sequence[str],
    rows: Mapping[str, JobRow],
    manifest_there: Callable[[str, JobRow], bool] = _there,
) -> list[Considered]:
    """Select for all units at once, and decide about each.

    Parameters
    ----------
    session : Session
        What there is.
    step, units : Step, sequence of str
        Which units.
    rows : mapping
        Unit -> the row of its job, for those that have one.
    manifest_there : callable, optional
        Tells whether the manifest of a finished unit is on disk; taken for granted by default.
    """
    plans = select(session, step, units)
    considered = []
    for unit in units:
        plan, row = plans[unit], rows.get(unit)
        seen = digest(step, plan)
        decision = decide(row, seen, row is None or manifest_there(unit, row))
        considered.append(Considered(unit, plan, seen, row, decision))
    return considered


def claim(
    project: Project,
    database: Database,
    step: Step,
    considered: Iterable[Considered],
    *,
    keep: bool = False,
) -> Planned:
    """Claim the units that are to run, in one transaction; those with a verdict are finished."""
    plans = [it.plan for it in considered if it.to_run]
    if not plans:
        return Planned((), ())
    return planning.claim(project, database, step, plans, keep=keep)


def submit(submitter: Submitter, planned: Planned) -> list[Finished]:
    """Hand claimed jobs over; return those whose scripts cannot be written.

    The submitter sends as many as the site has room for, now and whenever it is asked again.
    """
    return submitter.add(planned.claimed)
