"""One step of a production: a plan run over a list of units by one version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from snfpipe.config.plan_file import Resources
from snfpipe.config.versions import Program
from snfpipe.declarations.spec import PlanSpec
from snfpipe.declarations.unit_kinds import UnitKind


@dataclass(frozen=True)
class Step:
    """One step of a production; ``inputs`` are role -> productions, the best first.

    ``input_steps`` names those steps of the same production file that make them; ``root`` is the
    project's folder.
    """

    root: Path
    key: str
    spec: PlanSpec
    kind: UnitKind
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

    @property
    def plan(self) -> str:
        """The name of its plan."""
        return self.spec.name

    @property
    def folder(self) -> str:
        """The folder of its plan below JOBDIR."""
        return self.spec.folder

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
        return f"{self.production}-{self.kind.code(unit)}"

    def job_folder(self, unit: str) -> str:
        """Return a unit's folder below JOBDIR: ``PES/06/334``."""
        return f"{self.folder}/{self.kind.folder(unit)}"

    def task(self, unit: str) -> str:
        """Return a unit's name in doit: ``extract_star:06_334``."""
        return f"{self.key}:{unit}"
