"""A batch scheduler, as :mod:`snfpipe.engines.batch` asks it: its commands, and nothing else."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from snfpipe.engines.arrays import Array, ArrayFolder, TaskId, ranges
from snfpipe.engines.base import EngineOutcome, EngineState
from snfpipe.engines.commands import Answer, Commands, unavailable
from snfpipe.engines.settings import Settings
from snfpipe.errors import Refused

WORDS_A_CALL = 500


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """A task in the queue, as the scheduler tells of it."""

    job: int
    task: int
    name: str
    state: EngineState


@dataclass(frozen=True, slots=True)
class Queue:
    """The tasks in the queue; ``notices`` tell people what keeps some of them from starting."""

    entries: list[QueueEntry]
    notices: tuple[str, ...] = ()


class Rejection(Exception):
    """The scheduler will not have an array; its words."""


@dataclass(frozen=True, slots=True)
class Answers:
    """How the commands of a scheduler answer.

    ``submits`` is the one that submits, ``number`` the last line it prints, the job's number in
    front; ``denied`` are words on what this user may not do, ``no_answer`` those of a master that
    cannot be reached, which say nothing about the job.
    """

    submits: str
    number: re.Pattern[str]
    denied: re.Pattern[str]
    no_answer: re.Pattern[str]

    def job_number(self, answer: Answer) -> int:
        """Return the number of the job that was submitted.

        Raises
        ------
        Rejection
            The scheduler will not have it.
        ServiceUnavailable
            It gave no answer, or one that is no number.
        """
        match = self.number.fullmatch(answer.out.split("\n")[-1])
        if match and answer.status == 0:
            return int(match[1])
        if answer.is_error and not match and not self.no_answer.search(answer.err):
            raise Rejection(answer.said)
        raise unavailable(self.submits, answer)

    def check(self, program: str, answer: Answer) -> None:
        """Raise where a program could not act on tasks; those that are gone are passed over.

        Raises
        ------
        Refused
            This user may not; quotes the program.
        ServiceUnavailable
            The scheduler does not answer.
        """
        if answer.status == 0:
            return
        if self.denied.search(answer.err) or self.denied.search(answer.out):
            raise Refused(
                f"{program} is not allowed to: {answer.said}",
                hint="let whoever submitted the jobs do it, or a manager of the scheduler",
            )
        if self.no_answer.search(answer.err):
            raise unavailable(program, answer)


class Scheduler(ABC):
    """The commands of one scheduler, and what they print.

    Parameters
    ----------
    settings : Settings
        The site's; what they do not say comes from this process's environment.
    output : mapping, optional
        Variables that make the commands print what is read here.

    Attributes
    ----------
    name : str
        What site files call it.
    variable : str
        What it calls a task in the environment of its job.
    answers : Answers
        What its commands say.
    holds, releases, cancels : tuple of str
        The commands that act on tasks.
    """

    name: ClassVar[str]
    variable: ClassVar[str]
    answers: ClassVar[Answers]
    holds: ClassVar[tuple[str, ...]]
    releases: ClassVar[tuple[str, ...]]
    cancels: ClassVar[tuple[str, ...]]

    def __init__(self, settings: Settings, output: Mapping[str, str] | None = None) -> None:
        self._settings = settings
        self._commands = Commands({**(output or {}), **settings.environment}, settings.timeout_s)

    def submit(self, array: Array, folder: ArrayFolder, *, held: bool, lease: int) -> int:
        """Submit an array; return its job number.

        Raises
        ------
        Rejection
            The scheduler answers that it will not have it.
        ServiceUnavailable
            It does not answer.
        """
        words = self._call_of(array, folder.path, held=held)
        return self.answers.job_number(self._commands.call(*words, holding=[lease]))

    def hold(self, job: int, tasks: Collection[int]) -> None:
        """Hold pending tasks of an array; those that are gone are passed over.

        Raises
        ------
        Refused
            This user may not; so for the next two.
        """
        self._act(self.holds, job, tasks)

    def release(self, job: int, tasks: Collection[int]) -> None:
        """Release held tasks of an array."""
        self._act(self.releases, job, tasks)

    def cancel(self, job: int, tasks: Collection[int]) -> None:
        """End tasks of an array."""
        self._act(self.cancels, job, tasks)

    def _act(self, command: tuple[str, ...], job: int, tasks: Collection[int]) -> None:
        """Call a command on tasks of an array, as many times as it takes."""
        parts = ranges(tasks)
        for start in range(0, len(parts), WORDS_A_CALL):
            words = self._named(job, parts[start : start + WORDS_A_CALL])
            self.answers.check(command[0], self._commands.call(*command, *words))

    @property
    @abstractmethod
    def largest_array(self) -> int:
        """How many tasks an array may have."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Return what :meth:`ended` will need to know of the moment of submission."""

    @abstractmethod
    def queue(self) -> Queue:
        """Return all tasks in the queue, by one call."""

    @abstractmethod
    def problem(self, job: int, task: int) -> str:
        """Return why a task is in error."""

    @abstractmethod
    def ended(
        self, wanted: Collection[TaskId], facts: Mapping[str, Mapping[str, Any]]
    ) -> dict[TaskId, EngineOutcome]:
        """Return what accounting has of tasks; `facts` is array token -> :meth:`facts`."""

    @abstractmethod
    def _call_of(self, array: Array, folder: Path, *, held: bool) -> list[str]:
        """Return the call that submits an array."""

    @abstractmethod
    def _named(self, job: int, parts: Sequence[str]) -> list[str]:
        """Return how commands name tasks of an array, given as ranges."""
