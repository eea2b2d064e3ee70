"""Orders: what an operator's words ask for, as a production of one step.

The step is the configured one where the words come to its production; otherwise it is made from
the plan, the version and the words, and reads what the configured step of that plan reads unless
the words say better.  So `batch_jobs` and `doit` act on the same jobs wherever they mean the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from snfpipe import names
from snfpipe.config.lists import list_words, parse_list, read_list
from snfpipe.config.personal import check_outver
from snfpipe.config.plan_file import PlanFile, Resources, list_plans
from snfpipe.config.project import Project
from snfpipe.config.step import Step
from snfpipe.config.tomlfile import Key
from snfpipe.declarations.unit_kinds import UnitKind
from snfpipe.errors import BadName, NotFound, Refused, UsageError, shown
from snfpipe.launch.arguments import PlanArguments, parse
from snfpipe.names import VersionName

_LIST_ENDINGS = (".list", ".txt", ".lst")


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for; ``words`` are the plan's arguments, ``units`` units and files of them."""

    mode: str
    prefix: str
    units: tuple[str, ...]
    words: tuple[str, ...] = ()
    meta_prefix: str = "SNF-"
    outver: int | None = None


@dataclass(frozen=True, slots=True)
class Ordered:
    """An order, understood: a project of one step, and what is to be said of the words.

    ``named`` are the productions to read from that the words name: they should exist.
    """

    project: Project
    named: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def step(self) -> Step:
        """The step."""
        return self.project.steps[0]


def understand(project: Project, order: Order) -> Ordered:
    """Turn an order into a project of one step.

    Raises
    ------
    UsageError
        Words that the plan does not have, units that are none, a production id that is nobody's
        or a version's.
    Refused
        A configured production is named, and the words contradict its file.
    """
    plan = find_plan(project.root, order.mode)
    given = parse(plan, order.words)
    outver = project.outver if order.outver is None else order.outver
    if order.outver is not None:
        check_outver(project.root, order.outver)
    kind, units = read_units(plan, (*order.units, *given.rest))
    version = project.version
    name = version.name if outver is None else VersionName.outver(version.label, outver)
    production = names.production_name(order.meta_prefix, name, order.prefix, plan.spec.letter)
    same = next((it for it in project.steps if it.production == production), None)
    if same is not None:
        _check_agreement(same, kind, given)
        step = replace(same, units=units)
    else:
        step = _make_step(project, plan, kind, units, order.prefix, production, given)
    ordered = replace(project, meta_prefix=order.meta_prefix, outver=outver, steps=(step,))
    named = tuple(name for found in given.inputs.values() for name in found)
    return Ordered(ordered, named, given.notes)


def find_plan(root: Path, mode: str) -> PlanFile:
    """Return the plan called `mode` (``extract_star``, ``plan_extract_star``) or of that letter.

    Raises
    ------
    NotFound
        There is none; lists those there are.
    """
    plans = list_plans(root)
    wanted = mode.removeprefix("plan_")
    for plan in plans:
        if wanted == plan.name or (mode == plan.spec.letter != ""):
            return plan
    known = ", ".join(f"{plan.spec.letter or '-'} {plan.name}" for plan in plans)
    raise NotFound(f"there is no plan {shown(mode)}", hint=f"letters and plans: {known}")


def read_units(plan: PlanFile, words: Sequence[str]) -> tuple[UnitKind, tuple[str, ...]]:
    """Return the kind of units and the units that words name, each a unit or a file of them.

    Raises
    ------
    UsageError
        None at all, some that are no units, or some of a kind that the plan does not work on.
    """
    kind: UnitKind | None = None
    found: list[str] = []
    for word in words:
        path = Path(word)
        if path.is_file():
            kind = kind or _kind_of_list(plan, path)
            found += read_list(path, kind)
        elif "/" in word or word.endswith(_LIST_ENDINGS):
            raise NotFound(f"there is no list {shown(word)}", hint="name a file, or units")
        else:
            kind = kind or _kind_of(plan, word)
            found.append(word)
    if kind is None or not found:
        raise UsageError("there are no units to work on", hint="name some, or a list that has some")
    return kind, parse_list("\n".join(found), kind, "units")


def _kind_of_list(plan: PlanFile, path: Path) -> UnitKind:
    """Return the kind of the units in a list: that of the first."""
    return _kind_of(plan, next(iter(list_words(path)), ""))


def _kind_of(plan: PlanFile, unit: str) -> UnitKind:
    """Return the kind of a unit: the first of the plan's kinds that reads it, or its last."""
    for kind in plan.spec.unit_kinds:
        with suppress(BadName):
            kind.parse(unit)
            return kind
    return plan.spec.unit_kinds[-1]


def _check_agreement(step: Step, kind: UnitKind, given: PlanArguments) -> None:
    """Refuse words that a configured step contradicts: a production is made in one way."""
    wrong = [
        f"{name} {value!r} ({step.options[name]!r} there)"
        for name, value in given.options.items()
        if step.options[name] != value
    ]
    wrong += [
        f"{role} from {', '.join(read)} ({', '.join(step.inputs.get(role, ())) or 'raw'} there)"
        for role, read in given.inputs.items()
        if step.inputs.get(role, ()) != read
    ]
    if kind != step.kind:
        wrong.append(f"units of kind {kind.name} ({step.kind.name} there)")
    if wrong:
        raise Refused(
            f"{step.production} is step {step.key} of the configured production, and does not "
            f"agree with what is asked for: {'; '.join(wrong)}",
            hint="take another prefix, or change the production's file",
        )


def _make_step(
    project: Project,
    plan: PlanFile,
    kind: UnitKind,
    units: tuple[str, ...],
    prefix: str,
    production: str,
    given: PlanArguments,
) -> Step:
    """Make a step that stands in no production file."""
    version = project.version
    if plan.name not in version.programs:
        raise NotFound(
            f"version {version.label} has no program for plan {plan.name}",
            hint=f"add [programs.{plan.name}] to {version.path}, or take another version",
        )
    of_version = version.options.get(plan.name, {})
    plan.check_options(of_version, Key(version.path) / "options" / plan.name)
    like = _like(project, plan, kind)
    inputs = {**(like.inputs if like else {}), **given.inputs}
    missing = [role for role, needed in plan.spec.sources.items() if needed and role not in inputs]
    if missing:
        raise UsageError(
            f"nothing says which productions {production} reads {', '.join(missing)} from",
            hint="name them by -j, as SNF-0203-CUBESc",
        )
    return Step(
        root=project.root,
        key=plan.name,
        spec=plan.spec,
        kind=kind,
        prefix=prefix,
        production=production,
        list_path=project.root / "lists",
        units=units,
        validate="none",
        minimum_status=like.minimum_status if like else 1,
        inputs=inputs,
        input_steps={},
        options={**plan.options, **of_version, **given.options},
        resources=like.resources if like else Resources(**plan.resources),
        program=version.programs[plan.name],
        environment=version.environment,
    )


def _like(project: Project, plan: PlanFile, kind: UnitKind) -> Step | None:
    """Return the configured step that is most like one of `plan` over units of `kind`."""
    alike = [step for step in project.steps if step.plan == plan.name]
    return next((step for step in alike if step.kind == kind), alike[0] if alike else None)
