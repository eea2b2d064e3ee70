"""Engines: where jobs run.  One contract (:mod:`base`), one module an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snfpipe.errors import ConfigError

if TYPE_CHECKING:
    from snfpipe.config.site import Site
    from snfpipe.engines.base import Engine


def make_engine(site: Site) -> Engine:
    """Return the engine of a site.

    Raises
    ------
    ConfigError
        The site names an engine that this code does not have.
    """
    if site.engine == "local":
        from snfpipe.engines.local import LocalEngine

        return LocalEngine(site.jobs.parent / ".local", site.slots)
    from snfpipe.engines.batch import BatchEngine
    from snfpipe.engines.grid_engine import GridEngine
    from snfpipe.engines.settings import Settings
    from snfpipe.engines.slurm import Slurm

    schedulers = {it.name: it for it in (GridEngine, Slurm)}
    if site.engine not in schedulers:
        raise ConfigError(
            f"site {site.name} wants engine {site.engine!r}, which there is not",
            hint=f"engines: local, {', '.join(schedulers)}",
        )
    scheduler = schedulers[site.engine](Settings.of(site.settings))
    folder = site.jobs.parent / f".{site.engine}"
    return BatchEngine(scheduler, folder, site.slots, site.grace_s)
