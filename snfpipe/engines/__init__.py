"""What runs jobs: one contract (:mod:`base`), an engine a module."""

from __future__ import annotations

from pathlib import Path

from snfpipe.engines.base import Engine
from snfpipe.errors import Refused


def make_engine(kind: str, slots: int, jobs: Path) -> Engine:
    """Return the engine of a site.

    Parameters
    ----------
    kind : str
        ``local``.
    slots : int
        Jobs at once.
    jobs : Path
        The folder all job folders of the site lie in.

    Raises
    ------
    Refused
        There is no such engine.
    """
    if kind == "local":
        from snfpipe.engines.local import LocalEngine

        return LocalEngine(jobs / ".local", slots)
    raise Refused(
        f"engine {kind} is not there yet", hint='use a site with engine = "local" (configs/sites)'
    )
