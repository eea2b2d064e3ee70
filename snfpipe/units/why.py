"""Why a unit would run again, or why not: what differs between its manifest and the present."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from snfpipe.config.project import Project
from snfpipe.db.session import open_database
from snfpipe.names import ProductName
from snfpipe.states import FAILURES, State
from snfpipe.units.decision import Action
from snfpipe.units.freshness import Check, check
from snfpipe.units.graph import Unit, select_units
from snfpipe.units.job_rows import manifests_of
from snfpipe.units.status import OpenUnits, open_before, open_units, word_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from snfpipe.units.sequence import Considered


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as the manifest has it; ``old`` or ``new`` None: it was not there."""

    what: str
    old: Any
    new: Any

    def __str__(self) -> str:
        """Return a line."""
        if self.old is None:
            return f"{self.what}: new, {_shown(self.new)}"
        if self.new is None:
            return f"{self.what}: no longer there, was {_shown(self.old)}"
        return f"{self.what}: {_shown(self.old)} -> {_shown(self.new)}"


@dataclass(frozen=True, slots=True)
class Why:
    """What doit would do about a unit, and why."""

    task: str
    state: str
    runs: bool
    verdict: str
    differences: tuple[Difference, ...]


def why(project: Project, patterns: tuple[str, ...]) -> list[Why]:
    """Explain the units that patterns name.

    Raises
    ------
    NotFound
        A pattern that matches no unit.
    """
    found = check(project)
    units = select_units(found.graph, patterns)
    database = open_database(project.site.database_url, project.root)
    with database.read() as session:
        considered = _consider(session, found, units)
        texts = manifests_of(
            session, {it.step.production for it in units}, [it.unit for it in units]
        )
    database.close()
    manifests = {key: json.loads(text) for key, text in texts.items()}
    open_in = open_units(found)
    return [
        _explain(
            found,
            unit,
            open_in,
            manifests.get((unit.step.production, unit.unit)),
            _present(unit, considered[unit.task]),
        )
        for unit in units
    ]


def _consider(session: Session, found: Check, units: list[Unit]) -> dict[str, Considered]:
    """Lead units along the sequence as far as the decision; a step's units in one go."""
    from snfpipe.units.sequence import consider

    considered: dict[str, Considered] = {}
    for key in dict.fromkeys(unit.step.key for unit in units):
        wanted = [unit for unit in units if unit.step.key == key]
        step = wanted[0].step
        jobs = found.rows.jobs
        rows = {
            it.unit: row
            for it in wanted
            if (row := jobs.get((step.production, it.unit))) is not None
        }
        for it in consider(session, step, [unit.unit for unit in wanted], rows):
            considered[step.task(it.unit)] = it
    return considered


def _present(unit: Unit, now: Considered) -> dict[str, Any]:
    """Return what would be selected now, in the words of manifests."""
    from snfpipe.plans.unit_plan import selection

    verdict = now.plan.verdict
    outcome = (str(verdict.state), verdict.reason) if verdict else None
    return {"inputs": selection(now.plan), "identity": unit.step.identity, "verdict": outcome}


def _explain(
    found: Check,
    unit: Unit,
    open_in: OpenUnits,
    manifest: dict[str, Any] | None,
    present: dict[str, Any],
) -> Why:
    """Put one unit's case into words."""
    decision = found.decisions[unit.task]
    word = word_of(found, unit, open_in)
    differences = tuple(_differences(manifest, present)) if manifest else ()
    if decision.action is Action.ADOPT:
        verdict = "an attempt is on its way: doit waits for it"
    elif decision.action is Action.REWRITE:
        verdict = "fresh, but its manifest is missing: doit rewrites it from the database"
    elif decision.action is Action.RUN:
        verdict = f"would run: {decision.reason}"
        if word != decision.word:
            verdict += "; it waits for a unit it reads from"
    elif differences:
        verdict = f"would not run: it is {word}; `snf retry` would not reopen it either"
    elif word in FAILURES:
        verdict = (
            f"would not run: it is {word} ({decision.reason}) and nothing it depends on changed "
            "since; `snf retry` tries it again"
        )
    elif word == State.WAIVED:
        verdict = f"would not run: waived ({decision.reason})"
    else:
        verdict = "fresh: inputs, options, programs and environment are those of its manifest"
    before = open_before(unit, open_in)
    above = [t for t in before if found.decisions[t].action in (Action.RUN, Action.ADOPT)]
    if above and decision.action is not Action.ADOPT:
        verdict += f"; {', '.join(above)} may change that"
    return Why(unit.task, word, decision.action is Action.RUN, verdict, differences)


def _differences(manifest: Mapping[str, Any], present: Mapping[str, Any]) -> Iterator[Difference]:
    """Yield what differs: identity first, then inputs, then a verdict."""
    yield from _compare("", manifest["identity"], present["identity"])
    old, new = _by_input(manifest["inputs"]), _by_input(present["inputs"])
    for key in sorted({*old, *new}):
        before, now = old.get(key), new.get(key)
        name = f"input {key}"
        if "by_hand" in (before or now or {}):
            if before is None or now is None or before["checksum"] != now["checksum"]:
                yield Difference(name, _entered(before), _entered(now))
            continue
        if before is None or now is None:
            yield Difference(name, before and before["checksum"], now and now["checksum"])
            continue
        if before["checksum"] != now["checksum"]:
            yield Difference(f"{name}: checksum", before["checksum"], now["checksum"])
        yield from _compare(f"{name}: ", before["values"], now["values"])
    before_reason = (manifest["outcome"], manifest["reason"])
    now_verdict = present["verdict"]
    if now_verdict is not None and tuple(now_verdict) != before_reason:
        yield Difference("verdict", ": ".join(before_reason), ": ".join(now_verdict))


def _entered(given: Mapping[str, Any] | None) -> str | None:
    """Return the values that a person entered, why, who and when, as a line can hold them."""
    if given is None:
        return None
    values = ", ".join(f"{name}={value}" for name, value in given["values"].items())
    return f"{values} ({given['why']}; {given['who']}, {given['when']})"


def _compare(prefix: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    """Yield the entries of two tables that differ, nested tables by dotted keys."""
    for key in sorted({*old, *new}):
        before, now = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            yield from _compare(f"{prefix}{key}.", before, now)
        elif json.dumps(before) != json.dumps(now):
            yield Difference(f"{prefix}{key}", before, now)


def _by_input(inputs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return inputs by name and role; the name is that of the file, without index and extension.

    Where two units of a step have products of one such name, the others' show the index.
    """
    found = {}
    for given in inputs:
        if "by_hand" in given:
            found[f"entered in lists/{given['by_hand']}.csv"] = given
            continue
        stem = ProductName.from_id(given["id_process"]).stem
        name = f"{stem.rpartition('_')[0]} ({given['role']})"
        found[name if name not in found else f"{stem} ({given['role']})"] = given
    return found


def _shown(value: Any) -> str:
    """Return a value as a line can hold it."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
