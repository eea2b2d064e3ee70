"""A project of another survey, whose package is found by its entry points."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tomlkit

from tests.e2e import project as e2e
from tests.e2e import survey
from tests.e2e.project import SOURCE

PACKAGE = Path(__file__).with_name("other-survey")
PROGRAM = PACKAGE / "other_survey" / "program.py"
PRODUCTION = PACKAGE / "other_survey" / "production.toml"
VERSION = "OTHER-01-00"

STAR, SUPERNOVA = survey.STARS
#: 06_334 and 07_010 are 41 days apart, 06_336 and 07_010 39.
NIGHTS = {
    "06_334": (STAR, SUPERNOVA),
    "06_336": (SUPERNOVA,),
    "07_010": (STAR,),
}
LISTS = {
    "nights": list(NIGHTS),
    "targets": [STAR.name, SUPERNOVA.name],
    "survey": ["all"],
    "months": ["2006-11", "2006-12", "2007-01"],
    "half_years": ["2006h2", "2007h1"],
    "groups": ["standards", "everything"],
    "standards": [STAR.name],
    "everything": [STAR.name, SUPERNOVA.name],
}


class Project(e2e.Project):
    """A folder in which this survey's package is installed, as far as commands can tell."""

    __slots__ = ()

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every command."""
        kept = os.environ.get("PYTHONPATH", "")
        return super().environment | {"PYTHONPATH": f"{PACKAGE}{os.pathsep}{kept}".rstrip(":")}

    def write_list(self, name: str, units: Iterable[str]) -> None:
        """Write a list."""
        (self.root / "lists" / f"{name}.list").write_text("".join(f"{it}\n" for it in units))

    def observe(self, night: str, stars: Iterable[survey.Star]) -> None:
        """Write a night's raw frames, and ingest them."""
        stars, raw = list(stars), self.root / "work" / "raw"
        survey.write_targets(raw, dict.fromkeys([*survey.STARS, *stars]))
        survey.write_night(raw, night, stars)
        self.arrive()

    def content(self, path: str) -> dict[str, Any]:
        """Return what a product of the archive says that it was made from."""
        content = (self.root / "work" / "archive" / path).read_bytes()
        text = content if path.endswith(".yaml") else content[2880:].rstrip(b"\0")
        told: dict[str, Any] = json.loads(text)
        return told

    def made_by(self, step: str, unit: str = "%", prefix: str = "ALL") -> dict[str, str]:
        """Return path -> checksum of the live main products of a step's units."""
        rows = self.query(
            "SELECT file.path, file.checksum FROM file JOIN process USING (id_process) "
            "JOIN job ON job.id = process.job_id "
            "JOIN production ON production.id = job.production_id "
            "WHERE plan = :plan AND prefix = :prefix AND unit LIKE :unit "
            "AND role = 'main' AND process.state = 'live' ORDER BY file.path",
            plan=step, unit=unit, prefix=prefix,
        )  # fmt: skip
        return {path: checksum for path, checksum in rows}

    def attempts_by_unit(self) -> dict[str, int]:
        """Return ``step:unit`` -> number of attempts, of every job."""
        return {key.partition("/")[2]: count for key, count in self.attempts_of().items()}


def make(root: Path, steps: Iterable[str] = ()) -> Project:
    """Write the survey's configuration and lists, some steps of its production or all."""
    for name in ("schemas", "sites"):
        shutil.copytree(SOURCE / "configs" / name, root / "configs" / name)
    shutil.copy(SOURCE / "configs" / "errors.toml", root / "configs")
    shutil.copy(SOURCE / "dodo.py", root)
    for name in ("configs/productions", "versions", "lists"):
        (root / name).mkdir(parents=True, exist_ok=True)
    switch = {"version": VERSION, "production": "all", "site": "local"}
    _write(root / "configs" / "production.toml", switch)
    production = tomllib.loads(PRODUCTION.read_text())
    wanted = set(steps)
    production["steps"] = [it for it in production["steps"] if it["key"] in wanted or not wanted]
    _write(root / "configs" / "productions" / "all.toml", production)
    plans = [it["plan"] for it in production["steps"]]
    _write(
        root / "versions" / f"{VERSION}.toml",
        {
            "label": VERSION, "number": 100, "released": False, "environment": {},
            "programs": {plan: _program(plan) for plan in plans},
        },
    )  # fmt: skip
    project = Project(root)
    for name, units in LISTS.items():
        project.write_list(name, units)
    return project


def make_observed(root: Path, steps: Iterable[str] = ()) -> Project:
    """Make a project, and ingest its nights."""
    project = make(root, steps)
    survey.write_targets(root / "work" / "raw")
    for night, stars in NIGHTS.items():
        survey.write_night(root / "work" / "raw", night, stars)
    project.arrive()
    return project


def copy(project: Project, root: Path) -> Project:
    """Return a copy in a folder of its own."""
    shutil.copytree(project.root, root, symlinks=True)
    return Project(root)


def _program(plan: str) -> dict[str, Any]:
    """Return what a version says of a plan's program; that of spectra is two commands."""
    command = [sys.executable, str(PROGRAM), plan]
    several = [[*command, "--roles", "spectrum"], [*command, "--roles", "background"]]
    return {"name": plan, "version": "1.0", "command": several if plan == "spectra" else command}


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(tomlkit.dumps(content))
