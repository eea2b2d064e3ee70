"""Units as the audits take them: with the words of the table of states, and of the graph."""

from __future__ import annotations

from dataclasses import dataclass

from snfpipe.states import FAILURES, FINISHED, State

#: The words of units from which the chain goes on, if with less than it might.
GOES_ON = frozenset(
    {*map(str, FINISHED - FAILURES), str(State.INCOMPLETE), "validated but outdated"}
)


@dataclass(frozen=True, slots=True)
class UnitState:
    """A unit of a step: its word, why, which units it waits for, and its nights."""

    step: str
    unit: str
    word: str
    reason: str
    waits_for: tuple[str, ...]
    nights: tuple[str, ...]

    @property
    def task(self) -> str:
        """Its name in doit."""
        return f"{self.step}:{self.unit}"
