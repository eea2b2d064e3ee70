"""How the configured production stands: counts that add up to the lists, and what fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from snfpipe.config.project import Project
from snfpipe.states import ACTIVE, FAILURES, State
from snfpipe.units.decision import (
    NOT_CREATED,
    VALIDATED_OUTDATED,
    WAITING,
    WAITS_FOR_VALIDATION,
    Action,
)
from snfpipe.units.freshness import Check, check
from snfpipe.units.graph import Unit
from snfpipe.units.states import UnitState

_TO_VALIDATE = {str(State.DONE), str(State.INCOMPLETE)}


@dataclass(frozen=True, slots=True)
class Problem:
    """A unit that is not as it should be."""

    task: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class StepStatus:
    """One step: the sum of ``states`` is ``units``, the length of its list."""

    key: str
    production: str
    units: int
    states: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Status:
    """All steps of the configured production; ``attempts`` were made on them so far."""

    version: str
    production: str
    attempts: int
    steps: tuple[StepStatus, ...]
    problems: tuple[Problem, ...]

    @property
    def totals(self) -> Counter[str]:
        """Count all units by state."""
        totals: Counter[str] = Counter()
        for step in self.steps:
            totals.update(step.states)
        return totals

    @property
    def failing(self) -> bool:
        """Tell whether any failure stands."""
        return any(problem.state in FAILURES for problem in self.problems)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def status(project: Project) -> Status:
    """Count units by state, each in exactly one; changes nothing."""
    found = check(project)
    words = {task: word_of(found, unit) for task, unit in found.graph.items()}
    steps = []
    for step in project.steps:
        states = Counter(words[f"{step.key}:{unit}"] for unit in step.units)
        steps.append(StepStatus(step.key, step.production, len(step.units), dict(states)))
    problems = [
        Problem(task, words[task], decision.reason)
        for task, decision in found.decisions.items()
        if decision.word in FAILURES or decision.word == VALIDATED_OUTDATED
    ]
    return Status(
        project.version.label,
        project.production_key,
        sum(row.attempts for row in found.rows.jobs.values()),
        tuple(steps),
        tuple(problems),
    )


def unit_states(found: Check) -> tuple[UnitState, ...]:
    """Return all units with their words, as the audits take them."""
    states = []
    for unit in found.graph.values():
        decision = found.decisions[unit.task]
        word, waits_for = _word_and_blockers(found, unit)
        states.append(
            UnitState(unit.step.key, unit.unit, word, decision.reason, waits_for, unit.nights)
        )
    return tuple(states)


def word_of(found: Check, unit: Unit) -> str:
    """Return the word a table has for a unit: its state, or what follows from the graph."""
    return _word_and_blockers(found, unit)[0]


def _word_and_blockers(found: Check, unit: Unit) -> tuple[str, tuple[str, ...]]:
    """Return a unit's word, and the units it waits for."""
    word = found.decisions[unit.task].word
    if word != NOT_CREATED:
        return word, ()
    unchecked, unfinished = [], []
    for task in unit.upstream:
        above = found.decisions[task]
        if above.action is Action.RUN or above.word in ACTIVE:
            unfinished.append(task)
        elif found.graph[task].step.validate == "person" and above.word in _TO_VALIDATE:
            unchecked.append(task)
    if unfinished:
        return WAITING, tuple(unfinished)
    return (WAITS_FOR_VALIDATION, tuple(unchecked)) if unchecked else (NOT_CREATED, ())
