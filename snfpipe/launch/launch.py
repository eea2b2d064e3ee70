"""Launching: jobs created and submitted for many units, along the sequence that doit follows.

One query selects for all units, one transaction creates or claims all, one call submits all.
:class:`Stage` says where a launch ends, :class:`Destination` where its products go.
"""

from __future__ import annotations

import difflib
import socket
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe import clock
from snfpipe.config.project import Project
from snfpipe.config.step import Step
from snfpipe.db import store
from snfpipe.db.models import Production
from snfpipe.db.session import Database
from snfpipe.errors import NotFound
from snfpipe.garbage import uncollected
from snfpipe.jobs import expand, planning
from snfpipe.launch.order import Ordered
from snfpipe.launch.registered import Registered
from snfpipe.launch.result import NOTHING_SENT, Launch, LaunchedUnit, Progress, Sent, Work
from snfpipe.plans.unit_plan import UnitPlan
from snfpipe.states import State
from snfpipe.units.decision import NOT_CREATED
from snfpipe.units.job_rows import JobRow
from snfpipe.units.sequence import Considered, consider


class Stage(Enum):
    """How far a launch goes along the sequence."""

    DECIDE = "say what would be done"
    CREATE = "create jobs"
    SUBMIT = "submit them"


class Destination(Protocol):
    """Where jobs stand and their products go: the database and the archive, or a folder."""

    @property
    def folder(self) -> Path:
        """The folder of the jobs."""
        ...

    @property
    def registered(self) -> bool:
        """Whether the database hears of the jobs."""
        ...

    def rows(self, session: Session) -> dict[str, JobRow]:
        """Return unit -> the row of its job."""
        ...

    def alone(self) -> AbstractContextManager[None]:
        """Keep others from submitting into the same place meanwhile, where that matters."""
        ...

    def left_alone(self, units: Sequence[LaunchedUnit]) -> list[LaunchedUnit]:
        """Return the units, those with an attempt under way marked as such."""
        ...

    def create(self, considered: Sequence[Considered]) -> None:
        """Create jobs, and submit none."""
        ...

    def submit(self, considered: Sequence[Considered], progress: Progress | None) -> Sent:
        """Claim units and hand their jobs to the engine."""
        ...


def foresee(ordered: Ordered, database: Database) -> tuple[Launch, list[Work]]:
    """Say what would be selected and made for the units of an order; changes nothing."""
    place = Registered(ordered.project, database, ordered.step)
    with database.read() as session:
        considered = _consider(session, ordered, place)
    work = [it for one in considered for it in _work(ordered.project, one.plan)]
    units = [_unit(ordered.step, it, Stage.SUBMIT) for it in considered]
    return _result(ordered, place, units, NOTHING_SENT, dry_run=True), work


@uncollected()
def launch(
    ordered: Ordered,
    database: Database,
    place: Destination,
    until: Stage,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Launch:
    """Lead the units of an order along the sequence, as far as a stage.

    Parameters
    ----------
    ordered : Ordered
        What is asked for.
    database : Database
        What there is to select from.
    place : Destination
        Where the jobs stand and their products go.
    until : Stage
        The last stage.
    dry_run : bool
        Only say what would be done.
    progress : callable, optional
        Told while jobs wait for slots.

    Raises
    ------
    NotFound
        A production to read from that there is not.
    Refused
        The production was begun by another version, plan or kind of unit.
    ServiceUnavailable
        Engine or database do not answer; the same again goes on.
    """
    with database.read() as session:
        considered = _consider(session, ordered, place)
    units = [_unit(ordered.step, it, until) for it in considered]
    sent = NOTHING_SENT
    if not dry_run:
        with place.alone():
            units = place.left_alone(units)
            chosen = [
                it for it, one in zip(considered, units, strict=True) if one.action != "nothing"
            ]
            if until is Stage.SUBMIT:
                sent = place.submit(chosen, progress)
            else:
                place.create(chosen)
    return _result(ordered, place, units, sent, dry_run=dry_run)


def note_command(folder: Path, words: Sequence[str], project: Project) -> None:
    """Append a command line to the file ``CMD`` of a plan's folder."""
    import getpass
    import shlex

    folder.mkdir(parents=True, exist_ok=True)
    shown = shlex.join(word if word.isprintable() else ascii(word) for word in words)
    moment = clock.utc_now().isoformat(timespec="seconds")
    who = f"{getpass.getuser()}@{socket.gethostname()}"
    with (folder / "CMD").open("a", encoding="utf-8") as file:
        file.write(f"# {moment} {who} {project.version.label} in {str(Path.cwd())!a}\n{shown}\n")


# --- the stages ----------------------------------------------------------------------------


def _consider(session: Session, ordered: Ordered, place: Destination) -> list[Considered]:
    """Select for all units in one go, and decide about each."""
    step = ordered.step
    check(session, ordered, registered=place.registered)
    return consider(session, step, step.units, place.rows(session))


def check(session: Session, ordered: Ordered, *, registered: bool) -> None:
    """Refuse an order that contradicts the productions that there are.

    Parameters
    ----------
    session : Session
        Where productions stand.
    ordered : Ordered
        What is asked for.
    registered : bool
        Whether jobs become part of its production.

    Raises
    ------
    NotFound
        A production to read from that there is not.
    Refused
        The production was begun by another version, plan or kind of unit.
    """
    _check_inputs(session, ordered.named)
    if registered:
        planning.check_production(session, ordered.project, ordered.step)


def _check_inputs(session: Session, named: Sequence[str]) -> None:
    """Refuse to read from productions that nobody has begun."""
    begun = store.production_ids(session, named)
    missing = [name for name in named if name not in begun]
    if missing:
        known = list(session.scalars(sa.select(Production.name)))
        close = difflib.get_close_matches(missing[0], known, 3)
        raise NotFound(
            f"there is no production {missing[0]} to read from",
            hint=f"did you mean {', '.join(close)}?" if close else "see `snf status`",
        )


def _unit(step: Step, it: Considered, until: Stage) -> LaunchedUnit:
    """Say what is to be done about a unit, up to a stage."""
    plan, decision = it.plan, it.decision
    verdict = f"{plan.verdict.state}: {plan.verdict.reason}" if plan.verdict else ""
    if not it.to_run:
        action, reason = "nothing", decision.reason
    elif until is Stage.SUBMIT:
        action, reason = "finish" if plan.verdict else "submit", verdict
    else:
        action, reason = "create" if decision.word == NOT_CREATED else "nothing", verdict
    return LaunchedUnit(
        unit=plan.unit,
        job=step.job_name(plan.unit),
        folder=step.job_folder(plan.unit),
        state=decision.word,
        action=action,
        reason=reason,
        inputs=len(plan.inputs),
        items=len(plan.items),
        products=sum(product.reason is None for product in plan.expected),
    )


def _work(project: Project, plan: UnitPlan) -> list[Work]:
    """Return the pieces of work of a unit."""
    files = {given.id_process: given.path.rpartition("/")[2] for given in plan.inputs}
    made: dict[str, list[str]] = {}
    for product in plan.expected:
        if product.reason is None:
            name = expand.product_name(project, product, 0)
            made.setdefault(product.item, []).append(f"{name.stem[:-3]}III.{name.extension}")
    return [
        Work(
            plan.unit,
            it.item,
            {role: [files[ident] for ident in given] for role, given in it.inputs.items()},
            made.get(it.item, []),
        )
        for it in plan.items
    ]


def _result(
    ordered: Ordered,
    place: Destination,
    units: Sequence[LaunchedUnit],
    sent: Sent,
    *,
    dry_run: bool,
) -> Launch:
    """Put together what was done."""
    project, step = ordered.project, ordered.step
    return Launch(
        production=step.production,
        plan=step.plan,
        version=project.version.label,
        folder=str(place.folder),
        dry_run=dry_run,
        registered=place.registered,
        submitted=sent.count,
        refused=sent.refused,
        units=tuple(_refused(it) if it.job in sent.refused else it for it in units),
        notes=ordered.notes,
    )


def _refused(unit: LaunchedUnit) -> LaunchedUnit:
    """Return a unit whose job was created and could not be submitted."""
    return replace(unit, action="refuse", state=str(State.FAILED), reason="")
