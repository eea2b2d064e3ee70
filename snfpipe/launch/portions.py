"""A long list in parts: each created and submitted by a batch_jobs of its own, side by side."""

from __future__ import annotations

import json
import secrets
import subprocess
import sysconfig
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from snfpipe import clock
from snfpipe.daemon.single import Submitted, submit_command
from snfpipe.launch.order import Ordered

_UNITS_A_PART = 50  # fewer are not worth a process


@dataclass(frozen=True, slots=True)
class Part:
    """A sub-list, and the command that works on it."""

    name: str
    path: Path
    units: tuple[str, ...]
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PartDone:
    """What became of a part: units by action, state and reason, as :attr:`Launch.actions` has them.

    Or the error that ended it, with its exit code.
    """

    part: Part
    actions: Counter[tuple[str, str, str]]
    submitted: int
    error: str
    code: int = 0


def split_up(ordered: Ordered, words: Sequence[str], at_once: int) -> list[Part]:
    """Return the parts of an order's list, at most `at_once` of them, of about the same length.

    Parameters
    ----------
    ordered : Ordered
        What is asked for, with the whole list.
    words : sequence of str
        Options for batch_jobs.
    at_once : int
        How many processes or jobs there may be.
    """
    units, step = ordered.step.units, ordered.step
    count = max(1, min(at_once, -(-len(units) // _UNITS_A_PART)))
    tag = f"{clock.utc_now():%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
    folder = ordered.project.site.jobs / step.folder / "lists"
    program = str(Path(sysconfig.get_path("scripts"), "batch_jobs"))
    parts = []
    for number in range(count):
        own = units[number * len(units) // count : (number + 1) * len(units) // count]
        path = folder / f"{step.production}-{tag}-{number + 1:02}.list"
        name = f"create.{step.production}-{number + 1:02}"
        parts.append(Part(name, path, own, (program, *words, str(path))))
    return parts


def write_lists(parts: Sequence[Part]) -> None:
    """Write the sub-lists."""
    for part in parts:
        part.path.parent.mkdir(parents=True, exist_ok=True)
        part.path.write_text("".join(f"{unit}\n" for unit in part.units), encoding="utf-8")


def run_here(parts: Sequence[Part]) -> list[PartDone]:
    """Run the parts side by side on this machine; return what became of each."""
    with ThreadPoolExecutor(len(parts)) as pool:
        return list(pool.map(_run, parts))


def run_on_farm(ordered: Ordered, parts: Sequence[Part]) -> list[Submitted]:
    """Submit a job a part, which creates and submits the others.

    Raises
    ------
    ServiceUnavailable
        The scheduler does not take them.
    """
    return [
        submit_command(ordered.project, part.name, part.command, log=part.path.with_suffix(".log"))
        for part in parts
    ]


def _run(part: Part) -> PartDone:
    """Run one part to its end."""
    done = subprocess.run(
        [*part.command, "--json"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    error = ""
    if done.returncode != 0:
        error = done.stderr.strip() or f"batch_jobs ended with {done.returncode}"
    told = json.loads(done.stdout or "{}")
    actions = Counter((it["action"], it["state"], it["reason"]) for it in told.get("units", ()))
    return PartDone(part, actions, told.get("submitted", 0), error, done.returncode)
