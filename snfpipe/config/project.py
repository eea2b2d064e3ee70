"""The configured production: ``configs/production.toml`` and what it names, checked and resolved.

A project is the folder that holds ``configs/production.toml``.  That file is the switch: code
version, production, site.  Everything relative is relative to the project's folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from snfpipe import names
from snfpipe.config.lists import read_list
from snfpipe.config.personal import check_outver
from snfpipe.config.textfile import Where
from snfpipe.config.tomlfile import Key, read_toml
from snfpipe.config.versions import Program, Version, check_label, load_version
from snfpipe.errors import BadName, ConfigError, NotFound, shown
from snfpipe.names import VersionName

SWITCH = Path("configs") / "production.toml"


@dataclass(frozen=True, slots=True)
class Resources:
    """What a job of a plan may use."""

    cpu_s: int
    memory_mb: int
    wall_s: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What ``configs/plans`` says of a plan."""

    name: str
    letter: str
    folder: str
    units: tuple[str, ...]
    inputs: tuple[str, ...]
    options: Mapping[str, Any]
    words: Mapping[str, str]
    resources: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Site:
    """Where jobs run and where things lie."""

    name: str
    engine: str
    slots: int
    poll_s: float
    grace_s: float
    database_url: str
    raw: Path
    archive: Path
    jobs: Path
    settings: Mapping[str, Any]
    trash_days: float = 30


@dataclass(frozen=True)
class Step:
    """One step of a production: a plan run over a list of units by one version."""

    key: str
    plan: str
    letter: str
    folder: str
    unit_kind: str
    prefix: str
    production: str
    list_path: Path
    units: tuple[str, ...]
    validate: str
    minimum_status: int
    inputs: Mapping[str, tuple[str, ...]]
    input_steps: Mapping[str, tuple[str, ...]]
    options: Mapping[str, Any]
    resources: Resources
    program: Program
    environment: Mapping[str, str]

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that a unit's result follows from besides its inputs."""
        program = self.program
        return {
            "plan": self.plan,
            "options": dict(self.options),
            "program": {
                "name": program.name,
                "version": program.version,
                "calibration": program.calibration,
            },
            "environment": dict(self.environment),
        }

    def job_name(self, unit: str) -> str:
        """Return a unit's job name: ``SNF-0203-SAMPLEe-06334``."""
        return names.job_name(self.production, unit, self.unit_kind)

    def job_folder(self, unit: str) -> str:
        """Return a unit's folder below JOBDIR: ``PES/06/334``."""
        return names.job_folder(self.folder, unit, self.unit_kind)


@dataclass(frozen=True)
class Project:
    """The configured production of one version at one site."""

    root: Path
    version: Version
    production_key: str
    title: str
    meta_prefix: str
    outver: int | None
    site: Site
    steps: tuple[Step, ...]

    @property
    def number(self) -> int:
        """The version number that products carry."""
        return self.version.number if self.outver is None else self.outver

    def step(self, key: str) -> Step:
        """Return the step called `key`.

        Raises
        ------
        NotFound
            Lists the steps there are.
        """
        for step in self.steps:
            if step.key == key:
                return step
        known = ", ".join(step.key for step in self.steps)
        raise NotFound(
            f"production {self.production_key} has no step {shown(key)}", hint=f"steps: {known}"
        )


def find_root(start: Path | None = None) -> Path:
    """Return the project's folder: `start`, SNF_PROJECT, or the nearest one from here up.

    Raises
    ------
    NotFound
        None of them holds ``configs/production.toml``.
    """
    named = start or (Path(os.environ["SNF_PROJECT"]) if "SNF_PROJECT" in os.environ else None)
    places = [named] if named else [Path.cwd(), *Path.cwd().parents]
    for folder in places:
        if (folder / SWITCH).is_file():
            return folder.absolute()
    raise NotFound(
        f"no {SWITCH} in {places[0]}" + ("" if named else " or any folder above it"),
        hint="go to the project's folder, or name it by --project or SNF_PROJECT",
    )


def load_project(root: Path | None = None) -> Project:
    """Read, check and resolve the configured production.

    Raises
    ------
    ConfigError, NotFound, BadName
        Something in a configuration, version or list file; names file, line and key.
    """
    root = find_root(root)
    switch, at = read_switch(root), Key(root / SWITCH)
    version = load_version(root, switch["version"], asked_by=at / "version")
    site = _load_site(root, switch["site"], version, at / "site")
    key = switch["production"]
    path = _named_file(root, "productions", key, at / "production")
    content = read_toml(root, path, "production")
    if "outver" in content:
        check_outver(root, content["outver"], Key(path) / "outver")
    made = _made_by(root, path, content, version.name)
    lists: _Lists = {}  # many steps share a list
    return Project(
        root=root,
        version=version,
        production_key=key,
        title=content["title"],
        meta_prefix=content["meta_prefix"],
        outver=content.get("outver"),
        site=site,
        steps=tuple(
            _resolve(root, Key(path) / "steps" / number, entry, made, version, lists)
            for number, entry in enumerate(content["steps"])
        ),
    )


def read_switch(root: Path) -> dict[str, str]:
    """Return what ``configs/production.toml`` says: version, production, site."""
    return read_toml(root, root / SWITCH, "switch")


def load_plan(root: Path, name: str, asked_by: Where | None = None) -> Plan:
    """Read ``configs/plans/<name>.toml``."""
    path = _named_file(root, "plans", name, asked_by)
    content = read_toml(root, path, "plan")
    return Plan(
        name, content["letter"], content["folder"], tuple(content["units"]),
        tuple(content["inputs"]), content["options"], content.get("words", {}),
        content["resources"],
    )  # fmt: skip


_Lists = dict[tuple[Path, str], tuple[str, ...]]


class _Made(NamedTuple):
    """What a step of a production file is: its plan, and the name of its production."""

    plan: Plan
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
            content["meta_prefix"], name, entry["prefix"], plan.letter
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
    if entry["unit"] not in plan.units:
        raise ConfigError(
            f"plan {plan.name} does not work on units of kind {entry['unit']}",
            hint=f"it works on: {', '.join(plan.units)}",
            place=(at / "unit")(),
        )
    if plan.name not in version.programs:
        raise ConfigError(
            f"version {version.label} has no program for plan {plan.name}",
            hint=f"add [programs.{plan.name}] to {version.path}",
            place=(at / "plan")(),
        )
    of_version, of_step = version.options.get(plan.name, {}), entry.get("options", {})
    check_options(plan, of_version, Key(version.path) / "options" / plan.name)
    check_options(plan, of_step, at / "options")
    _check_roles(plan, entry.get("inputs", {}), at / "inputs")
    before = list(made)[: list(made).index(entry["key"])]
    step_of = {made[key].production: key for key in before}
    inputs = {
        role: _inputs(root, words, made, before, version, at / "inputs" / role)
        for role, words in entry.get("inputs", {}).items()
    }
    listed = (root / entry["list"], entry["unit"])
    if listed not in lists:
        lists[listed] = read_list(*listed, at / "list")
    return Step(
        key=entry["key"],
        plan=plan.name,
        letter=plan.letter,
        folder=plan.folder,
        unit_kind=entry["unit"],
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


def _check_roles(plan: Plan, given: Mapping[str, Any], at: Key) -> None:
    """Refuse inputs in roles that a plan does not have."""
    for role in given:
        if role not in plan.inputs:
            raise ConfigError(
                f"plan {plan.name} reads nothing as {shown(role)}",
                hint=f"its inputs: {', '.join(plan.inputs) or 'none, it reads raw frames'}",
                place=(at / role)(),
            )


def check_options(plan: Plan, given: Mapping[str, Any], at: Key) -> None:
    """Refuse options that a plan does not have, or values of another kind than its own."""
    for key, value in given.items():
        if key not in plan.options:
            raise ConfigError(
                f"plan {plan.name} has no option {shown(key)}",
                hint=f"its options: {', '.join(plan.options) or 'none'}",
                place=(at / key)(),
            )
        usual = plan.options[key]
        if type(value) is not type(usual) and not (type(usual) is float and type(value) is int):
            raise ConfigError(
                f"found {shown(value)}",
                hint=f"expected a value like {usual!r}, which configs/plans/{plan.name}.toml has",
                place=(at / key)(),
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
    path = _named_file(root, "productions", key, at)
    content = read_toml(root, path, "production")
    made = _made_by(root, path, content, check_label(root, label, at))
    if word["step"] not in made:
        raise ConfigError(
            f"production {key} has no step {shown(word['step'])}",
            hint=f"its steps: {', '.join(made)}",
            place=at(),
        )
    return made[word["step"]].production


def _load_site(root: Path, name: str, version: Version, asked_by: Where) -> Site:
    """Read ``configs/sites/<name>.toml``."""
    path = _named_file(root, "sites", name, asked_by)
    content = read_toml(root, path, "site")
    return Site(
        name=name,
        engine=content["engine"],
        slots=content["slots"] or len(os.sched_getaffinity(0)),
        poll_s=content["poll_s"],
        grace_s=content["grace_s"],
        database_url=os.environ.get("SNF_DATABASE_URL") or content["database"],
        raw=root / content["raw"],
        archive=root / content["archive"],
        jobs=root / content["jobs"] / version.label,
        settings=content.get("settings", {}),
        trash_days=content.get("trash_days", 30),
    )


def _named_file(root: Path, folder: str, name: str, asked_by: Where | None) -> Path:
    """Return ``configs/<folder>/<name>.toml`` or list the names there are."""
    known = sorted(path.stem for path in (root / "configs" / folder).glob("*.toml"))
    if name not in known:
        raise NotFound(
            f"there is no {folder[:-1]} {shown(name)}",
            hint=f"{folder} that exist: {', '.join(known) or 'none'}",
            place=asked_by and asked_by(),
        )
    return root / "configs" / folder / f"{name}.toml"
