"""The graph: a task a step, a subtask a unit, edges from lists and exposures.

It is fixed once raw nights have been taken in.  An edge says which manifests a unit may read;
what it does read is selected when it is planned.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from snfpipe.config.project import Project
from snfpipe.config.step import Step
from snfpipe.errors import NotFound, shown
from snfpipe.plans.reach import Members, all_nights, units_read
from snfpipe.units.job_rows import Rows

Graph = dict[str, "Unit"]


class Unit(NamedTuple):
    """A unit of a step.

    ``task`` is its name in doit, ``step:unit``; ``manifest`` is relative to the project where
    JOBDIR lies in it; ``upstream`` are the tasks whose manifests it may read; ``after`` the steps
    that come before it as a whole; ``nights`` those whose changes may reach it; ``targets`` its
    own, where it does not have all those of its nights.
    """

    task: str
    step: Step
    unit: str
    manifest: str
    upstream: tuple[str, ...]
    after: tuple[str, ...]
    nights: tuple[str, ...]
    targets: tuple[str, ...]


def build_graph(project: Project, rows: Rows) -> Graph:
    """Return every unit of the configured production, a step after those it reads from."""
    jobs = str(project.site.jobs)
    inside = f"{project.root}{os.sep}"
    if jobs.startswith(inside):
        jobs = jobs[len(inside) :]
    graph: Graph = {}
    members: dict[str, Members] = {}
    made: dict[tuple[str, tuple[str, ...]], Members] = {}  # many steps share a list
    for step in project.steps:
        reads = [(it, key) for it in step.spec.inputs for key in step.input_steps.get(it.named, ())]
        after = tuple(dict.fromkeys(key for it, key in reads if it.scope.ordered_only))
        edges = list({(it.scope, key): (it, members[key]) for it, key in reads}.items())
        for unit in step.units:
            row = rows.jobs.get((step.production, unit))
            folder, name = (
                (row.folder, row.name) if row else (step.job_folder(unit), step.job_name(unit))
            )
            upstream = dict.fromkeys(
                f"{key}:{other}"
                for (_scope, key), (it, others) in edges
                for other in units_read(it, step.kind, unit, others, rows.observed)
            )
            task = f"{step.key}:{unit}"
            graph[task] = Unit(
                task,
                step,
                unit,
                f"{jobs}/{folder}/{name}.manifest",
                tuple(upstream),
                after,
                all_nights(step.spec.inputs, step.kind, unit, rows.observed),
                tuple(step.kind.targets(unit, rows.observed) or ()),
            )
        listed = (step.kind.name, step.units)
        if listed not in made:
            made[listed] = Members(step.kind, step.units, rows.observed)
        members[step.key] = made[listed]
    return graph


def comes_before(project: Project, unit: Unit) -> Iterator[str]:
    """Yield every unit that comes before a unit, those of steps that do as a whole among them."""
    yield from unit.upstream
    for key in unit.after:
        step = project.step(key)
        yield from map(step.task, step.units)


def select_units(graph: Graph, patterns: tuple[str, ...]) -> list[Unit]:
    """Return the units that shell patterns name, ``[STEP:]UNIT``, in the graph's order.

    Raises
    ------
    NotFound
        A pattern that matches no unit.
    """
    from fnmatch import fnmatchcase

    found: set[str] = set()
    for pattern in patterns:
        whole = pattern if ":" in pattern else f"*:{pattern}"
        matches = [task for task in graph if fnmatchcase(task, whole)]
        if not matches:
            raise NotFound(
                f"no unit of this production matches {shown(pattern)}",
                hint="units are named STEP:UNIT as in `doit list --all`; patterns may hold * ? []",
            )
        found.update(matches)
    return [unit for task, unit in graph.items() if task in found]
