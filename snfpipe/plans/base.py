"""What a plan says of a unit: inputs selected, items to work on, products owed, or a verdict.

A plan is a module with ``select(session, step, units)``, which answers for all units at once,
and ``owed(session, step, units)``, which derives from raw exposures alone what should come out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from operator import attrgetter
from typing import Any, Protocol

from sqlalchemy.orm import Session

from snfpipe.config.project import Step
from snfpipe.names import ExposureId
from snfpipe.states import State

#: How many digits at the end of a process id are the index III.
INDEX_DIGITS = 3

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class SelectedInput:
    """One file a unit reads, with the database values that selected it or that its items use."""

    id_process: str
    role: str
    area: str
    path: str
    checksum: str
    size: int
    values: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of work of a program: inputs by role (process ids), and values."""

    item: str
    inputs: Mapping[str, tuple[str, ...]]
    values: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OwedProduct:
    """A product that a unit owes, or one that it cannot make and why.

    ``role`` is the program's output role; ``auxiliary`` maps further roles to file extensions.
    """

    exposure: ExposureId
    channel: int
    fclass: int
    xfclass: int
    item: str
    role: str
    parents: tuple[str, ...] = ()
    extension: str = "fits"
    auxiliary: Mapping[str, str] = field(default_factory=dict)
    target_id: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A unit settled without a job: nothing to do, or impossible, with the reason."""

    state: State
    reason: str


@dataclass(frozen=True, slots=True)
class UnitPlan:
    """What is to be done for one unit."""

    unit: str
    inputs: tuple[SelectedInput, ...]
    items: tuple[Item, ...]
    owed: tuple[OwedProduct, ...]
    verdict: Verdict | None = None


class Plan(Protocol):
    """What every plan module offers."""

    def select(self, session: Session, step: Step, units: Sequence[str]) -> dict[str, UnitPlan]:
        """Return the plan of each unit, in a query or a few for all of them."""
        ...

    def owed(self, session: Session, step: Step, units: Sequence[str]) -> list[OwedProduct]:
        """Return what raw exposures and rules say should come out, whatever jobs declared."""
        ...


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def canonical(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces."""
    return _ENCODER.encode(value)


def selection(plan: UnitPlan) -> list[dict[str, Any]]:
    """Return the selected inputs as plain values, in a fixed order."""
    return [
        {
            "id_process": given.id_process,
            "role": given.role,
            "checksum": given.checksum,
            "values": dict(given.values),
        }
        for given in sorted(plan.inputs, key=attrgetter("checksum", "id_process", "role"))
    ]


def digest(step: Step, plan: UnitPlan) -> str:
    """Return what a unit's result follows from, as SHA-256: inputs, identity, verdict.

    Of an input its bytes count, not the index III under which they stand: a product that was
    deleted and made again, the same to the byte, makes no reader outdated.
    """
    verdict = asdict(plan.verdict) if plan.verdict else None
    inputs = [
        {**given, "id_process": given["id_process"][:-INDEX_DIGITS]} for given in selection(plan)
    ]
    content = {"inputs": inputs, "identity": step.identity, "verdict": verdict}
    return hashlib.sha256(canonical(content).encode()).hexdigest()
