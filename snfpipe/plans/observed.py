"""Which nights and targets were observed together, asked for once and only where it is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from snfpipe.config.lists import list_words
from snfpipe.names import target_exposure

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

#: Answers a query with its rows.
Ask = Callable[[str], Iterable[Sequence[object]]]

_RUNS = (
    "SELECT DISTINCT target.name, run.night, target.id_target FROM run "
    "JOIN target ON target.id = run.target_id ORDER BY 1, 2"
)
_NIGHTS = "SELECT DISTINCT night FROM run ORDER BY 1"


class SurveySoFar:
    """What :class:`~snfpipe.declarations.unit_kinds.Observed` asks for, out of the database.

    Parameters
    ----------
    ask : callable
        Answers a query; called while it is open, or not at all.
    root : Path
        The project's folder, which holds ``lists/``.
    """

    def __init__(self, ask: Ask, root: Path) -> None:
        self._ask = ask
        self._root = root
        self._lists: dict[str, tuple[str, ...]] = {}

    @classmethod
    def of(cls, session: Session, root: Path) -> SurveySoFar:
        """Return what a session sees."""
        return cls(lambda query: session.connection().exec_driver_sql(query).all(), root)

    def load(self) -> None:
        """Ask now for everything that may be wanted later."""
        _ = self._runs, self.nights

    @cached_property
    def _runs(self) -> list[tuple[str, str, str]]:
        return [(str(it[0]), str(it[1]), str(it[2])) for it in self._ask(_RUNS)]

    @cached_property
    def nights(self) -> Sequence[str]:
        """All nights with a run, in order."""
        return tuple(str(it[0]) for it in self._ask(_NIGHTS))

    @cached_property
    def nights_of(self) -> Mapping[str, Sequence[str]]:
        """Target -> its nights."""
        found: dict[str, list[str]] = {}
        for target, night, _ident in self._runs:
            found.setdefault(target, []).append(night)
        return found

    @cached_property
    def targets_of(self) -> Mapping[str, Sequence[str]]:
        """Night -> its targets."""
        found: dict[str, list[str]] = {}
        for target, night, _ident in self._runs:
            found.setdefault(night, []).append(target)
        return found

    @cached_property
    def named_by(self) -> Mapping[str, str]:
        """Target -> the night of its first run."""
        return {
            target: str(target_exposure(ident).night)
            for target, ident in {(it[0], it[2]) for it in self._runs}
        }

    def listed(self, name: str) -> Sequence[str]:
        """Return the lines of a hand-written list."""
        if name not in self._lists:
            self._lists[name] = list_words(self._root / "lists" / f"{name}.list")
        return self._lists[name]
