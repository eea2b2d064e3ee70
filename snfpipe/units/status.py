"""How the configured production stands: counts that add up to the lists, and what fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
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
    open_in = open_units(found)
    words = {
        task: _word_and_blockers(found, unit, open_in)[0] for task, unit in found.graph.items()
    }
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
    open_in = open_units(found)
    for unit in found.graph.values():
        decision = found.decisions[unit.task]
        word, waits_for = _word_and_blockers(found, unit, open_in)
        states.append(
            UnitState(unit.step.key, unit.unit, word, decision.reason, waits_for, unit.nights)
        )
    return tuple(states)


def word_of(found: Check, unit: Unit, open_in: OpenUnits) -> str:
    """Return the word a table has for a unit: its state, or what follows from the graph."""
    return _word_and_blockers(found, unit, open_in)[0]


#: Step -> some of its units that are not finished, or wait for a person.
OpenUnits = Mapping[str, Sequence[str]]
_ENOUGH = 3  # units of a step that are named where a whole step comes first


def open_units(found: Check) -> OpenUnits:
    """Return, for each step that comes before others as a whole, the first units that are open."""
    open_in: dict[str, list[str]] = {key: [] for unit in found.graph.values() for key in unit.after}
    for task, unit in found.graph.items():
        some = open_in.get(unit.step.key)
        if some is not None and len(some) < _ENOUGH and _is_open(found, task):
            some.append(task)
    return open_in


def open_before(unit: Unit, open_in: OpenUnits) -> list[str]:
    """Return the units that come before a unit; of whole steps only those that are open."""
    return [*unit.upstream, *(task for key in unit.after for task in open_in[key])]


def _is_open(found: Check, task: str) -> bool:
    """Tell whether a unit is not finished."""
    decision = found.decisions[task]
    return decision.action is Action.RUN or decision.word in ACTIVE or _unchecked(found, task)


def _unchecked(found: Check, task: str) -> bool:
    """Tell whether a person has to validate a unit before others read it."""
    validate = found.graph[task].step.validate
    return validate == "person" and found.decisions[task].word in _TO_VALIDATE


def _word_and_blockers(found: Check, unit: Unit, open_in: OpenUnits) -> tuple[str, tuple[str, ...]]:
    """Return a unit's word, and the units it waits for."""
    word = found.decisions[unit.task].word
    if word != NOT_CREATED:
        return word, ()
    blockers = [task for task in open_before(unit, open_in) if _is_open(found, task)]
    unfinished = tuple(task for task in blockers if not _unchecked(found, task))
    if unfinished:
        return WAITING, unfinished
    return (WAITS_FOR_VALIDATION, tuple(blockers)) if blockers else (NOT_CREATED, ())
