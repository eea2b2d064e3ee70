"""Ends of array tasks as accounting tells them: late, repeated, or of starts that failed."""

from __future__ import annotations

from collections.abc import Collection

from snfpipe.engines.arrays import TaskId
from snfpipe.engines.base import EngineOutcome


class Ends:
    """The ends seen so far; a real one stands against failed starts, before or after it."""

    def __init__(self) -> None:
        self._ends: dict[tuple[str, int], tuple[int, EngineOutcome]] = {}

    def add(self, task: TaskId, outcome: EngineOutcome) -> None:
        """Take in one record."""
        known = self._ends.get((task.token, task.task))
        if known is None or outcome.final or not known[1].final:
            self._ends[task.token, task.task] = (task.job, outcome)

    def of(self, wanted: Collection[TaskId]) -> dict[TaskId, EngineOutcome]:
        """Return what is known of tasks; one with job number 0 is known by its array alone."""
        found = {}
        for it in wanted:
            job, outcome = self._ends.get((it.token, it.task), (-1, None))
            if outcome is not None and it.job in (0, job):
                found[TaskId(job, it.task, it.token)] = outcome
        return found
