"""What became of a launch, as values that one place prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

PAUSE_S = 0.2  # between two looks for a free slot, where an engine has no queue

#: What is told of submitting: how many the engine has taken, of how many.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Sent:
    """How many jobs the engine took, and why others could not be submitted, by job."""

    count: int = 0
    refused: dict[str, str] = field(default_factory=dict)


NOTHING_SENT = Sent()


@dataclass(frozen=True, slots=True)
class LaunchedUnit:
    """A unit: how its job stands, what was or would be done, what it reads and makes.

    ``action`` is one of ``create``, ``submit``, ``finish`` (a verdict, without an attempt),
    ``nothing``; ``refuse`` where the engine would not have it, as ``refused`` of the launch says.
    """

    unit: str
    job: str
    folder: str
    state: str
    action: str
    reason: str
    inputs: int
    items: int
    products: int


@dataclass(frozen=True, slots=True)
class Launch:
    """What was done, or with ``dry_run`` would be.

    ``submitted`` counts what the engine took; ``refused`` says of jobs why they could not be
    submitted.
    """

    production: str
    plan: str
    version: str
    folder: str
    dry_run: bool
    registered: bool
    submitted: int
    refused: dict[str, str]
    units: tuple[LaunchedUnit, ...]
    notes: tuple[str, ...]

    @property
    def actions(self) -> Counter[tuple[str, str, str]]:
        """Count units by what is done about them, the state that they are in, and why."""
        return Counter((it.action, it.state, it.reason) for it in self.units)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Work:
    """A piece of work of a unit: files by role, and products (III: an index, not given yet)."""

    unit: str
    item: str
    inputs: dict[str, list[str]]
    products: list[str]
