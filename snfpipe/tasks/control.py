"""Operators' words on units: try a failed one again, end one that runs."""

from __future__ import annotations

import getpass
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from snfpipe.config import Project
from snfpipe.db.models import Job, Production
from snfpipe.db.session import Database, open_database
from snfpipe.engines import make_engine
from snfpipe.errors import Refused
from snfpipe.jobs.cancel import cancel as end_jobs
from snfpipe.jobs.harvest import Harvester
from snfpipe.states import FAILURES, IN_HAND, State, check_change
from snfpipe.tasks.graph import Graph, Unit, build_graph, select_units
from snfpipe.tasks.look import look

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
    graph = build_graph(project, look(project))
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
    """End the jobs in hand among the units named, and settle them.

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
        The units that were in hand, and what they are now.

    Raises
    ------
    NotFound
        A pattern that matches no unit.
    ServiceUnavailable
        The engine or the database does not answer.
    """
    return _cancel(project, _named(project, patterns), dry_run)


def cancel_jobs(project: Project, names: Collection[str], *, dry_run: bool = False) -> list[Change]:
    """Do what :func:`cancel` does for jobs.

    Raises
    ------
    Refused
        A job is none of the configured production.
    """
    units = _of_jobs(build_graph(project, look(project)), names)
    return _cancel(project, units, dry_run)


def _cancel(project: Project, units: list[Unit], dry_run: bool) -> list[Change]:
    """End those units that are in hand, and settle them."""
    database = open_database(project.site.database_url, project.root)
    try:
        running = {
            name: Change(unit.task, str(state), str(State.CANCELLED))
            for unit, _ident, name, state in _read_rows(database, units)
            if state in IN_HAND
        }
        if dry_run or not running:
            return [*running.values()]
        engine = make_engine(project.site)
        end_jobs(project, database, engine, running, getpass.getuser())
        harvester = Harvester(project, database, engine)
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            harvester.look()
            now = {name: state for _u, _i, name, state in _read_rows(database, units)}
            open_ones = [name for name in running if now[name] in IN_HAND]
            if not open_ones or time.monotonic() > deadline:
                return [Change(c.task, c.old, str(now[name])) for name, c in running.items()]
            time.sleep(0.1)
    finally:
        database.close()


def _read_rows(database: Database, units: list[Unit]) -> list[tuple[Unit, int, str, State]]:
    """Return what :func:`_rows` does, as the database has it now."""
    with database.read() as session:
        return _rows(session, units)


def _reopen(session: Session, units: list[Unit], *, dry_run: bool) -> list[Change]:
    """Change the rows of failed units, each on condition that it is still in its state."""
    changes = []
    for unit, ident, name, state in _rows(session, units):
        if state not in FAILURES:
            continue
        check_change(name, state, State.CREATED)
        if not dry_run:
            reason = f"to be tried again, was {state}"
            session.execute(
                sa.update(Job)
                .where(Job.id == ident, Job.state == str(state))
                .values(state=str(State.CREATED), reason=reason)
            )
        changes.append(Change(unit.task, str(state), str(State.CREATED)))
    return changes


def _named(project: Project, patterns: tuple[str, ...]) -> list[Unit]:
    """Return the units that patterns name."""
    return select_units(build_graph(project, look(project)), patterns)


def _of_jobs(graph: Graph, names: Collection[str]) -> list[Unit]:
    """Return the units of jobs, in the graph's order."""
    by_name = {unit.step.job_name(unit.unit): unit for unit in graph.values()}
    strange = sorted(set(names) - by_name.keys())
    if strange:
        raise Refused(
            f"{strange[0]} is no job of the configured production",
            hint="configs/production.toml says which is; `snf_version` switches the version",
        )
    return [unit for name, unit in by_name.items() if name in names]


def _rows(session: Session, units: list[Unit]) -> list[tuple[Unit, int, str, State]]:
    """Return unit, job id, job name and state of the units that have a job."""
    by_name = {(unit.step.production, unit.unit): unit for unit in units}
    query = (
        sa.select(Production.name, Job.unit, Job.id, Job.name, Job.state)
        .join(Production, Production.id == Job.production_id)
        .where(Production.name.in_({production for production, _unit in by_name}))
        .order_by(Job.id)
    )
    return [
        (by_name[production, unit], ident, name, State(state))
        for production, unit, ident, name, state in session.execute(query)
        if (production, unit) in by_name
    ]
