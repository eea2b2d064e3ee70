"""The contract of an engine: what starts jobs, tells how they are, and ends them.

An engine knows scripts, names and ids; neither productions nor the database.  Its calls are for
many jobs at once, and one ``look`` a cycle serves everybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class EngineState(StrEnum):
    """Where a job is with an engine; one that the engine does not know is in no state."""

    HELD = "held"
    QUEUED = "queued"
    ERROR = "queue error"
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Submission:
    """One job for an engine: a token of its own, and the attempt's folder, script and outputs."""

    token: str
    name: str
    folder: Path
    script: Path
    plan: str
    cpu_s: int
    memory_mb: int
    wall_s: int


@dataclass(frozen=True, slots=True)
class EngineOutcome:
    """What accounting says of a job that has ended; None: not said."""

    exit_status: int | None = None
    signal: int | None = None
    failed: str = ""
    cpu_s: float | None = None
    memory_mb: float | None = None


class Engine(Protocol):
    """What every engine offers."""

    name: str

    def capacity(self) -> int | None:
        """Return how many more jobs may be submitted now; None where the scheduler decides."""
        ...

    def submit(self, batch: Sequence[Submission]) -> dict[str, str]:
        """Submit jobs in one call; return token -> engine id of those that were taken."""
        ...

    def find(self, batch: Iterable[Submission]) -> dict[str, str]:
        """Return token -> engine id of those that were submitted, whoever knows of it."""
        ...

    def look(self, engine_ids: Iterable[str]) -> Mapping[str, EngineState]:
        """Return the state of those jobs the engine still has, by one query."""
        ...

    def outcomes(self, engine_ids: Iterable[str]) -> Mapping[str, EngineOutcome]:
        """Return what accounting says of jobs that the engine no longer has."""
        ...

    def cancel(self, engine_ids: Iterable[str]) -> None:
        """Ask the engine to end jobs; those that have ended already are no error."""
        ...
