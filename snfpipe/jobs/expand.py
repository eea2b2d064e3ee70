"""Expanding: from a unit plan to the spec of an attempt, which holds all that its job needs."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

from snfpipe.config.project import Project
from snfpipe.config.step import Step
from snfpipe.errors import Refused
from snfpipe.names import INDEX_DIGITS, ProductName
from snfpipe.plans.unit_plan import ExpectedProduct, UnitPlan, selection
from snfpipe.worker.script import environment
from snfpipe.worker.spec import AttemptFolder, JobSpec, Product


def variables_of(project: Project, step: Step) -> dict[str, str]:
    """Return all that the environment of a step's jobs holds; the same for every unit."""
    variables = {
        "SNF_VERSION_LITE": project.version.lite,
        "SNF_TASKS": str(project.root),
        **step.environment,
    }
    return environment(variables, project.version.label, str(project.site.jobs))


def product_name(project: Project, expected: ExpectedProduct, index: int) -> ProductName:
    """Return an expected product's file name."""
    return ProductName(
        expected.exposure,
        expected.channel,
        expected.fclass,
        expected.xfclass,
        project.number,
        index,
        expected.extension,
    )


def job_spec(
    project: Project,
    step: Step,
    plan: UnitPlan,
    attempt: AttemptFolder,
    names: Sequence[ProductName],
    variables: Mapping[str, str],
    commands: tuple[tuple[str, ...], ...],
    *,
    keep: bool = False,
    stays_in: str = "",
) -> JobSpec:
    """Turn a unit plan into the spec of an attempt.

    Parameters
    ----------
    project, step : Project, Step
        What is produced.
    plan : UnitPlan
        The unit, as its plan selected it.
    attempt : AttemptFolder
        Which attempt.
    names : sequence of ProductName
        A name for each of the plan's expected products.
    variables : mapping
        The job's environment, see :func:`variables_of`.
    commands : tuple of tuple of str
        What it runs, see :func:`snfpipe.jobs.programs.commands_of`.
    keep : bool
        The job leaves its products in the work folder, too.
    stays_in : str
        The folder that the products of a job without a row stay in.
    """
    areas = {"raw": project.site.raw, "archive": project.site.archive}
    paths = {given.id_process: str(areas[given.area] / given.path) for given in plan.inputs}
    own = {name.base: name.id_process for name in names}
    products = tuple(
        _product(expected, name, own)
        for expected, name in zip(plan.expected, names, strict=True)
        if expected.reason is None
    )
    items = tuple(
        {
            "item": item.item,
            "inputs": {
                role: [paths[ident] for ident in given] if role in item.lists else paths[given[0]]
                for role, given in item.inputs.items()
                if given or role in item.lists
            },
            "values": dict(item.values),
        }
        for item in plan.items
    )
    resources = step.resources
    return JobSpec(
        job=step.job_name(plan.unit),
        production=step.production,
        plan=step.plan,
        unit=plan.unit,
        unit_kind=step.kind.name,
        version=project.version.label,
        token=attempt.token,
        number=attempt.number,
        folder=str(attempt.path),
        archive=str(project.site.archive),
        environment=dict(variables),
        limits={
            "cpu_s": resources.cpu_s,
            "memory_mb": resources.memory_mb,
            "wall_s": resources.wall_s,
        },
        commands=commands,
        options=dict(step.options),
        items=items,
        products=products,
        selection=tuple(selection(plan)),
        identity=step.identity,
        keep=keep,
        stays_in=stays_in,
        validates=step.validate == "audit",
    )


def _product(expected: ExpectedProduct, name: ProductName, own: Mapping[str, str]) -> Product:
    """Return an expected product as specs carry it; parents of the same unit get their index."""
    return Product(
        id_process=name.id_process,
        name=str(name),
        item=expected.item,
        role=expected.role,
        fclass=expected.fclass,
        xfclass=expected.xfclass,
        parents=tuple(dict.fromkeys(own.get(parent, parent) for parent in expected.parents)),
        auxiliary={role: name.auxiliary(role, ext) for role, ext in expected.auxiliary.items()},
        target_id=expected.target_id,
        flags=expected.flags,
        optional=expected.optional,
    )


def unregistered(
    project: Project,
    step: Step,
    plan: UnitPlan,
    place: Path,
    taken: Set[str],
    commands: tuple[tuple[str, ...], ...],
    *,
    keep: bool = False,
) -> JobSpec:
    """Return the spec of a job that the database never hears of: its products stay in `place`.

    Parameters
    ----------
    project, step, plan : Project, Step, UnitPlan
        What is produced, and the unit as its plan selected it.
    place : Path
        The folder of the trial.
    taken : set of str
        Stems of names that others have, or will have, in `place`; all products of the unit get
        the lowest index that gives none of them.
    commands : tuple of tuple of str
        What the job runs, see :func:`snfpipe.jobs.programs.commands_of`.
    keep : bool
        The job leaves its products in the work folder, too.

    Raises
    ------
    Refused
        Every index is taken.
    """
    job = step.job_name(plan.unit)
    number = 1 + max((it.number for it in AttemptFolder.all_of(place, job)), default=0)
    attempt = AttemptFolder.numbered(place, job, number, secrets.token_hex(8))
    for index in range(10**INDEX_DIGITS):
        names = [product_name(project, expected, index) for expected in plan.expected]
        if taken.isdisjoint(name.stem for name in names):
            break
    else:
        raise Refused(
            f"{job} has no name left for its products in {place}: every index is taken",
            hint="move products away, or call it in another folder",
        )
    return job_spec(
        project, step, plan, attempt, names, variables_of(project, step), commands,
        keep=keep, stays_in=str(place),
    )  # fmt: skip
