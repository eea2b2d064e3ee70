"""The graph: a task a step, a subtask a unit, edges from lists and exposures.

It is fixed once raw nights have been taken in.  An edge says which manifests a unit may read;
what it does read is selected when it is planned.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from snfpipe.config.project import Project, Step
from snfpipe.errors import NotFound, shown
from snfpipe.units.job_rows import Look

Graph = dict[str, "Unit"]


class Unit(NamedTuple):
    """A unit of a step.

    ``task`` is its name in doit, ``step:unit``; ``manifest`` is relative to the project where
    JOBDIR lies in it; ``upstream`` are the tasks whose manifests it may read; ``nights`` those
    whose changes may reach it.
    """

    task: str
    step: Step
    unit: str
    manifest: str
    upstream: tuple[str, ...]
    nights: tuple[str, ...]


def build_graph(project: Project, look: Look) -> Graph:
    """Return every unit of the configured production, a step after those it reads from."""
    jobs = str(project.site.jobs)
    inside = f"{project.root}{os.sep}"
    if jobs.startswith(inside):
        jobs = jobs[len(inside) :]
    graph: Graph = {}
    for step in project.steps:
        above = _upstream_steps(project, step)
        for unit in step.units:
            row = look.jobs.get((step.production, unit))
            folder, name = (
                (row.folder, row.name) if row else (step.job_folder(unit), step.job_name(unit))
            )
            nights = (unit,) if step.unit_kind == "night" else tuple(look.nights_of.get(unit, ()))
            task = f"{step.key}:{unit}"
            graph[task] = Unit(
                task,
                step,
                unit,
                f"{jobs}/{folder}/{name}.manifest",
                tuple([t for other in above for t in _edges(graph, step, unit, nights, other)]),
                nights,
            )
    return graph


def _upstream_steps(project: Project, step: Step) -> list[Step]:
    """Return the steps of this production that a step reads from, each once."""
    keys = dict.fromkeys(key for found in step.input_steps.values() for key in found)
    return [project.step(key) for key in keys]


def _edges(graph: Graph, step: Step, unit: str, nights: tuple[str, ...], other: Step) -> list[str]:
    """Return the units of `other` that a unit may read: its nights', or its own."""
    units = nights if other.unit_kind == "night" else (unit,)
    if step.unit_kind == "night" and other.unit_kind == "target":
        units = ()
    tasks = [f"{other.key}:{name}" for name in units]
    return [task for task in tasks if task in graph]


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
