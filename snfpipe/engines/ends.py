"""Ends of array tasks as accounting tells them: late, repeated, or of starts that failed."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from snfpipe.engines.arrays import TaskId
from snfpipe.engines.base import EngineOutcome
from snfpipe.engines.growing import GrowingFile, Mark, mark_end
from snfpipe.errors import ServiceUnavailable

_MOST = 100_000  # ends kept before those that nobody asks for any more are dropped


class Ends:
    """The ends seen so far; a real one stands against failed starts, before or after it."""

    def __init__(self) -> None:
        self._ends: dict[tuple[str, int], tuple[int, EngineOutcome]] = {}

    def __len__(self) -> int:
        """Return of how many tasks there are any."""
        return len(self._ends)

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


class EndsFile:
    """The ends that a growing file tells, such as the accounting; each line is read once.

    Parameters
    ----------
    path : Path
        The file.
    parse : callable
        From a line to a task and its end, or to None where it is none of ours.
    most : int
        How many ends to keep before those from before the arrays that are asked for are dropped.
    """

    def __init__(
        self,
        path: Path,
        parse: Callable[[str], tuple[TaskId, EngineOutcome] | None],
        most: int = _MOST,
    ) -> None:
        self._path, self._parse = path, parse
        self._most = self._room = most
        self._begin(Mark(time=math.inf))  # any mark is earlier

    def facts(self) -> dict[str, Any]:
        """Return where the file ends now, to be kept with an array before it is submitted."""
        return {"accounting": mark_end(self._path).to_json()}

    def of(
        self, wanted: Collection[TaskId], facts: Mapping[str, Mapping[str, Any]]
    ) -> dict[TaskId, EngineOutcome]:
        """Read on, and return what is known of tasks whose arrays were submitted with these facts.

        Raises
        ------
        ServiceUnavailable
            The file cannot be read.
        """
        marks = [Mark.from_json(it["accounting"]) for it in facts.values() if "accounting" in it]
        if not marks:
            return {}
        earliest = min(marks, key=lambda it: it.time)
        if earliest.time < self._since:
            self._begin(earliest)
        self._read()
        if len(self._ends) > self._room and earliest.time > self._since:
            self._begin(earliest)
            self._read()
            self._room = max(self._most, 2 * len(self._ends))  # so that this stays rare
        return self._ends.of(wanted)

    def _begin(self, mark: Mark) -> None:
        """Forget all, and begin at a mark."""
        self._since = mark.time
        self._ends, self._file = Ends(), GrowingFile(self._path, mark)

    def _read(self) -> None:
        """Take in what was added."""
        try:
            for line in self._file.lines():
                end = self._parse(line)
                if end is not None:
                    self._ends.add(*end)
        except OSError as error:
            raise ServiceUnavailable(
                f"the scheduler's accounting cannot be read: {error}",
                hint="fix that, or set `accounting` in the site's [settings]",
            ) from error
