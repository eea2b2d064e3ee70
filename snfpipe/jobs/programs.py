"""The programs of a version: of the running code where they are the pinned ones, else installed.

Only the project's own console scripts are looked for; other commands are the version's own
affair, and run as its file gives them.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

from snfpipe.config.project import Project
from snfpipe.config.step import Step
from snfpipe.errors import Refused, shown
from snfpipe.jobs import install
from snfpipe.jobs.expand import variables_of

Commands = tuple[tuple[str, ...], ...]

_PATIENCE_S = 60


def check_programs(project: Project, steps: Iterable[Step]) -> None:
    """Refuse steps whose programs are not at hand, see :func:`commands_of`."""
    for step in steps:
        commands_of(project, step)


def commands_of(project: Project, step: Step) -> Commands:
    """Return the commands of a step as its jobs are to run them.

    Parameters
    ----------
    project, step : Project, Step
        What is produced.

    Returns
    -------
    tuple of tuple of str
        As the version gives them, where they need no look or report what it pins; else with the
        absolute paths of the programs that were installed for it.

    Raises
    ------
    Refused
        Neither the running code nor an installed version has the programs.
    """
    given, pinned = step.program.commands, step.program
    first = given[0]  # the first speaks for all
    if pinned.version == "*" or first[0] not in _own_scripts():
        return given
    wanted = f"{pinned.name} {pinned.version}"
    variables = variables_of(project, step)
    path = shutil.which(first[0], path=variables["PATH"])
    here = _reported(path, first[1:], variables)
    if here == wanted:
        return given
    version, folder = project.version, install.folder_of(project.root, project.version.label)
    runs = f"{version.label} runs {wanted} for {step.key}"
    again = f"`snf_version --install {version.label}`"
    if not version.commit:
        raise Refused(
            f"{runs}, and {first[0]} is {shown(here or 'not installed')} here",
            hint=f"name the commit that has it in {version.path} (commit = ...), then {again}; or "
            "switch to a version that runs what is here",
        )
    if not install.is_installed(project.root, version):
        raise Refused(f"{runs}, which is not installed", hint=again)
    installed = tuple(
        (str(folder / "bin" / word), *rest) if word in _own_scripts() else (word, *rest)
        for word, *rest in given
    )
    found = _reported(installed[0][0], first[1:], variables)
    if found != wanted:
        raise Refused(
            f"{runs}, and the one installed in {folder} is {shown(found or 'not able to run')}",
            hint=f"correct the commit in {version.path}, or remove {folder}; then {again}",
        )
    return installed


@cache
def _own_scripts() -> frozenset[str]:
    """Return the names of the commands that come with the running code."""
    points = distribution("snfpipe").entry_points
    return frozenset(point.name for point in points if point.group == "console_scripts")


def _reported(path: str | None, words: tuple[str, ...], variables: Mapping[str, str]) -> str:
    """Return what a program says it is, empty where it does not; each is asked once."""
    try:
        changed = Path(path or "").stat().st_mtime_ns
    except OSError:
        return ""
    known = (str(path), words, changed)
    if known not in _answers:
        _answers[known] = _ask([str(path), *words, "--version"], variables)
    return _answers[known]


_answers: dict[tuple[str, tuple[str, ...], int], str] = {}


def _ask(command: list[str], variables: Mapping[str, str]) -> str:
    """Run a program with ``--version``, in the environment of its jobs."""
    try:
        done = subprocess.run(
            command, env=dict(variables), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=_PATIENCE_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
