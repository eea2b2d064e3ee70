"""Why a unit would run again, or why not: what differs between its manifest and the present."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from snfpipe.config.project import Project
from snfpipe.db.session import open_database
from snfpipe.names import ProductName
from snfpipe.states import FAILURES, State
from snfpipe.units.decision import Act
from snfpipe.units.freshness import Check, check
from snfpipe.units.graph import Unit, select_units
from snfpipe.units.status import word_of


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
        present = _present(session, units)
        manifests = _manifests(session, units)
    database.close()
    return [_explain(found, unit, manifests.get(unit.task), present[unit.task]) for unit in units]


def _present(session: Any, units: list[Unit]) -> dict[str, dict[str, Any]]:
    """Return what would be selected now, in the words of manifests; a step's units in one go."""
    from snfpipe.plans import PLANS
    from snfpipe.plans.base import selection

    found: dict[str, dict[str, Any]] = {}
    for key in dict.fromkeys(unit.step.key for unit in units):
        wanted = [unit for unit in units if unit.step.key == key]
        step = wanted[0].step
        plans = PLANS[step.plan].select(session, step, [unit.unit for unit in wanted])
        for unit in wanted:
            plan = plans[unit.unit]
            outcome = (str(plan.verdict.state), plan.verdict.reason) if plan.verdict else None
            found[unit.task] = {
                "inputs": selection(plan), "identity": step.identity, "verdict": outcome
            }  # fmt: skip
    return found


def _manifests(session: Any, units: list[Unit]) -> dict[str, dict[str, Any]]:
    """Return the manifests that the database holds."""
    import sqlalchemy as sa

    from snfpipe.db.models import Job, Production
    from snfpipe.db.store import chunks

    tasks = {(unit.step.production, unit.unit): unit.task for unit in units}
    productions = sorted({production for production, _unit in tasks})
    found = {}
    for part in chunks(sorted({name for _production, name in tasks})):
        query = (
            sa.select(Production.name, Job.unit, Job.manifest)
            .join(Production, Production.id == Job.production_id)
            .where(Production.name.in_(productions), Job.unit.in_(part), Job.manifest.isnot(None))
        )
        for production, name, text in session.execute(query):
            task = tasks.get((production, name))
            if task is not None:
                found[task] = json.loads(text)
    return found


def _explain(
    found: Check, unit: Unit, manifest: dict[str, Any] | None, present: dict[str, Any]
) -> Why:
    """Put one unit's case into words."""
    standing = found.standings[unit.task]
    word = word_of(found, unit)
    differences = tuple(_differences(manifest, present)) if manifest else ()
    if standing.act is Act.ADOPT:
        verdict = "an attempt is on its way: doit waits for it"
    elif standing.act is Act.REWRITE:
        verdict = "fresh, but its manifest is missing: doit rewrites it from the database"
    elif standing.act is Act.RUN:
        verdict = f"would run: {standing.reason}"
        if word != standing.word:
            verdict += "; it waits for a unit it reads from"
    elif differences:
        verdict = f"would not run: it is {word}; `snf retry` would not reopen it either"
    elif word in FAILURES:
        verdict = (
            f"would not run: it is {word} ({standing.reason}) and nothing it depends on changed "
            "since; `snf retry` tries it again"
        )
    elif word == State.WAIVED:
        verdict = f"would not run: waived ({standing.reason})"
    else:
        verdict = "fresh: inputs, options, programs and environment are those of its manifest"
    above = [t for t in unit.upstream if found.standings[t].act in (Act.RUN, Act.ADOPT)]
    if above and standing.act is not Act.ADOPT:
        verdict += f"; {', '.join(above)} may change that"
    return Why(unit.task, word, standing.act is Act.RUN, verdict, differences)


def _differences(manifest: Mapping[str, Any], present: Mapping[str, Any]) -> Iterator[Difference]:
    """Yield what differs: identity first, then inputs, then a verdict."""
    yield from _compare("", manifest["identity"], present["identity"])
    old, new = _by_input(manifest["inputs"]), _by_input(present["inputs"])
    for key in sorted({*old, *new}):
        before, now = old.get(key), new.get(key)
        name = f"input {key}"
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


def _compare(prefix: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    """Yield the entries of two tables that differ, nested tables by dotted keys."""
    for key in sorted({*old, *new}):
        before, now = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            yield from _compare(f"{prefix}{key}.", before, now)
        elif json.dumps(before) != json.dumps(now):
            yield Difference(f"{prefix}{key}", before, now)


def _by_input(inputs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return inputs by name and role; the name is that of the file, without index and extension."""
    found = {}
    for given in inputs:
        stem = ProductName.from_id(given["id_process"]).stem
        found[f"{stem.rpartition('_')[0]} ({given['role']})"] = given
    return found


def _shown(value: Any) -> str:
    """Return a value as a line can hold it."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
