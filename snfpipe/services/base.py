"""What every private service does alike: it is made once, started, and ended with its folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from signal import SIGKILL, Signals
from typing import ClassVar

from snfpipe.services.daemons import Daemons
from snfpipe.services.folders import alone


class Service(ABC):
    """A private service; whoever has its folder can start and end it.

    Parameters
    ----------
    folder : Path
        All that belongs to it; made where it is missing.

    Attributes
    ----------
    name : str
        One of :data:`snfpipe.services.NAMES`.
    quick : Signals
        What ends its daemons at once.
    daemons : Daemons
        Its processes.
    """

    name: ClassVar[str]
    quick: ClassVar[Signals] = SIGKILL

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.daemons = Daemons(folder, self.quick)

    @property
    @abstractmethod
    def environment(self) -> Mapping[str, str]:
        """The variables by which its clients reach it."""

    def is_up(self) -> bool:
        """Tell whether it is made and all its daemons run."""
        return self.daemons.made and all(map(self.daemons.alive, self._names()))

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
        self._check()
        with alone(self.folder):
            if self.is_up():
                return False
            self._start(new=self.daemons.prepare())
            self.daemons.finish()
        return True

    def down(self) -> None:
        """End its daemons and whatever they started; remove its folder.

        Raises
        ------
        Refused
            The folder was not made here, or something in it cannot be removed.
        """
        with alone(self.folder):
            self._end_jobs()
            self.daemons.remove()

    @abstractmethod
    def _names(self) -> Sequence[str]:
        """Return the names of its daemons."""

    @abstractmethod
    def _check(self) -> None:
        """Refuse to go on where it could not run."""

    @abstractmethod
    def _start(self, *, new: bool) -> None:
        """Make it where it is new, and start its daemons."""

    def _end_jobs(self) -> None:
        """End what its daemons started that does not descend from them; usually nothing."""
        return
