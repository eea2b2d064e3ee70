"""Arrays: many submissions as one job of a batch scheduler, and what is kept of them in files.

An array is a production, a plan and a class of resources; its name carries the production and a
token of its own, so that queue and accounting tell whose it is whatever its job number.  Its
folder holds the table task -> job, and a link a task to the attempt: through it the scheduler
writes its own logs to the attempt, and the task finds what to run.
"""

from __future__ import annotations

import json
import re
import secrets
import shlex
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

from snfpipe import clock
from snfpipe.engines.base import EngineOutcome, Submission
from snfpipe.errors import ConfigError, shown
from snfpipe.wholefile import text_of, write_whole
from snfpipe.worker import wrapper

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*\.([0-9a-f]{14})", re.ASCII)
_TOKEN = re.compile(r"[0-9a-f]{14}", re.ASCII)
_PLAIN = re.compile(r"[A-Za-z0-9/_.+=@-]+", re.ASCII)
_RANGE = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?(?::([0-9]{1,9}))?", re.ASCII)

_SCRIPT = """\
#!/bin/bash
# Runs the attempt that task ${variable} of array {name} stands for; see the file `tasks`.
cd -P -- {folder}/"${variable}" && exec {python} -I -m {wrapper} "$PWD"
"""


@dataclass(frozen=True, slots=True)
class Array:
    """Submissions that differ in nothing but their folder; task 1 is the first."""

    token: str
    production: str
    plan: str
    cpu_s: int
    memory_mb: int
    wall_s: int
    submissions: tuple[Submission, ...]

    @property
    def name(self) -> str:
        """What the scheduler calls it."""
        return f"{self.production}.{self.token}"


def group(batch: Iterable[Submission], largest: int) -> list[Array]:
    """Return `batch` as few arrays, none of more than `largest` tasks, in order."""

    def kind(it: Submission) -> tuple[str, str, int, int, int]:
        return (it.production, it.plan, it.cpu_s, it.memory_mb, it.wall_s)

    arrays = []
    for key, members in groupby(sorted(batch, key=kind), kind):
        alike = tuple(members)
        for start in range(0, len(alike), largest):
            token = f"{int(clock.epoch_s()):08x}{secrets.token_hex(3)}"  # tells when it was made
            arrays.append(Array(token, *key, alike[start : start + largest]))
    return arrays


def is_token(text: str) -> bool:
    """Tell whether a text is an array's token."""
    return _TOKEN.fullmatch(text) is not None


def made_at(token: str) -> int:
    """Return when an array was made, in epoch seconds."""
    return int(token[:8], 16)


def token_of(name: str) -> str | None:
    """Return the token of an array's name; None if it is not one of ours."""
    match = _NAME.fullmatch(name)
    return match[1] if match else None


# --- ids and ranges ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TaskId:
    """A task as queue and accounting know it, ``4711.3@<array token>`` as text.

    Job numbers are used again once the scheduler's count is through; the token is not.
    """

    job: int
    task: int
    token: str

    def __str__(self) -> str:
        """Return the engine id."""
        return f"{self.job}.{self.task}@{self.token}"


_TASK_ID = re.compile(r"([0-9]{1,12})\.([0-9]{1,9})@([0-9a-f]{14})", re.ASCII)


def parse_ids(engine_ids: Iterable[str]) -> list[TaskId]:
    """Return engine ids as values; what is no id of a batch engine is left out."""
    found = (_TASK_ID.fullmatch(text) for text in engine_ids)
    return [TaskId(int(it[1]), int(it[2]), it[3]) for it in found if it]


def ranges(tasks: Collection[int]) -> list[str]:
    """Return task numbers as few ranges: ``["1-3", "7"]``."""
    found: list[list[int]] = []
    for task in sorted(set(tasks)):
        if found and found[-1][1] == task - 1:
            found[-1][1] = task
        else:
            found.append([task, task])
    return [str(low) if low == high else f"{low}-{high}" for low, high in found]


def parse_ranges(text: str) -> Iterator[int]:
    """Yield the numbers of ``1-1300:1,1305``, as schedulers write them.

    Raises
    ------
    ValueError
        It is no list of ranges.
    """
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"{shown(text)} is no list of tasks")
        low = int(match[1])
        high = int(match[2] or low)
        step = int(match[3] or 1)
        if step == 0 or high - low > 10_000_000:
            raise ValueError(f"{shown(text)} is no list of tasks")
        yield from range(low, high + 1, step)


# --- files ---------------------------------------------------------------------------------


class ArrayFolder:
    """The files of one array.

    ``tasks`` is the table, ``array.json`` what does not change, ``waiting`` the tasks that are
    held back for the site's cap, ``failures`` what never reached the queue or was withdrawn.
    """

    def __init__(self, root: Path, token: str) -> None:
        self.path = root / token
        self.script = self.path / "script"

    def write(self, array: Array, variable: str, facts: Mapping[str, Any]) -> None:
        """Write all files of a new array; `variable` is what the scheduler calls a task."""
        self.path.mkdir(parents=True)
        lines = []
        for task, it in enumerate(array.submissions, 1):
            (self.path / str(task)).symlink_to(it.script.parent)
            lines.append(f"{task}\t{it.token}\t{it.name}\t{it.script.parent}\n")
        (self.path / "tasks").write_text("".join(lines), encoding="utf-8")
        self.script.write_text(
            _SCRIPT.format(
                variable=variable,
                name=array.name,
                folder=shlex.quote(str(self.path)),
                python=shlex.quote(sys.executable),
                wrapper=wrapper.__name__,
            ),
            encoding="utf-8",
        )
        content = {"name": array.name, "plan": array.plan, "facts": facts}
        (self.path / "array.json").write_text(json.dumps(content), encoding="utf-8")

    @cached_property
    def name(self) -> str:
        """The array's name; empty where there is no such array."""
        return str(self._content.get("name", ""))

    @property
    def facts(self) -> dict[str, Any]:
        """What the scheduler wanted to be remembered of the moment of submission."""
        return dict(self._content.get("facts", {}))

    @cached_property
    def tasks(self) -> dict[str, int]:
        """Token of a submission -> its task."""
        return {token: int(task) for task, token, *_ in self._table}

    @cached_property
    def folders(self) -> dict[int, Path]:
        """Task -> folder of its script."""
        return {int(task): Path(folder) for task, _token, _name, folder in self._table}

    @cached_property
    def _table(self) -> list[list[str]]:
        return [line.split("\t") for line in text_of(self.path / "tasks").splitlines()]

    @cached_property
    def submissions(self) -> dict[int, str]:
        """Task -> token of its submission."""
        return {task: token for token, task in self.tasks.items()}

    @cached_property
    def _content(self) -> dict[str, Any]:
        try:
            return dict(json.loads((self.path / "array.json").read_text()))
        except (OSError, ValueError):
            return {}

    @property
    def waiting(self) -> set[int]:
        """The tasks that are held only until there is room under the cap."""
        text = text_of(self.path / "waiting")
        return set(parse_ranges(text)) if text else set()

    @waiting.setter
    def waiting(self, tasks: Collection[int]) -> None:
        write_whole(self.path / "waiting", ",".join(ranges(tasks)))

    def fail(self, tasks: Collection[int], reason: str) -> None:
        """Note that tasks will not run, and why."""
        entry = {"tasks": ",".join(ranges(tasks)), "reason": reason, "time": clock.epoch_s()}
        with (self.path / "failures").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def failures(self) -> dict[int, EngineOutcome]:
        """Return task -> what :meth:`fail` noted."""
        entries = map(json.loads, text_of(self.path / "failures").splitlines())
        return {
            task: EngineOutcome(failure=entry["reason"], ended=entry["time"])
            for entry in entries
            for task in parse_ranges(entry["tasks"])
        }


def check_folder(folder: Path) -> Path:
    """Return a folder whose name no scheduler takes for anything else.

    Raises
    ------
    ConfigError
        It holds characters that schedulers read as variables or separators.
    """
    if not _PLAIN.fullmatch(str(folder)):
        raise ConfigError(
            f"schedulers would misread the path {shown(folder)}",
            hint="set `jobs` of the site to a path of letters, digits and /_.+=@- only",
        )
    return folder
