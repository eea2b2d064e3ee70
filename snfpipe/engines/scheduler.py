"""What :mod:`snfpipe.engines.batch` asks of a batch scheduler: its commands, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from snfpipe.engines.arrays import Array, ArrayFolder, TaskId
from snfpipe.engines.base import EngineOutcome, EngineState


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


class Scheduler(Protocol):
    """What differs: the commands of one scheduler, and what they print."""

    name: str
    variable: str

    def largest_array(self) -> int:
        """Return how many tasks an array may have."""
        ...

    def facts(self) -> dict[str, Any]:
        """Return what :meth:`ended` will need to know of the moment of submission."""
        ...

    def submit(self, array: Array, folder: ArrayFolder, *, held: bool, lease: int) -> int:
        """Submit an array; return its job number.

        Raises
        ------
        Rejection
            The scheduler answers that it will not have it.
        ServiceUnavailable
            It does not answer.
        """
        ...

    def queue(self) -> Queue:
        """Return all tasks in the queue, by one call."""
        ...

    def trouble(self, job: int, task: int) -> str:
        """Return why a task is in error."""
        ...

    def hold(self, job: int, tasks: Collection[int]) -> None:
        """Hold pending tasks of an array; those that are gone are passed over.

        Raises
        ------
        Refused
            This user may not; so for the next two.
        """
        ...

    def release(self, job: int, tasks: Collection[int]) -> None:
        """Release held tasks of an array."""
        ...

    def cancel(self, job: int, tasks: Collection[int]) -> None:
        """End tasks of an array."""
        ...

    def ended(
        self, wanted: Collection[TaskId], facts: Mapping[str, Mapping[str, Any]]
    ) -> dict[TaskId, EngineOutcome]:
        """Return what accounting has of tasks; `facts` is array token -> :meth:`facts`."""
        ...
