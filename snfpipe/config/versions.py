"""Code versions: ``versions/SNF-02-03.toml`` -> label, number, environment, programs, options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snfpipe.config.textfile import Where
from snfpipe.config.tomlfile import Key, read_toml
from snfpipe.errors import ConfigError, NotFound, shown
from snfpipe.names import VersionName


@dataclass(frozen=True, slots=True)
class Program:
    """The program behind a plan: what a version pins."""

    plan: str
    name: str
    version: str
    commands: tuple[tuple[str, ...], ...]
    calibration: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """One code version, as its file states it; ``commit`` is the one that has its programs."""

    name: VersionName
    released: bool
    notes: str
    environment: Mapping[str, str]
    programs: Mapping[str, Program]
    options: Mapping[str, Mapping[str, Any]]
    path: Path
    commit: str = ""

    @property
    def label(self) -> str:
        """For example ``SNF-02-03``."""
        return self.name.label

    @property
    def number(self) -> int:
        """For example 203."""
        return self.name.number

    @property
    def lite(self) -> str:
        """For example ``0203``."""
        return self.name.lite


def list_versions(root: Path) -> list[str]:
    """Return the labels of all versions, oldest first, HEAD last."""
    labels = [path.stem for path in (root / "versions").glob("*.toml")]
    return sorted(labels, key=lambda label: (label == "HEAD", label))


def check_label(root: Path, label: str, asked_by: Where | None = None) -> VersionName:
    """Return the name of a version that has a file.

    Raises
    ------
    NotFound
        No such file; lists those that exist.
    BadName
        No version is called like that.
    ConfigError
        Another version has the same number.
    """
    name = VersionName.parse(label)
    known = list_versions(root)
    if label not in known:
        raise NotFound(
            f"there is no version {label}",
            hint=f"versions that exist: {', '.join(known) or 'none'}",
            place=asked_by and asked_by(),
        )
    for other in known:
        if other != label and VersionName.parse(other).number == name.number:
            raise ConfigError(
                f"versions {label} and {other} have one number, {name.number}: the names of their "
                "products would be the same",
                hint="give one of them another label",
                place=asked_by and asked_by(),
            )
    return name


def load_version(root: Path, label: str, asked_by: Where | None = None) -> Version:
    """Read and check one version file.

    Raises
    ------
    NotFound
        No such file; lists those that exist.
    ConfigError
        The file's label or number contradicts its name, or it is unpinned and is not HEAD.
    """
    name = check_label(root, label, asked_by)
    path = root / "versions" / f"{label}.toml"
    content = read_toml(root, path, "version")
    for key, expected in (("label", label), ("number", name.number)):
        if content[key] != expected:
            raise ConfigError(
                f"{key} is {content[key]!r}, by the file's name it should be {expected!r}",
                hint="correct one of them",
                place=(Key(path) / key)(),
            )
    _check_pins(label, content, path)
    return Version(
        name=name,
        released=content["released"],
        notes=content.get("notes", ""),
        environment=content.get("environment", {}),
        programs={
            plan: Program(
                plan,
                entry["name"],
                entry["version"],
                _commands(entry["command"]),
                entry.get("calibration", ""),
            )
            for plan, entry in content["programs"].items()
        },
        options=content.get("options", {}),
        path=path,
        commit=content.get("commit", ""),
    )


def _commands(command: Sequence[Any]) -> tuple[tuple[str, ...], ...]:
    """Return the commands of a program: one, or several that run in a row."""
    several = isinstance(command[0], list)
    return tuple(map(tuple, command)) if several else (tuple(command),)


def _check_pins(label: str, content: Mapping[str, Any], path: Path) -> None:
    """Refuse a version that does not say what it runs; HEAD alone runs what is installed."""
    for plan in content.get("options", {}):
        if plan not in content["programs"]:
            raise ConfigError(
                f"{label} has options for plan {shown(plan)} and no program for it",
                hint=f"its programs: {', '.join(content['programs'])}",
                place=(Key(path) / "options" / plan)(),
            )
    if label == "HEAD":
        if content["released"]:
            raise ConfigError(
                "HEAD is never released", hint="set it to false", place=(Key(path) / "released")()
            )
        return
    for plan, entry in content["programs"].items():
        if entry["version"] == "*":
            raise ConfigError(
                f"{label} does not say which version of {entry['name']} it runs; only HEAD may",
                hint="write the version that the program reports with --version",
                place=(Key(path) / "programs" / plan / "version")(),
            )
