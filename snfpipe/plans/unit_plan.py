"""What is to be done for a unit: inputs selected, items to work on, products expected, a verdict.

The digest of it tells whether a unit's result is still the one that would be made.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from operator import attrgetter
from typing import Any

from snfpipe.config.step import Step
from snfpipe.declarations.rows import Scalar
from snfpipe.names import INDEX_DIGITS, ExposureId
from snfpipe.states import State


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
    """One piece of work of a program: inputs by role (process ids), values, flags of its products.

    ``lists`` are the roles that a program gets as a list, whatever their length.
    """

    item: str
    inputs: Mapping[str, tuple[str, ...]]
    values: Mapping[str, Scalar] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    lists: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ExpectedProduct:
    """A product that is expected of a unit, or one that it cannot make and why.

    ``role`` is the program's output role; ``auxiliary`` maps further roles to file extensions;
    ``flags`` are set whatever its program says.
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
    unit: str = ""
    optional: bool = False
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """A unit that is finished without a job: nothing to do, or impossible, with the reason."""

    state: State
    reason: str


@dataclass(frozen=True, slots=True)
class UnitPlan:
    """What is to be done for one unit; ``by_hand`` are the values that a person entered for it."""

    unit: str
    inputs: tuple[SelectedInput, ...]
    items: tuple[Item, ...]
    expected: tuple[ExpectedProduct, ...]
    verdict: Verdict | None = None
    by_hand: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def canonical(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces."""
    return _ENCODER.encode(value)


def selection(plan: UnitPlan) -> list[dict[str, Any]]:
    """Return the selected inputs as plain values, in a fixed order; then what people entered."""
    found: list[dict[str, Any]] = [
        {
            "id_process": given.id_process,
            "role": given.role,
            "checksum": given.checksum,
            "values": dict(given.values),
        }
        for given in sorted(plan.inputs, key=attrgetter("checksum", "id_process", "role"))
    ]
    return found + [
        {"by_hand": table, "role": table, "checksum": checksum_of(row), "values": dict(row)}
        for table, row in sorted(plan.by_hand.items())
    ]


def checksum_of(row: Mapping[str, Scalar]) -> str:
    """Return the SHA-256 of a row that a person entered."""
    return hashlib.sha256(canonical(dict(row)).encode()).hexdigest()


def digest(step: Step, plan: UnitPlan) -> str:
    """Return what a unit's result follows from, as SHA-256: inputs, identity, verdict.

    Of an input its bytes count, not the index of its name: a product that was deleted and
    made again, the same to the byte, makes no reader outdated.
    """
    verdict = asdict(plan.verdict) if plan.verdict else None
    inputs = [
        {**given, "id_process": given["id_process"][:-INDEX_DIGITS]}
        if "id_process" in given
        else given
        for given in selection(plan)
    ]
    content = {"inputs": inputs, "identity": step.identity, "verdict": verdict}
    return hashlib.sha256(canonical(content).encode()).hexdigest()
