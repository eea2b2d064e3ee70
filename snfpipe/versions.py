"""Code versions: ``versions/SNF-02-03.toml`` -> label, number, environment, programs, options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snfpipe.errors import ConfigError, NotFound, Place
from snfpipe.names import VersionName
from snfpipe.tomlfile import read_toml


@dataclass(frozen=True, slots=True)
class Program:
    """The program behind a plan: what a version pins."""

    plan: str
    name: str
    version: str
    command: tuple[str, ...]
    calibration: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """One code version, as its file states it."""

    name: VersionName
    released: bool
    notes: str
    environment: Mapping[str, str]
    programs: Mapping[str, Program]
    options: Mapping[str, Mapping[str, Any]]
    path: Path

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


def load_version(root: Path, label: str, asked_by: Place | None = None) -> Version:
    """Read and check one version file.

    Raises
    ------
    NotFound
        No such file; lists those that exist.
    ConfigError
        The file's label or number contradicts its name.
    """
    name = VersionName.parse(label)
    path = root / "versions" / f"{label}.toml"
    if not path.is_file():
        known = ", ".join(list_versions(root)) or "none"
        raise NotFound(
            f"there is no version {label}", hint=f"versions that exist: {known}", place=asked_by
        )
    content = read_toml(root, path, "version")
    for key, expected in (("label", label), ("number", name.number)):
        if content[key] != expected:
            raise ConfigError(
                f"{key} is {content[key]!r}, by the file's name it should be {expected!r}",
                hint="correct one of them",
                place=Place(str(path), field=key),
            )
    programs = {
        plan: Program(
            plan,
            entry["name"],
            entry["version"],
            tuple(entry["command"]),
            entry.get("calibration", ""),
        )
        for plan, entry in content["programs"].items()
    }
    return Version(
        name=name,
        released=content["released"],
        notes=content.get("notes", ""),
        environment=content.get("environment", {}),
        programs=programs,
        options=content.get("options", {}),
        path=path,
    )
