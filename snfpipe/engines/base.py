"""The contract of an engine: what every place that runs jobs offers, and in whose words.

An engine knows tokens, scripts and its own ids; it knows neither jobs nor the database.  It is
asked little and for many at once: one submission for a batch, one snapshot for everything.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class EngineState(StrEnum):
    """What an engine says of a submission that it still has."""

    QUEUED = "queued"
    HELD = "held"
    RUNNING = "running"
    ERROR = "queue error"


@dataclass(frozen=True, slots=True)
class Submission:
    """One attempt, as an engine needs to know it.

    ``script`` lies in the attempt's folder; what starts is the wrapper of that folder.
    ``stdout`` and ``stderr`` take what the engine itself has to say of it.
    """

    token: str
    name: str
    production: str
    plan: str
    script: Path
    stdout: Path
    stderr: Path
    cpu_s: int
    memory_mb: int
    wall_s: int


@dataclass(frozen=True, slots=True)
class EngineOutcome:
    """What an engine's accounting says of a submission that ended; times are epoch seconds.

    ``failure`` is the engine's own problem, empty if it had none: with it, no exit status means
    success.  An outcome that is not ``final`` tells of starts that failed: the engine may try
    again, or say more.
    """

    exit_status: int | None = None
    signal: int | None = None
    failure: str = ""
    host: str = ""
    started: float | None = None
    ended: float | None = None
    cpu_s: float | None = None
    memory_mb: float | None = None
    final: bool = True


class Engine(Protocol):
    """A place that runs jobs.

    Attributes
    ----------
    name : str
        ``local``, ``grid_engine`` or ``slurm``.
    grace_s : float
        For how long a submission may be missing from snapshot, accounting and ledger before it
        counts as lost; at least twice the delay of the accounting.
    asks_scheduler : bool
        Whether a snapshot is a call of a scheduler, so that one serves everybody.
    notices : tuple of str
        What the last snapshot told of queues and nodes where nothing starts, for people.
    """

    name: str
    grace_s: float
    asks_scheduler: bool
    notices: tuple[str, ...]

    def capacity(self) -> int:
        """Return how many submissions could start now, as far as the site's cap goes."""

    def submit(self, batch: Sequence[Submission]) -> dict[str, str]:
        """Start or queue submissions by as few calls as there can be.

        Returns
        -------
        dict
            Token -> engine id of those that were taken; the others may be tried again.  One that
            the engine refuses counts as taken, and has ended: :meth:`outcomes` says why.

        Raises
        ------
        ServiceUnavailable
            The engine does not answer; some may have been taken: ask :meth:`find`.
        """

    def refused(self, engine_ids: Collection[str]) -> dict[str, str]:
        """Return engine id -> the engine's words, of submissions that it would not have."""

    def snapshot(self) -> Mapping[str, EngineState]:
        """Return engine id -> state of all that the engine still has, by one query.

        Raises
        ------
        ServiceUnavailable
            The engine does not answer; an empty answer means that it has none.
        """

    def fill(self) -> None:
        """Let what waits for room under the site's cap start, as far as there is some.

        Whoever looks after jobs calls it once a cycle, after :meth:`snapshot`.

        Raises
        ------
        ServiceUnavailable
            The engine does not answer.
        """

    def find(self, tokens: Collection[str]) -> dict[str, str]:
        """Return token -> engine id of submissions the engine knows, whoever made them."""

    def folders(self, engine_ids: Collection[str]) -> dict[str, Path]:
        """Return engine id -> folder of the script, where it is known, if a snapshot showed it."""

    def outcomes(self, engine_ids: Collection[str]) -> dict[str, EngineOutcome]:
        """Return what accounting has on submissions that ended; it may lag, or have nothing."""

    def cancel(self, engine_ids: Collection[str]) -> None:
        """End submissions, queued or running; those that are gone are passed over."""

    def hold(self, engine_ids: Collection[str]) -> None:
        """Keep queued submissions from starting.

        Raises
        ------
        Refused
            The engine cannot.
        """

    def release(self, engine_ids: Collection[str]) -> None:
        """Let held submissions start.

        Raises
        ------
        Refused
            The engine cannot.
        """
