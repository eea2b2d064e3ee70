"""Planning: from unit plans to claimed jobs, in one transaction for all units of a step.

Before an engine hears of a job, the database knows its attempt, its token, what is expected of it
and the index of every product.  Whoever crashes after that leaves enough to go on: the attempt's
row holds the whole spec, and who claimed it.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe import clock
from snfpipe.config.project import Project
from snfpipe.config.step import Step
from snfpipe.db import store
from snfpipe.db.models import (
    Attempt,
    Expected,
    Job,
    Process,
    ProductIndex,
    Production,
    ProductionBase,
)
from snfpipe.db.session import Database
from snfpipe.errors import Refused
from snfpipe.grouping import grouped
from snfpipe.jobs import driver, root
from snfpipe.jobs.expand import job_spec, product_name, variables_of
from snfpipe.jobs.manifest import (
    Finished,
    manifest_path,
    manifest_text,
    sha256,
    write_manifests,
)
from snfpipe.jobs.programs import Commands, commands_of
from snfpipe.jobs.version_digest import hold_version
from snfpipe.killpoint import killpoint
from snfpipe.names import INDEX_DIGITS, ProductName
from snfpipe.plans.unit_plan import UnitPlan, Verdict, digest
from snfpipe.states import CLAIMABLE, FINISHED, MAY_REGISTER, State, check_change
from snfpipe.worker.spec import AttemptFolder, JobSpec


@dataclass(frozen=True, slots=True)
class Planned:
    """What planning did: jobs claimed for submission, and units finished by a verdict."""

    claimed: tuple[JobSpec, ...]
    finished: tuple[Finished, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    """A job's row, locked."""

    id: int
    name: str
    folder: str
    state: State
    attempts: int
    inputs_digest: str | None


def _is_free(row: _Row, inputs_digest: str) -> bool:
    """Tell whether a unit may be claimed: it is not active, and was not just finished the same."""
    finished = row.state in FINISHED and row.inputs_digest == inputs_digest
    return row.state in CLAIMABLE and not finished


def create(project: Project, database: Database, step: Step, units: Sequence[str]) -> None:
    """Give those of `units` a job that have none; nobody works on it before it is claimed."""

    def work(session: Session) -> None:
        _lock_rows(session, step, ensure_production(session, project, step), units)

    database.transact(work)


def claim(
    project: Project,
    database: Database,
    step: Step,
    plans: Sequence[UnitPlan],
    *,
    keep: bool = False,
) -> Planned:
    """Claim every unit that is not active, finish those with a verdict, for good.

    Units that are active, or were just finished from the same inputs, are in neither
    part of the answer.  The manifests of verdicts are written.  With `keep`, jobs leave their
    products in the work folder, too.

    Raises
    ------
    Refused
        The programs of the version are not at hand, or its file was edited since it was used.
    """
    commands = commands_of(project, step)

    def work(session: Session) -> Planned:
        planned = plan_jobs(session, project, step, plans, commands, keep=keep)
        session.flush()
        killpoint("plan:before-claim-commit")
        return planned

    planned = database.transact(work)
    killpoint("plan:after-claim-commit")
    return replace(planned, finished=tuple(write_manifests(planned.finished)))


def plan_jobs(
    session: Session,
    project: Project,
    step: Step,
    plans: Sequence[UnitPlan],
    commands: Commands,
    *,
    keep: bool = False,
) -> Planned:
    """Do what :func:`claim` says within a session; nothing holds before it is committed.

    Parameters
    ----------
    session : Session
        A writing session.
    project, step : Project, Step
        What is produced.
    plans : sequence of UnitPlan
        The units, as the plan selected them.
    commands : Commands
        What the jobs run.
    keep : bool
        Jobs leave their products in the work folder, too.
    """
    root.hold(session, project.site)
    hold_version(session, project, step)
    production_id = ensure_production(session, project, step)
    variables = variables_of(project, step)
    rows = _lock_rows(session, step, production_id, [plan.unit for plan in plans])
    digests = {plan.unit: digest(step, plan) for plan in plans}
    free = [plan for plan in plans if _is_free(rows[plan.unit], digests[plan.unit])]
    names = _name(session, project, {rows[plan.unit].id for plan in free}, free)
    _declare(session, [(rows[plan.unit].id, plan) for plan in free], names)
    claimed = []
    finished = []
    attempts: list[dict[str, Any]] = []
    changes: list[dict[str, Any]] = []
    for plan in free:
        row = rows[plan.unit]
        place = project.site.jobs / row.folder
        folder = AttemptFolder.numbered(place, row.name, row.attempts + 1, secrets.token_hex(8))
        spec = job_spec(
            project, step, plan, folder, names[plan.unit], variables, commands, keep=keep
        )
        attempt, change = _claim(spec, row, digests[plan.unit], project.site.engine)
        if plan.verdict:
            check_change(row.name, row.state, plan.verdict.state)
            path = manifest_path(place, row.name)
            finished.append(_finish(spec, row, path, plan.verdict, attempt, change))
        else:
            check_change(row.name, row.state, State.CLAIMED)
            claimed.append(spec)
        if not plan.verdict or plan.verdict.state is State.FAILED:
            attempts.append(attempt)
        changes.append(change)
    store.insert(session, Attempt, attempts)
    store.update_rows(session, Job, changes, ["id"])
    live = sa.update(Process).where(Process.state == "live").values(state="superseded")
    retired = [rows[plan.unit].id for plan in free if plan.verdict]  # they no longer make any
    store.change_in(session, live, Process.job_id, retired)
    return Planned(tuple(claimed), tuple(finished))


def ensure_production(session: Session, project: Project, step: Step) -> int:
    """Return the row id of a step's production, made where it is missing.

    Raises
    ------
    Refused
        It was made by another version, plan or kind of unit: one production is not mixed of two.
    """
    row = {
        "name": step.production,
        "meta_prefix": project.meta_prefix,
        "version": project.version.label,
        "number": project.number,
        "outver": project.outver,
        "prefix": step.prefix,
        "plan": step.plan,
        "unit_kind": step.kind.name,
    }
    ident = store.ensure_productions(session, [row])[step.production]
    check_production(session, project, step)
    read = {name for names in step.inputs.values() for name in names}
    bases = store.production_ids(session, read)
    pairs = [{"production_id": ident, "based_on_id": base} for base in bases.values()]
    store.insert_new(session, ProductionBase, pairs)
    return ident


def check_production(session: Session, project: Project, step: Step) -> None:
    """Refuse to go on with a production that another version, plan or kind of unit began."""
    query = sa.select(Production.version, Production.plan, Production.unit_kind)
    stands = session.execute(query.where(Production.name == step.production)).one_or_none()
    if stands is not None and stands != (project.version.label, step.plan, step.kind.name):
        version, plan, unit_kind = stands
        raise Refused(
            f"production {step.production} was begun by {version} as {plan} of {unit_kind}s, and "
            f"cannot go on by {project.version.label} as {step.plan} of {step.kind.name}s",
            hint="give this one another prefix, or another production id",
        )


def _lock_rows(
    session: Session, step: Step, production_id: int, units: Sequence[str]
) -> dict[str, _Row]:
    """Make the job rows that are missing and lock all of them, in one order for everybody."""
    moment = clock.utc_now()
    fresh = [
        {
            "production_id": production_id,
            "unit": unit,
            "unit_kind": step.kind.name,
            "name": step.job_name(unit),
            "folder": step.job_folder(unit),
            "state": State.CREATED.value,
            "created": moment,
            "updated": moment,
            "attempts": 0,
            "reason": "",
        }
        for unit in units
    ]
    store.insert_new(session, Job, fresh)
    query = (
        sa.select(
            Job.unit, Job.id, Job.name, Job.folder, Job.state, Job.attempts, Job.inputs_digest
        )
        .where(Job.production_id == production_id)
        .order_by(Job.id)
        .with_for_update()
    )
    return {
        unit: _Row(ident, name, folder, State(state), attempts, seen)
        for unit, ident, name, folder, state, attempts, seen in store.rows_in(
            session, query, Job.unit, units
        )
    }


def _name(
    session: Session, project: Project, job_ids: Collection[int], plans: Iterable[UnitPlan]
) -> dict[str, list[ProductName]]:
    """Give every expected product an index that no other has, or is going to have.

    Until one of a job's attempts is registered, all of them get the same, unless another job was
    promised that one meanwhile: one of another production, or another unit whose product has
    the same name but for the index, since it begins with the same night.

    Returns
    -------
    dict
        Unit -> a name for each of its expected products.
    """
    names = {plan.unit: [product_name(project, it, 0) for it in plan.expected] for plan in plans}
    everything = [name for own in names.values() for name in own]
    for fclass in sorted({name.fclass for name in everything}):
        store.alone(session, f"index of {project.number} {fclass}")  # whoever claims the same
    last = _promised(session, job_ids, everything)
    wanted = store.among(session, ProductIndex.base, [name.base for name in everything])
    query = sa.select(ProductIndex.base, ProductIndex.last).where(wanted)
    for base, index in session.execute(query):
        last[base] = max(index, last.get(base, 0))
    for unit, own in names.items():
        names[unit] = [
            replace(name, index=last[name.base] + 1) if name.base in last else name for name in own
        ]
        last.update((name.base, name.index) for name in names[unit] if not name.exposure.exposure)
    return names


def _promised(
    session: Session, job_ids: Collection[int], names: Iterable[ProductName]
) -> dict[str, int]:
    """Return base -> highest index that other jobs than these may still register under."""
    pairs = {((name.fclass, name.xfclass), str(name.exposure.night)) for name in names}
    last: dict[str, int] = {}
    for (fclass, xfclass), nights in grouped(pairs).items():
        query = (
            sa.select(Expected.job_id, Expected.id_process)
            .join(Job, Job.id == Expected.job_id)
            .where(
                Job.state.in_(MAY_REGISTER), Expected.reason.is_(None),
                Expected.fclass == fclass, Expected.xfclass == xfclass,
                Expected.night.in_(nights),
            )
        )  # fmt: skip
        for job_id, ident in session.execute(query):
            if job_id in job_ids:
                continue
            base, index = ident[:-INDEX_DIGITS], int(ident[-INDEX_DIGITS:])
            last[base] = max(index, last.get(base, 0))
    return last


def _declare(
    session: Session,
    plans: Sequence[tuple[int, UnitPlan]],
    names: Mapping[str, Sequence[ProductName]],
) -> None:
    """Replace what jobs declared that is expected of them."""
    store.change_in(
        session, sa.delete(Expected), Expected.job_id, [job_id for job_id, _plan in plans]
    )
    rows = [
        {
            "job_id": job_id,
            "id_process": name.id_process,
            "name": str(name),
            "fclass": expected.fclass,
            "xfclass": expected.xfclass,
            "channel": expected.channel,
            "night": str(expected.exposure.night),
            "id_exposure": expected.exposure.id_exposure,
            "reason": expected.reason,
        }
        for job_id, plan in plans
        for expected, name in zip(plan.expected, names[plan.unit], strict=True)
    ]
    store.insert_many(session, Expected, rows)


def _claim(
    spec: JobSpec, row: _Row, inputs_digest: str, engine: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the attempt's row and the job's change, as for a job that will be submitted."""
    moment = clock.utc_now()
    attempt = {
        "token": spec.token,
        "job_id": row.id,
        "number": spec.number,
        "engine": engine,
        "claimed_at": moment,
        "ended_at": None,
        "outcome": "",
        "reason": "",
        "environment": {"claimed_by": driver.identity()},
        "spec": spec.to_json(),
    }
    change = {
        "id": row.id,
        "state": State.CLAIMED.value,
        "reason": "",
        "token": spec.token,
        "attempts": spec.number,
        "inputs_digest": inputs_digest,
        "manifest": None,
        "manifest_sha": None,
        "updated": moment,
    }
    return attempt, change


def _finish(
    spec: JobSpec,
    row: _Row,
    path: Path,
    verdict: Verdict,
    attempt: dict[str, Any],
    change: dict[str, Any],
) -> Finished:
    """Turn a claim into a verdict; a refusal counts as an attempt, having nothing to do not."""
    text = manifest_text(
        spec.production, spec.unit, verdict.state, verdict.reason, spec.selection, spec.identity, ()
    )
    change.update(
        state=verdict.state.value, reason=verdict.reason, manifest=text, manifest_sha=sha256(text)
    )
    if verdict.state is State.FAILED:
        attempt.update(
            engine="none",
            ended_at=clock.utc_now(),
            outcome=verdict.state.value,
            reason=verdict.reason,
        )
    else:
        change.update(token=None, attempts=row.attempts)
    return Finished(row.name, spec.production, spec.unit, path, verdict.state, verdict.reason, text)
