"""Operators' words on units: try a failed one again, end one that runs."""

from __future__ import annotations

import getpass
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import sqlalchemy as sa

from snfpipe import clock
from snfpipe.config.project import Project
from snfpipe.db.models import Job, Production
from snfpipe.db.session import open_database
from snfpipe.engines import make_engine
from snfpipe.errors import Refused
from snfpipe.jobs.active import active_jobs, of_engine
from snfpipe.jobs.cancel import cancel as end_jobs
from snfpipe.jobs.harvest import Harvester
from snfpipe.jobs.reopen import Failed, reopen
from snfpipe.states import ACTIVE, FAILURES, State
from snfpipe.units.graph import Graph, Unit, build_graph, select_units
from snfpipe.units.job_rows import read_rows

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_PATIENCE_S = 30.0  # for a cancelled job to end


@dataclass(frozen=True, slots=True)
class Change:
    """What was done, or would be done, about a unit."""

    task: str
    old: str
    new: str


def retry(project: Project, patterns: tuple[str, ...], *, dry_run: bool = False) -> list[Change]:
    """Put the failed units among those named back to *created*; the next doit tries them.

    Raises
    ------
    NotFound
        A pattern that matches no unit.
    """
    return _retry(project, _named(project, patterns), dry_run)


def retry_jobs(project: Project, names: Collection[str], *, dry_run: bool = False) -> list[Change]:
    """Do what :func:`retry` does for jobs and all failed ones they depend on.

    Raises
    ------
    Refused
        A job is none of the configured production.
    """
    graph = build_graph(project, read_rows(project))
    wanted = {unit.task: unit for unit in _of_jobs(graph, names)}
    above = [*wanted.values()]
    while above:
        for task in above.pop().upstream:
            if task not in wanted:
                wanted[task] = graph[task]
                above.append(graph[task])
    return _retry(project, [unit for task, unit in graph.items() if task in wanted], dry_run)


def _retry(project: Project, units: list[Unit], dry_run: bool) -> list[Change]:
    """Reopen the failed ones among units."""
    database = open_database(project.site.database_url, project.root)
    try:
        if dry_run:
            with database.read() as session:
                return _reopen(session, units, dry_run=True)
        return database.transact(lambda session: _reopen(session, units, dry_run=False))
    finally:
        database.close()


def cancel(project: Project, patterns: tuple[str, ...], *, dry_run: bool = False) -> list[Change]:
    """End the active jobs among the units named, and finish them.

    Parameters
    ----------
    project : Project
        Whose units.
    patterns : tuple of str
        ``[STEP:]UNIT``, with shell patterns.
    dry_run : bool
        Only say which.

    Returns
    -------
    list of Change
        The units that were active, and what they are now.

    Raises
    ------
    NotFound
        A pattern that matches no unit.
    ServiceUnavailable
        The engine or the database does not answer.
    """
    units = _named(project, patterns)
    tasks = {unit.step.job_name(unit.unit): unit.task for unit in units}
    return _cancel(project, tasks, dry_run)


def cancel_jobs(project: Project, names: Collection[str], *, dry_run: bool = False) -> list[Change]:
    """Do what :func:`cancel` does for jobs of whatever production."""
    return _cancel(project, {name: name for name in names}, dry_run)


def _cancel(project: Project, called: Mapping[str, str], dry_run: bool) -> list[Change]:
    """End those jobs that are active, and finish them; `called` says what each is called."""
    database = open_database(project.site.database_url, project.root)
    engine = make_engine(project.site)
    named = Job.name.in_(called)
    whose = sa.and_(named, of_engine(engine))
    try:
        with database.read() as session:
            for job in active_jobs(
                session, project.site, sa.and_(named, sa.not_(of_engine(engine)))
            ):
                raise Refused(
                    f"{job.name} is active, but not with the {engine.name} of this site",
                    hint="switch to the site that has it (configs/production.toml)",
                )
            jobs = {job.job_id: job for job in active_jobs(session, project.site, whose)}
        changes = {
            ident: Change(called[job.name], str(job.state), str(State.CANCELLED))
            for ident, job in jobs.items()
        }
        if dry_run or not jobs:
            return [*changes.values()]
        end_jobs(project, database, engine, whose, getpass.getuser())
        harvester = Harvester(project, database, engine, whose)
        deadline = clock.monotonic() + _PATIENCE_S
        while True:
            harvester.look()
            with database.read() as session:
                query = sa.select(Job.id, Job.state).where(Job.id.in_(jobs))
                now = {ident: state for ident, state in session.execute(query)}
            if ACTIVE.isdisjoint(now.values()) or clock.monotonic() > deadline:
                return [replace(it, new=now.get(ident, it.new)) for ident, it in changes.items()]
            clock.sleep(0.1)
    finally:
        database.close()


def _reopen(session: Session, units: list[Unit], *, dry_run: bool) -> list[Change]:
    """Change the rows of failed units, each on condition that it is still in its state."""
    failed = [(unit, job) for unit, job in _rows(session, units) if job.state in FAILURES]
    if not dry_run:
        reopen(session, [job for _unit, job in failed])
    return [Change(unit.task, str(job.state), str(State.CREATED)) for unit, job in failed]


def _named(project: Project, patterns: tuple[str, ...]) -> list[Unit]:
    """Return the units that patterns name."""
    return select_units(build_graph(project, read_rows(project)), patterns)


def _of_jobs(graph: Graph, names: Collection[str]) -> list[Unit]:
    """Return the units of jobs, in the graph's order."""
    by_name = {unit.step.job_name(unit.unit): unit for unit in graph.values()}
    strange = sorted(set(names) - by_name.keys())
    if strange:
        raise Refused(
            f"{strange[0]} is no job of the configured production",
            hint="the batch_jobs that made it tries it again, with -s --retry",
        )
    return [unit for name, unit in by_name.items() if name in names]


def _rows(session: Session, units: list[Unit]) -> list[tuple[Unit, Failed]]:
    """Return unit and job of the units that have a job."""
    by_name = {(unit.step.production, unit.unit): unit for unit in units}
    query = (
        sa.select(Production.name, Job.unit, Job.id, Job.name, Job.state)
        .join(Production, Production.id == Job.production_id)
        .where(Production.name.in_({production for production, _unit in by_name}))
        .order_by(Job.id)
    )
    return [
        (by_name[production, unit], Failed(ident, name, State(state)))
        for production, unit, ident, name, state in session.execute(query)
        if (production, unit) in by_name
    ]
