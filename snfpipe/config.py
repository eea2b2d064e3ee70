"""The configured production: ``configs/production.toml`` and what it names, checked and resolved.

A project is the folder that holds ``configs/production.toml``.  That file is the switch: code
version, production, site.  Everything relative is relative to the project's folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from snfpipe import names
from snfpipe.errors import ConfigError, NotFound, Place, shown
from snfpipe.lists import read_list
from snfpipe.tomlfile import read_toml
from snfpipe.versions import Program, Version, load_version

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
    options: Mapping[str, Any]
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
    switch = read_toml(root, root / SWITCH, "switch")
    place = Place(str(root / SWITCH))
    version = load_version(root, switch["version"], asked_by=place)
    site = _load_site(root, switch["site"], version, place)
    path = _named_file(root, "productions", switch["production"], place)
    content = read_toml(root, path, "production")
    outver = content.get("outver")
    name = version.name if outver is None else names.VersionName.outver(version.label, outver)
    productions: dict[str, str] = {}
    steps = []
    units = cache(read_list)  # many steps share a list
    for number, entry in enumerate(content["steps"]):
        where = Place(str(path), field=f"steps.{number} ({entry['key']})")
        plan = load_plan(root, entry["plan"], where)
        production = names.production_name(
            content["meta_prefix"], name, entry["prefix"], plan.letter
        )
        if entry["key"] in productions or production in productions.values():
            raise ConfigError(
                f"step {entry['key']} ({production}) occurs twice",
                hint="give each step its own key, and each plan its own prefix",
                place=where,
            )
        steps.append(_resolve(root, entry, plan, production, productions, version, units, where))
        productions[entry["key"]] = production
    return Project(
        root=root,
        version=version,
        production_key=switch["production"],
        title=content["title"],
        meta_prefix=content["meta_prefix"],
        outver=outver,
        site=site,
        steps=tuple(steps),
    )


def load_plan(root: Path, name: str, asked_by: Place | None = None) -> Plan:
    """Read ``configs/plans/<name>.toml``."""
    path = _named_file(root, "plans", name, asked_by)
    content = read_toml(root, path, "plan")
    return Plan(
        name, content["letter"], content["folder"], tuple(content["units"]),
        content["options"], content["resources"],
    )  # fmt: skip


def _resolve(
    root: Path,
    entry: Mapping[str, Any],
    plan: Plan,
    production: str,
    earlier: Mapping[str, str],
    version: Version,
    read: Callable[[Path, str], tuple[str, ...]],
    place: Place,
) -> Step:
    """Turn a step of a production file into a Step."""
    if entry["unit"] not in plan.units:
        raise ConfigError(
            f"plan {plan.name} does not work on units of kind {entry['unit']}",
            hint=f"it works on: {', '.join(plan.units)}",
            place=place,
        )
    if plan.name not in version.programs:
        raise ConfigError(
            f"version {version.label} has no program for plan {plan.name}",
            hint=f"add [programs.{plan.name}] to {version.path}",
            place=place,
        )
    overrides = (version.options.get(plan.name, {}), entry.get("options", {}))
    for given in overrides:
        for key in given:
            if key not in plan.options:
                raise ConfigError(
                    f"plan {plan.name} has no option {shown(key)}",
                    hint=f"its options: {', '.join(plan.options)}",
                    place=place,
                )
    inputs = {
        role: _productions(words, earlier, place) for role, words in entry.get("inputs", {}).items()
    }
    here = {value: key for key, value in earlier.items()}
    list_path = root / entry["list"]
    return Step(
        key=entry["key"],
        plan=plan.name,
        letter=plan.letter,
        folder=plan.folder,
        unit_kind=entry["unit"],
        prefix=entry["prefix"],
        production=production,
        list_path=list_path,
        units=read(list_path, entry["unit"]),
        validate=entry.get("validate", "none"),
        minimum_status=entry.get("minimum_status", 1),
        inputs=inputs,
        input_steps={
            role: tuple(here[name] for name in found if name in here)
            for role, found in inputs.items()
        },
        options={**plan.options, **overrides[0], **overrides[1]},
        resources=Resources(**{**plan.resources, **entry.get("resources", {})}),
        program=version.programs[plan.name],
        environment=version.environment,
    )


def _productions(words: list[str], earlier: Mapping[str, str], place: Place) -> tuple[str, ...]:
    """Return production names for the words of an input: a step's key, or a production's name."""
    found = []
    for word in words:
        if word in earlier:
            found.append(earlier[word])
        elif "-" in word:
            found.append(word)
        else:
            known = ", ".join(earlier) or "none yet"
            raise ConfigError(
                f"input {shown(word)} is no step above this one, nor the name of a production",
                hint=f"steps above: {known}; a production is named like SNF-0202-SAMPLEe",
                place=place,
            )
    return tuple(found)


def _load_site(root: Path, name: str, version: Version, asked_by: Place) -> Site:
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
    )


def _named_file(root: Path, folder: str, name: str, asked_by: Place | None) -> Path:
    """Return ``configs/<folder>/<name>.toml`` or list the names there are."""
    known = sorted(path.stem for path in (root / "configs" / folder).glob("*.toml"))
    if name not in known:
        raise NotFound(
            f"there is no {folder[:-1]} {shown(name)}",
            hint=f"{folder} that exist: {', '.join(known) or 'none'}",
            place=asked_by,
        )
    return root / "configs" / folder / f"{name}.toml"
