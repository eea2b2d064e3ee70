"""Private services for development and tests: a Grid Engine cell, a Slurm, a PostgreSQL.

Each lives in a folder of its own, listens on this machine only, is started in a few seconds, and
is ended by the process ids that are written down there.  Any number of them run side by side.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from snfpipe.errors import NotFound, shown

if TYPE_CHECKING:
    from snfpipe.services.base import Service

NAMES = ("grid_engine", "slurm", "postgresql")


def make_service(name: str, folder: Path) -> Service:
    """Return the service called `name` in `folder`; nothing is started.

    Raises
    ------
    NotFound
        There is no such service.
    """
    if name == "grid_engine":
        from snfpipe.services.grid_engine import GridEngineCell

        return GridEngineCell(folder)
    if name == "slurm":
        from snfpipe.services.slurm import SlurmCluster

        return SlurmCluster(folder)
    if name == "postgresql":
        from snfpipe.services.postgresql import PostgreSQL

        return PostgreSQL(folder)
    raise NotFound(f"there is no service {shown(name)}", hint=f"services: {', '.join(NAMES)}")
