"""Private services for development and tests: a Grid Engine cell, a Slurm, a PostgreSQL.

Each lives in a folder of its own, listens on this machine only, is started in a few seconds, and
is ended by the process ids that are written down there.  Any number of them run side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from snfpipe.errors import NotFound, shown

NAMES = ("grid_engine", "slurm", "postgresql")


class Service(Protocol):
    """A private service; whoever has its folder can start and end it.

    Attributes
    ----------
    name : str
        One of :data:`NAMES`.
    folder : Path
        All that belongs to it.
    """

    name: str
    folder: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables by which its clients reach it."""

    def is_up(self) -> bool:
        """Tell whether it is made and all its daemons run."""

    def up(self) -> bool:
        """Make it where it is new, and start what does not run; one caller at a time.

        Returns
        -------
        bool
            Whether anything was to be started.

        Raises
        ------
        NotFound
            A Debian package is missing.
        Refused
            It needs root, or a folder elsewhere: this one holds something else.
        ServiceUnavailable
            It does not come up; its last words are quoted.
        """

    def down(self) -> None:
        """End its daemons and whatever they started; remove its folder.

        Raises
        ------
        Refused
            The folder was not made here, or something in it cannot be removed.
        """


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
