"""The steps of a production file, checked and resolved: plan, list, productions, options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from snfpipe import names
from snfpipe.config.lists import read_list
from snfpipe.config.plan_file import PlanFile, Resources, load_plan
from snfpipe.config.step import Step
from snfpipe.config.tomlfile import Key, named_file, read_toml
from snfpipe.config.versions import Version, check_label
from snfpipe.errors import BadName, ConfigError, shown
from snfpipe.names import VersionName

SWITCH = Path("configs") / "production.toml"

_Lists = dict[tuple[Path, str], tuple[str, ...]]


def read_switch(root: Path) -> dict[str, str]:
    """Return what ``configs/production.toml`` says: version, production, site."""
    return read_toml(root, root / SWITCH, "switch")


def resolve_steps(
    root: Path, path: Path, content: Mapping[str, Any], version: Version
) -> tuple[Step, ...]:
    """Return the steps of a production file as a version makes them.

    Raises
    ------
    ConfigError, NotFound, BadName
        Something in the file or what it names; names file, line and key.
    """
    made = _made_by(root, path, content, version.name)
    lists: _Lists = {}  # many steps share a list
    return tuple(
        _resolve(root, Key(path) / "steps" / number, entry, made, version, lists)
        for number, entry in enumerate(content["steps"])
    )


class _Made(NamedTuple):
    """What a step of a production file is: its plan, and the name of its production."""

    plan: PlanFile
    production: str


def _made_by(
    root: Path, path: Path, content: Mapping[str, Any], version: VersionName
) -> dict[str, _Made]:
    """Return the steps of a production file by key, in order, as a version makes them."""
    outver = content.get("outver")
    name = version if outver is None else VersionName.outver(version.label, outver)
    made: dict[str, _Made] = {}
    for number, entry in enumerate(content["steps"]):
        at = Key(path) / "steps" / number
        plan = load_plan(root, entry["plan"], at / "plan")
        production = names.production_name(
            content["meta_prefix"], name, entry["prefix"], plan.spec.letter
        )
        if entry["key"] in made or production in {other.production for other in made.values()}:
            raise ConfigError(
                f"step {entry['key']} ({production}) occurs twice",
                hint="give each step its own key, and each use of a plan its own prefix",
                place=(at / "key")(),
            )
        made[entry["key"]] = _Made(plan, production)
    return made


def _resolve(
    root: Path,
    at: Key,
    entry: Mapping[str, Any],
    made: Mapping[str, _Made],
    version: Version,
    lists: _Lists,
) -> Step:
    """Turn a step of a production file into a Step."""
    plan, production = made[entry["key"]]
    kind = plan.spec.kind(entry["unit"])
    if kind is None:
        raise ConfigError(
            f"plan {plan.name} does not work on units of kind {entry['unit']}",
            hint=f"it works on: {', '.join(it.name for it in plan.spec.unit_kinds)}",
            place=(at / "unit")(),
        )
    if plan.name not in version.programs:
        raise ConfigError(
            f"version {version.label} has no program for plan {plan.name}",
            hint=f"add [programs.{plan.name}] to {version.path}",
            place=(at / "plan")(),
        )
    of_version, of_step = version.options.get(plan.name, {}), entry.get("options", {})
    plan.check_options(of_version, Key(version.path) / "options" / plan.name)
    plan.check_options(of_step, at / "options")
    _check_roles(plan, entry, at)
    before = list(made)[: list(made).index(entry["key"])]
    step_of = {made[key].production: key for key in before}
    inputs = {
        role: _inputs(root, words, made, before, version, at / "inputs" / role)
        for role, words in entry.get("inputs", {}).items()
    }
    listed = (root / entry["list"], entry["unit"])
    if listed not in lists:
        lists[listed] = read_list(listed[0], kind, at / "list")
    return Step(
        root=root,
        key=entry["key"],
        spec=plan.spec,
        kind=kind,
        prefix=entry["prefix"],
        production=production,
        list_path=listed[0],
        units=lists[listed],
        validate=entry.get("validate", "none"),
        minimum_status=entry.get("minimum_status", 1),
        inputs=inputs,
        input_steps={
            role: tuple(step_of[name] for name in found if name in step_of)
            for role, found in inputs.items()
        },
        options={**plan.options, **of_version, **of_step},
        resources=Resources(**{**plan.resources, **entry.get("resources", {})}),
        program=version.programs[plan.name],
        environment=version.environment,
    )


def _check_roles(plan: PlanFile, entry: Mapping[str, Any], at: Key) -> None:
    """Refuse inputs in roles that a plan does not have, and a step that leaves one out it needs."""
    sources, given = plan.spec.sources, entry.get("inputs", {})
    known = ", ".join(sources) or "none, it reads raw frames"
    for role in given:
        if role not in sources:
            raise ConfigError(
                f"plan {plan.name} reads nothing as {shown(role)}",
                hint=f"its inputs: {known}",
                place=(at / "inputs" / role)(),
            )
    for role, needed in sources.items():
        if needed and role not in given:
            raise ConfigError(
                f"step {entry['key']} does not say which productions it reads {role} from",
                hint=f'add inputs = {{ {role} = ["STEP"] }}; plan {plan.name} reads: {known}',
                place=(at / "key")(),
            )


def _inputs(
    root: Path,
    words: Sequence[str | Mapping[str, str]],
    made: Mapping[str, _Made],
    before: Sequence[str],
    version: Version,
    at: Key,
) -> tuple[str, ...]:
    """Return the names of the productions that an input reads, each once, the best first."""
    above = {made[key].production for key in before}
    not_above = {step.production for step in made.values()} - above
    steps_above = f"steps above: {', '.join(before) or 'none'}"
    found = []
    for word in words:
        if isinstance(word, Mapping):
            name = _of_another(root, word, version, at)
        elif word in made:
            name = made[word].production
        else:
            try:
                name = names.check_production(word)
            except BadName as error:
                raise ConfigError(
                    f"input {shown(word)} is no step above this one, nor a production's name",
                    hint=f"{steps_above}; a production is named like SNF-0202-SAMPLEe",
                    place=at(),
                ) from error
        if name in not_above:
            raise ConfigError(
                f"input {shown(word)} is {name}, which no step above this one makes",
                hint=steps_above,
                place=at(),
            )
        found.append(name)
    return tuple(dict.fromkeys(found))


def _of_another(root: Path, word: Mapping[str, str], version: Version, at: Key) -> str:
    """Return the production of a step in another version, or of another production file."""
    label = word.get("version", version.label)
    key = word.get("production", read_switch(root)["production"])
    path = named_file(root, "productions", key, at)
    content = read_toml(root, path, "production")
    made = _made_by(root, path, content, check_label(root, label, at))
    if word["step"] not in made:
        raise ConfigError(
            f"production {key} has no step {shown(word['step'])}",
            hint=f"its steps: {', '.join(made)}",
            place=at(),
        )
    return made[word["step"]].production
