"""Which units are fresh: all of them, in one look, before doit is told of any.

A unit is fresh when the digest of what would be selected for it now is the one its job was
made with.  Selecting is the dear part, so the last complete check is remembered: a unit is
selected again only where the database's change stamp of one of its nights has moved, or its
step has become another, or it may read from other nights.  The memory is a file a
production; losing it costs one selection of everything.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import snfpipe
from snfpipe.config.hand_tables import table_path
from snfpipe.config.project import Project
from snfpipe.config.step import Step
from snfpipe.db.quick import shown_place
from snfpipe.declarations.registry import module_file
from snfpipe.jobs.manifest import stamp_of
from snfpipe.plans.reach import depends_on_runs
from snfpipe.units.decision import Action, Decision, decide, needs_digest
from snfpipe.units.graph import Graph, Unit, build_graph
from snfpipe.units.job_rows import Rows, read_rows
from snfpipe.wholefile import write_whole

_FORMAT = 2


class Check(NamedTuple):
    """A complete check: how every unit of the graph stands.

    ``stamps``: manifest -> modification time [ns], 0 where it is missing.
    """

    rows: Rows
    graph: Graph
    decisions: dict[str, Decision]
    stamps: dict[str, int]


def check(project: Project) -> Check:
    """Say how all units of the configured production stand."""
    seen = read_rows(project)
    graph = build_graph(project, seen)
    memory = _Memory(project, seen)
    stamps = _stamps(project, graph.values())
    digests: dict[str, str] = {}
    doubtful: dict[str, list[Unit]] = {}
    jobs = seen.jobs
    known = {step.key: memory.units_of(step) for step in project.steps}
    reach = memory.reach
    for task, unit in graph.items():
        row = jobs.get((unit.step.production, unit.unit))
        if row is None or not needs_digest(row):
            continue
        before = known[unit.step.key].get(unit.unit)
        if (
            before is None
            or before[0] != row.inputs_digest
            or (before[2] != reach(unit) or memory.moved(unit))
        ):
            doubtful.setdefault(unit.step.key, []).append(unit)
        else:
            digests[task] = before[0]
    if doubtful:
        digests.update(_select(project, doubtful))
    decisions = {}
    for task, unit in graph.items():
        row = jobs.get((unit.step.production, unit.unit))
        there = True
        if row is not None and row.manifest_sha:
            before = known[unit.step.key].get(unit.unit)
            stamp = stamps[unit.manifest]
            there = stamp != 0 and (
                (before is not None and before[1] == stamp)
                or _sha_of(project, unit) == row.manifest_sha
            )
        decisions[task] = decide(row, digests.get(task), there)
    memory.save(graph, decisions, digests, stamps)
    return Check(seen, graph, decisions, stamps)


def select_digests(project: Project, units: Iterable[Unit]) -> dict[str, str]:
    """Return task -> digest of what would be selected now, a step's units in one go."""
    by_step: dict[str, list[Unit]] = {}
    for unit in units:
        by_step.setdefault(unit.step.key, []).append(unit)
    return _select(project, by_step)


def _select(project: Project, units: dict[str, list[Unit]]) -> dict[str, str]:
    """Select, and digest what was found."""
    from snfpipe.db.session import open_database
    from snfpipe.plans.selection import select
    from snfpipe.plans.unit_plan import digest

    found: dict[str, str] = {}
    database = open_database(project.site.database_url, project.root)
    try:
        with database.read() as session:
            for wanted in units.values():
                step = wanted[0].step
                plans = select(session, step, [unit.unit for unit in wanted])
                for unit in wanted:
                    found[unit.task] = digest(step, plans[unit.unit])
    finally:
        database.close()
    return found


def _stamps(project: Project, units: Iterable[Unit]) -> dict[str, int]:
    """Look at every manifest once."""
    root = f"{project.root}{os.sep}"
    return {
        unit.manifest: stamp_of(unit.manifest if unit.manifest[0] == "/" else root + unit.manifest)
        for unit in units
    }


def _sha_of(project: Project, unit: Unit) -> str:
    """Return the digest of a manifest's bytes."""
    try:
        return hashlib.sha256((project.root / unit.manifest).read_bytes()).hexdigest()
    except OSError:
        return ""


class _Memory:
    """The last complete check."""

    def __init__(self, project: Project, seen: Rows) -> None:
        self.path = memory_path(project)
        place = shown_place(project.site.database_url, project.root)
        self.key = [_FORMAT, seen.revision, place, _plans_code(project)]
        self.seen = seen
        self.steps = {step.production: _identity(step) for step in project.steps}
        self.varying = {it.key for it in project.steps if depends_on_runs(it.spec, it.kind)}
        self.content: dict[str, Any] = {"stamps": {}, "steps": {}}
        try:
            content = json.loads(self.path.read_text())
            if content["key"] == self.key:
                self.content = content
        except (OSError, ValueError, LookupError, TypeError):
            pass
        before = self.content["stamps"]
        self.moved_nights = {n for n, seq in seen.stamps.items() if before.get(n) != seq}
        self.moved_nights.update(night for night in before if night not in seen.stamps)

    def units_of(self, step: Step) -> dict[str, tuple[str, int, int]]:
        """Return the units of a step that were fresh: digest, stamp of the manifest, reach."""
        found = self.content["steps"].get(step.production)
        if found is None or found["identity"] != self.steps[step.production]:
            return {}
        units: dict[str, tuple[str, int, int]] = found["units"]
        return units

    def moved(self, unit: Unit) -> bool:
        """Tell whether anything may have changed that reaches a unit."""
        return bool(self.moved_nights) and not self.moved_nights.isdisjoint(unit.nights)

    def reach(self, unit: Unit) -> int:
        """Return a number for the nights and targets that may reach a unit.

        It is 0 where they are its own for good.
        """
        if unit.step.key not in self.varying:
            return 0
        return crc32(" ".join((*unit.nights, "", *unit.targets)).encode())

    def save(
        self,
        graph: Graph,
        decisions: dict[str, Decision],
        digests: dict[str, str],
        stamps: dict[str, int],
    ) -> None:
        """Remember the units that are fresh; written aside and renamed."""
        steps: dict[str, Any] = {
            production: {"identity": identity, "units": {}}
            for production, identity in self.steps.items()
        }
        for task, digest in digests.items():
            if decisions[task].action is Action.NOTHING:
                unit = graph[task]
                steps[unit.step.production]["units"][unit.unit] = [
                    digest,
                    stamps[unit.manifest],
                    self.reach(unit),
                ]
        content = {
            "key": self.key,
            "stamps": self.seen.stamps,
            "steps": steps,
        }
        if content == self.content:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, json.dumps(content, separators=(",", ":")))
        except OSError:
            return  # a memory that cannot be kept only costs time


def memory_path(project: Project, kind: str = "fresh") -> Path:
    """Return where a production keeps a cache of ours: beside its job folders."""
    name = f"{project.version.label}-{project.production_key}.{kind}.json"
    return project.site.jobs.parent / ".doit" / name


def _identity(step: Step) -> str:
    """Return the digest of all that selects a unit's inputs or makes its result."""
    content = [step.identity, {role: list(names) for role, names in step.inputs.items()}]
    tables = [stamp_of(str(table_path(step.root, name))) for name in step.spec.by_hand]
    text = json.dumps([content, step.minimum_status, tables], sort_keys=True, default=dict)
    return hashlib.sha256(text.encode()).hexdigest()


def _plans_code(project: Project) -> list[list[Any]]:
    """Return what tells one state of the selecting code from another.

    A plan's module comes with all modules beside it, since plans of a package share code.
    """
    folders = {os.path.join(os.path.dirname(snfpipe.__file__), "plans")}
    folders.update(os.path.dirname(module_file(step.plan)) for step in project.steps)
    files: set[str] = set()
    for folder in folders:
        with os.scandir(folder) as entries:
            files.update(entry.path for entry in entries if entry.name.endswith(".py"))
    return sorted([path, stamp_of(path)] for path in files)
