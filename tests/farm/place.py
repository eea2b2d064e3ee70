"""The small survey of the tests of jobs, on a real farm: Grid Engine and PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from snfpipe.config.site import Site
from snfpipe.engines import make_engine
from tests.bench import Bench, make_bench


def make_farm(
    root: Path,
    url: str,
    cell: Mapping[str, str],
    *,
    nights: int,
    slots: int = 100,
    poll_s: float = 0.5,
    grace_s: float = 10.0,
) -> Bench:
    """Return the bench in `root`, its jobs on the cell that an environment names."""
    bench = make_bench(root, url, nights=nights)
    local = bench.project.site
    site = Site(
        "farm", "grid_engine", slots, poll_s, grace_s, url, local.raw, local.archive, local.jobs,
        {"environment": dict(cell)},
    )  # fmt: skip
    return Bench(replace(bench.project, site=site), bench.database, make_engine(site))
