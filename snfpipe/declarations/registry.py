"""The plans that are installed: entry points of the group ``snfpipe.plans``.

Another survey's package brings plans of its own by naming them there; nothing here changes.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from snfpipe.declarations.spec import PlanSpec
from snfpipe.errors import ConfigError, NotFound, shown

GROUP = "snfpipe.plans"


@cache
def _entries() -> dict[str, EntryPoint]:
    """Return plan name -> entry point, by name."""
    return {it.name: it for it in sorted(entry_points(group=GROUP), key=lambda it: it.name)}


def plan_names() -> tuple[str, ...]:
    """Return the names of all plans that are installed."""
    return tuple(_entries())


@cache
def plan_spec(name: str) -> PlanSpec:
    """Return a plan's declaration.

    Raises
    ------
    NotFound
        No installed package brings such a plan.
    ConfigError
        Its package cannot be loaded, or names something that is no plan.
    """
    entry = _entries().get(name)
    if entry is None:
        raise NotFound(
            f"there is no plan {shown(name)}",
            hint=f"plans that are installed: {', '.join(_entries()) or 'none'}",
        )
    try:
        spec = entry.load()
    except Exception as error:
        raise ConfigError(
            f"plan {name} cannot be loaded from {entry.value}: {error}",
            hint="fix or reinstall the package that brings it",
        ) from error
    if not isinstance(spec, PlanSpec) or spec.name != name:
        raise ConfigError(
            f"{entry.value} is not the declaration of plan {name}",
            hint=f"the entry point in group {GROUP} has to name a PlanSpec called {name!r}",
        )
    return spec


def module_file(name: str) -> str:
    """Return the file of the module that declares a plan; its options file may lie beside it."""
    plan_spec(name)
    return sys.modules[_entries()[name].module].__file__ or ""
