"""Projects on a private scheduler, and how often its commands were called."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from snfpipe.services.grid_engine import GridEngineCell
from snfpipe.services.slurm import SlurmCluster
from tests.e2e.project import Project

_PROGRAMS = {
    "grid_engine": ("qsub", "qstat", "qdel", "qconf", "qrls", "qhold", "qacct"),
    "slurm": ("sbatch", "squeue", "scancel", "scontrol", "sacct"),
}
_COUNTED = """\
#!/bin/sh
echo "$(date +%s.%N) {program}" >> {log}
exec {real} "$@"
"""
_SITE = """\
engine = "{engine}"
slots = {slots}
poll_s = {poll_s}
grace_s = 20
database = "sqlite:///work/snfpipe.db"
raw = "work/raw"
archive = "work/archive"
jobs = "work/jobs"

[settings.environment]
{environment}
"""


@dataclass(frozen=True, slots=True)
class Calls:
    """The log of a scheduler's commands."""

    log: Path
    programs: tuple[str, ...]

    def times(self, program: str) -> list[float]:
        """Return when a program was called, in epoch seconds."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [float(line.split()[0]) for line in lines if line.endswith(f" {program}")]


def to_farm(
    project: Project, service: GridEngineCell | SlurmCluster, poll_s: float, slots: int = 50
) -> Calls:
    """Let a project's jobs run on a farm; its commands are real ones, and counted."""
    folder = project.root / "counted"
    folder.mkdir()
    calls = Calls(project.root / "calls.log", _PROGRAMS[service.name])
    for program in calls.programs:
        path = folder / program
        real = shutil.which(program)
        path.write_text(_COUNTED.format(program=program, log=calls.log, real=real))
        path.chmod(0o755)
    variables = {**service.environment, "PATH": f"{folder}:/usr/local/bin:/usr/bin:/bin"}
    use_site(project, service.name, variables, poll_s, slots)
    return calls


def use_site(
    project: Project, engine: str, variables: dict[str, str], poll_s: float, slots: int
) -> None:
    """Switch a project to a site whose scheduler's commands see some variables."""
    table = "\n".join(f"{name} = {json.dumps(value)}" for name, value in variables.items())
    site = _SITE.format(engine=engine, slots=slots, poll_s=poll_s, environment=table)
    (project.root / "configs" / "sites" / "farm.toml").write_text(site)
    switch = project.root / "configs" / "production.toml"
    switch.write_text(switch.read_text().replace('site = "local"', 'site = "farm"'))
