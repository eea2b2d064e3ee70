"""The board of one run of doit: what the driver, the conductor and the reporter share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from snfpipe.config.project import Project
from snfpipe.errors import SnfError
from snfpipe.units.decision import Decision
from snfpipe.units.graph import Graph


@dataclass
class Board:
    """The configured production, and how its units stand while doit runs.

    Attributes
    ----------
    project : Project
        The configured production.
    graph : dict
        Task -> unit; empty until doit asks for tasks.
    decisions : dict
        Task -> what is to be done about the unit, kept up to date while units are finished.
    finished : dict
        Task -> how it was finished, for the units that an attempt or a verdict finished since.
    steps_moved : set of str
        The steps of which a unit was finished since.
    stamps : dict
        Manifest -> modification time [ns], for those that were looked at.
    audits : list of str
        The audits that found something.
    problems : int
        How many problems of raw frames this run found while it ingested.
    stopped_by : SnfError or None
        What made it impossible to go on.
    """

    project: Project
    graph: Graph = field(default_factory=dict)
    decisions: dict[str, Decision] = field(default_factory=dict)
    finished: dict[str, Decision] = field(default_factory=dict)
    steps_moved: set[str] = field(default_factory=set)
    stamps: dict[str, int] = field(default_factory=dict)
    audits: list[str] = field(default_factory=list)
    problems: int = 0
    stopped_by: SnfError | None = None

    def note(self, task: str, decision: Decision, *, attempted: bool) -> None:
        """Take note of a unit that is finished, by an attempt or without."""
        unit = self.graph[task]
        self.stamps.pop(unit.manifest, None)
        self.decisions[task] = decision
        if attempted:
            self.finished[task] = decision
            self.steps_moved.add(unit.step.key)

    def may_have_changed(self, task: str) -> bool:
        """Tell whether anything that a unit may read was made since this run of doit began."""
        unit = self.graph[task]
        return not (
            self.finished.keys().isdisjoint(unit.upstream)
            and self.steps_moved.isdisjoint(unit.after)
        )

    def of_step(self, key: str, tasks: Iterable[str]) -> list[str]:
        """Return those tasks that are units of a step."""
        return [task for task in tasks if self.graph[task].step.key == key]
