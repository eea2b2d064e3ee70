"""Launching: jobs created and submitted for many units, through the library that doit uses.

One query selects for all units, one transaction creates or claims all, one call submits all.
Killed anywhere, the same again goes on: what was claimed is taken over and submitted once.
"""

from __future__ import annotations

import difflib
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe import clock
from snfpipe.config.project import Project, Step
from snfpipe.db import store
from snfpipe.db.models import Job, Production
from snfpipe.db.session import Database
from snfpipe.engines import make_engine
from snfpipe.errors import NotFound
from snfpipe.garbage import uncollected
from snfpipe.jobs import expand, planning
from snfpipe.jobs.reopen import Failed, reopen
from snfpipe.jobs.submit import Submitter
from snfpipe.launch.order import Ordered
from snfpipe.plans import PLANS
from snfpipe.plans.base import UnitPlan, digest
from snfpipe.states import FAILURES, State
from snfpipe.units.decision import NOT_CREATED, Act, judge
from snfpipe.units.job_rows import JobRow

PAUSE_S = 0.2  # between two looks for a free slot, where an engine has no queue

#: What is told of submitting: how many the engine has taken, of how many.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class LaunchedUnit:
    """A unit: how its job stands, what was or would be done, what it reads and makes.

    ``deed`` is one of ``create``, ``submit``, ``settle`` (a verdict, without an attempt),
    ``nothing``; ``refuse`` where the engine would not have it, as ``refused`` of the launch says.
    """

    unit: str
    job: str
    folder: str
    state: str
    deed: str
    reason: str
    inputs: int
    items: int
    products: int


@dataclass(frozen=True, slots=True)
class Launch:
    """What was done, or with ``dry_run`` would be.

    ``submitted`` counts what the engine took; ``refused`` says of jobs why they could not be
    submitted.
    """

    production: str
    plan: str
    version: str
    folder: str
    dry_run: bool
    registered: bool
    submitted: int
    refused: dict[str, str]
    units: tuple[LaunchedUnit, ...]
    notes: tuple[str, ...]

    @property
    def deeds(self) -> Counter[tuple[str, str, str]]:
        """Count units by what is done about them, the state that they are in, and why."""
        return Counter((it.deed, it.state, it.reason) for it in self.units)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Work:
    """A piece of work of a unit: files by role, and products (III: an index, not given yet)."""

    unit: str
    item: str
    inputs: dict[str, list[str]]
    products: list[str]


@dataclass(frozen=True, slots=True)
class Sent:
    """How many jobs the engine took, and why others could not be submitted, by job."""

    count: int = 0
    refused: dict[str, str] = field(default_factory=dict)


NOTHING_SENT = Sent()


def foresee(ordered: Ordered, database: Database) -> tuple[Launch, list[Work]]:
    """Say what would be selected and made for the units of an order; changes nothing."""
    with database.read() as session:
        plans, units = select(session, ordered, submit=True)
    work = [it for unit in ordered.step.units for it in _work(ordered.project, plans[unit])]
    return result(ordered, units, NOTHING_SENT, dry_run=True), work


@uncollected()
def launch(
    ordered: Ordered,
    database: Database,
    *,
    submit: bool,
    retry: bool = False,
    keep: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Launch:
    """Create the jobs of an order; with `submit`, hand them to the engine.

    Parameters
    ----------
    ordered : Ordered
        What is asked for.
    database : Database
        Where jobs stand.
    submit : bool
        Submit what was created, now or before.
    retry : bool
        Try failed jobs again, too.
    keep : bool
        Jobs leave their products in the work folder, too.
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
    project, step = ordered.project, ordered.step
    with database.read() as session:
        plans, units = select(session, ordered, submit=submit, retry=retry)
    if dry_run:
        return result(ordered, units, NOTHING_SENT, dry_run=True)
    if retry:
        database.transact(lambda session: _reopen(session, step))
    sent = NOTHING_SENT
    if submit:
        run = [plans[it.unit] for it in units if it.deed in ("submit", "settle")]
        sent = _submit(project, database, step, run, keep, progress)
    else:
        for it in units:
            if it.deed != "nothing":
                (project.site.jobs / it.folder).mkdir(parents=True, exist_ok=True)
        planning.create(project, database, step, step.units)
    return result(ordered, units, sent, dry_run=False)


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


# --- selecting -----------------------------------------------------------------------------


def select(
    session: Session,
    ordered: Ordered,
    *,
    submit: bool,
    retry: bool = False,
    registered: bool = True,
) -> tuple[dict[str, UnitPlan], list[LaunchedUnit]]:
    """Select for all units in one go, and say what is to be done about each."""
    step = ordered.step
    check(session, ordered, registered=registered)
    plans = PLANS[step.plan].select(session, step, step.units)
    rows = _rows(session, step) if registered else {}
    if retry:
        rows = {
            unit: row._replace(state=str(State.CREATED)) if row.state in FAILURES else row
            for unit, row in rows.items()
        }
    return plans, [_unit(step, plans[unit], rows.get(unit), submit) for unit in step.units]


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


def _rows(session: Session, step: Step) -> dict[str, JobRow]:
    """Return the jobs of the step's units that there are."""
    rows = {}
    for part in store.chunks(step.units):
        query = (
            sa.select(
                Job.unit, Job.name, Job.folder, Job.state, Job.reason, Job.inputs_digest,
                Job.manifest_sha, Job.attempts,
            )
            .join(Production, Production.id == Job.production_id)
            .where(Production.name == step.production, Job.unit.in_(part))
        )  # fmt: skip
        for unit, name, folder, state, reason, seen, sha, attempts in session.execute(query):
            rows[unit] = JobRow(name, folder, state, reason, seen, sha, attempts)
    return rows


def _reopen(session: Session, step: Step) -> None:
    """Put the failed ones among the step's units back to *created*."""
    for part in store.chunks(step.units):
        query = (
            sa.select(Job.id, Job.name, Job.state)
            .join(Production, Production.id == Job.production_id)
            .where(
                Production.name == step.production,
                Job.unit.in_(part),
                Job.state.in_([str(state) for state in FAILURES]),
            )
        )
        rows = session.execute(query).all()
        reopen(session, (Failed(ident, name, State(state)) for ident, name, state in rows))


def _unit(step: Step, plan: UnitPlan, row: JobRow | None, submit: bool) -> LaunchedUnit:
    """Say what is to be done about a unit."""
    standing = judge(row, digest(step, plan), manifest_there=True)
    verdict = f"{plan.verdict.state}: {plan.verdict.reason}" if plan.verdict else ""
    if standing.act is not Act.RUN:
        deed, reason = "nothing", standing.reason
    elif submit:
        deed, reason = "settle" if plan.verdict else "submit", verdict
    else:
        deed, reason = "create" if standing.word == NOT_CREATED else "nothing", verdict
    return LaunchedUnit(
        unit=plan.unit,
        job=step.job_name(plan.unit),
        folder=step.job_folder(plan.unit),
        state=standing.word,
        deed=deed,
        reason=reason,
        inputs=len(plan.inputs),
        items=len(plan.items),
        products=sum(owed.reason is None for owed in plan.owed),
    )


def _work(project: Project, plan: UnitPlan) -> list[Work]:
    """Return the pieces of work of a unit."""
    files = {given.id_process: given.path.rpartition("/")[2] for given in plan.inputs}
    made: dict[str, list[str]] = {}
    for owed in plan.owed:
        if owed.reason is None:
            name = expand.product_name(project, owed, 0)
            made.setdefault(owed.item, []).append(f"{name.stem[:-3]}III.{name.extension}")
    return [
        Work(
            plan.unit,
            it.item,
            {role: [files[ident] for ident in given] for role, given in it.inputs.items()},
            made.get(it.item, []),
        )
        for it in plan.items
    ]


def result(
    ordered: Ordered,
    units: Sequence[LaunchedUnit],
    sent: Sent,
    *,
    dry_run: bool,
    place: Path | None = None,
) -> Launch:
    """Put together what was done."""
    project, step = ordered.project, ordered.step
    return Launch(
        production=step.production,
        plan=step.plan,
        version=project.version.label,
        folder=str(place or project.site.jobs / step.folder),
        dry_run=dry_run,
        registered=place is None,
        submitted=sent.count,
        refused=sent.refused,
        units=tuple(_refused(it) if it.job in sent.refused else it for it in units),
        notes=ordered.notes,
    )


def _refused(unit: LaunchedUnit) -> LaunchedUnit:
    """Return a unit whose job was created and could not be submitted."""
    return replace(unit, deed="refuse", state=str(State.FAILED), reason="")


# --- submitting ----------------------------------------------------------------------------


def _submit(
    project: Project,
    database: Database,
    step: Step,
    plans: Sequence[UnitPlan],
    keep: bool,
    progress: Progress | None,
) -> Sent:
    """Claim and submit; take over what a killed launch of the same production left behind."""
    submitter = Submitter(project, database, make_engine(project.site))
    failed = submitter.adopt()
    if plans:
        failed += submitter.add(planning.claim(project, database, step, plans, keep=keep).claimed)
    total = submitter.waiting
    unsent = submitter.send()
    while submitter.waiting:
        if progress:
            progress(total - submitter.waiting, total)
        clock.sleep(PAUSE_S)
        unsent += submitter.send()
    return Sent(total - len(unsent), {it.job: it.reason for it in [*failed, *unsent]})
