"""Post-mortem: what became of an attempt, from its ledger and the engine's accounting.

Queue, accounting, ledger are asked in that order, and absence is never success: an attempt
without any trace is lost, not done.  Pure functions; nothing is read or written here.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from snfpipe.engines.base import EngineOutcome
from snfpipe.errors import shown
from snfpipe.grouping import grouped
from snfpipe.states import State
from snfpipe.worker.ledger import Record
from snfpipe.worker.spec import SUPERSEDED, JobSpec, Product

_LIMITS = {"cpu_s": "CPU time", "memory_mb": "memory", "wall_s": "time"}
_UNITS = {"cpu_s": "s", "memory_mb": "MB", "wall_s": "s"}
_REASONS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file in the incoming area."""

    name: str
    role: str
    checksum: str
    size: int


@dataclass(frozen=True, slots=True)
class Made:
    """A product that was left, its main file first."""

    product: Product
    files: tuple[MadeFile, ...]
    quality: int
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measure:
    """What was measured on the pose of an item."""

    quality: int
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt.

    ``accounted`` tells whether the job stated what it made; otherwise it says nothing about the
    products that stand.  ``missing`` is product name -> reason.
    """

    state: State
    reason: str = ""
    accounted: bool = False
    made: tuple[Made, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    measures: Mapping[str, Measure] = field(default_factory=dict)
    exit_status: int | None = None
    signal: int | None = None
    limit_hit: str = ""
    cpu_s: float | None = None
    memory_mb: float | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    host: str = ""
    environment: Mapping[str, Any] = field(default_factory=dict)


def diagnose(
    spec: JobSpec,
    records: Sequence[Record],
    *,
    gone: bool,
    given_up: bool = False,
    accounting: EngineOutcome | None = None,
    complaint: str = "",
) -> Outcome | None:
    """Say what became of an attempt, or None while that is open.

    Parameters
    ----------
    spec : JobSpec
        What it promised.
    records : sequence of Record
        Its ledger.
    gone : bool
        The engine has it no more.
    given_up : bool
        It has been gone for the engine's grace.
    accounting : EngineOutcome, optional
        What the engine says of its end.
    complaint : str
        The last line of its error output.
    """
    last = {record["kind"]: record for record in records}
    end = last.get("end")
    if accounting is not None and accounting.exit_status == SUPERSEDED and "superseded" in last:
        accounting = None  # it speaks of a start that found the unit taken
    told_end = accounting is not None and accounting.final
    if end is None and not (gone and ("ending" in last or told_end or given_up)):
        return None
    state, reason = _diagnose(spec, last, records, accounting, complaint)
    accounted = "ending" in last and "accounted" in last
    made, measures = _made(spec, records) if accounted else ((), {})
    missing = (
        last["accounted"]["missing"]
        if accounted
        else {product.name: reason for product in spec.products}
    )
    starting = last.get("starting", {})
    facts = end or {}
    told = accounting or EngineOutcome()
    return Outcome(
        state=state,
        reason=reason,
        accounted=accounted,
        made=made,
        missing=missing,
        measures=measures,
        exit_status=facts.get("exit_status", told.exit_status),
        signal=facts.get("signal", told.signal),
        limit_hit=facts.get("limit", "") if state is State.KILLED else "",
        cpu_s=facts.get("cpu_s", told.cpu_s),
        memory_mb=facts.get("memory_mb", told.memory_mb),
        started_at=moment_of(starting.get("time", told.started)),
        ended_at=moment_of((end or last.get("ending") or {}).get("time", told.ended)),
        host=starting.get("host", told.host),
        environment=_environment(last),
    )


def _diagnose(
    spec: JobSpec,
    last: Mapping[str, Record],
    records: Sequence[Record],
    accounting: EngineOutcome | None,
    complaint: str,
) -> tuple[State, str]:
    """Return state and reason of an attempt that is over."""
    if "ending" in last and "accounted" in last:
        return _of_products(spec, last, complaint)
    if "refused" in last:
        return State.FAILED, str(last["refused"]["reason"])
    if "cancel" in last:
        return State.CANCELLED, f"cancelled by {last['cancel'].get('by', 'an operator')}"
    if "end" in last:
        return _of_wrapper(last["end"], complaint)
    if accounting is not None and "ending" not in last:
        return _of_accounting(accounting)
    if records:
        said = records[-1]["kind"]
        return State.LOST, f"its processes are gone without a word; its ledger ends with '{said}'"
    return State.LOST, "it left no trace in queue, accounting or ledger"


def _of_products(spec: JobSpec, last: Mapping[str, Record], complaint: str) -> tuple[State, str]:
    """Judge an attempt that accounted for its products."""
    missing: Mapping[str, str] = last["accounted"]["missing"]
    status = last.get("outcome", {}).get("exit_status", 0)
    program = ""
    if status not in (0, 1):
        how = _signal(status - 128) if status > 128 else f"status {status}"  # as a shell gives it
        program = f"its program ended with {how}"
        if complaint:
            program += f": {shown(complaint, 200)}"
    if missing:
        state = State.INCOMPLETE if len(missing) < len(spec.products) else State.FAILED
        count = f"{len(missing)} of {len(spec.products)} products missing"
        return state, "; ".join(part for part in (program, count, *_reasons(missing)) if part)
    if status:
        why = program or "its program says that some items failed"
        return State.INCOMPLETE, f"{why}, though every product was left"
    return State.DONE, ""


def _reasons(missing: Mapping[str, str]) -> list[str]:
    """Return the first distinct reasons, each with a product that has it."""
    first: dict[str, str] = {}
    for name, reason in missing.items():
        first.setdefault(reason, name)
    told = [f"{name}: {reason}" for reason, name in first.items()]
    more = len(told) - _REASONS_SHOWN
    return [*told[:_REASONS_SHOWN], *([f"and {more} more reasons"] if more > 0 else [])]


def _of_wrapper(end: Record, complaint: str) -> tuple[State, str]:
    """Judge an attempt whose script did not come to its own end."""
    limit = end.get("limit")
    if limit:
        unit = _UNITS[limit]
        return State.KILLED, (
            f"over its limit of {_LIMITS[limit]}: "
            f"{end[limit]:g} {unit} used, {end['limits'][limit]:g} {unit} allowed"
        )
    if end.get("stopped_by"):
        return State.KILLED, f"ended from outside by {end['stopped_by']}"
    if end.get("signal"):
        return State.KILLED, f"its script was ended by {_signal(end['signal'])}"
    why = f": {shown(complaint, 200)}" if complaint else ""
    return State.FAILED, f"its script ended early with status {end.get('exit_status')}{why}"


def _of_accounting(accounting: EngineOutcome) -> tuple[State, str]:
    """Judge an attempt of which only the engine has something to say."""
    if not accounting.final:
        return State.LOST, f"the engine lost it: {shown(accounting.failure, 200)}, then no trace"
    if accounting.signal:
        why = f" ({shown(accounting.failure, 200)})" if accounting.failure else ""
        return State.KILLED, f"the engine says that {_signal(accounting.signal)} ended it{why}"
    if accounting.failure:
        return State.FAILED, f"the engine could not run it: {shown(accounting.failure, 200)}"
    if accounting.exit_status:
        return State.FAILED, f"the engine says that it ended with status {accounting.exit_status}"
    return State.LOST, "the engine says that it ended well, but its ledger does not"


def _signal(number: int) -> str:
    """Return a signal's name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _made(spec: JobSpec, records: Sequence[Record]) -> tuple[tuple[Made, ...], dict[str, Measure]]:
    """Return the products and measures of the last accounting."""
    files = grouped((it["id_process"], it) for it in records if it["kind"] == "product")
    measures = {
        it["item"]: Measure(it["quality"], it["values"]) for it in records if it["kind"] == "pose"
    }
    made = tuple(
        Made(
            product,
            tuple(MadeFile(it["name"], it["role"], it["checksum"], it["size"]) for it in given),
            given[0]["quality"],
            tuple(given[0]["flags"]),
        )
        for product in spec.products
        if (given := files.get(product.id_process))
    )
    return made, measures


def _environment(last: Mapping[str, Record]) -> dict[str, Any]:
    """Return what the job saw of its surroundings."""
    if "starting" not in last:
        return {}
    seen = {name: last["starting"].get(name) for name in ("host", "user", "system", "variables")}
    end = last.get("end", {})
    loaded = {name: end.get(name, {}) for name in ("packages", "libraries")}
    return seen | {"program": last.get("program", {}).get("said", "")} | loaded


def moment_of(time_s: float | None) -> datetime | None:
    """Return epoch seconds as the database keeps times."""
    return None if time_s is None else datetime.fromtimestamp(time_s, UTC).replace(tzinfo=None)
