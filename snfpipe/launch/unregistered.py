"""Launching that registers nothing (``batch_jobs -L``): jobs and products stay in a folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from sqlalchemy.orm import Session

from snfpipe import clock
from snfpipe.config.project import Project
from snfpipe.config.step import Step
from snfpipe.engines import make_engine
from snfpipe.engines.base import Engine, Submission
from snfpipe.jobs import expand
from snfpipe.jobs.programs import commands_of
from snfpipe.jobs.submit import submission
from snfpipe.launch.result import PAUSE_S, LaunchedUnit, Progress, Sent
from snfpipe.units.job_rows import JobRow
from snfpipe.units.sequence import Considered
from snfpipe.worker.script import write_attempts
from snfpipe.worker.spec import AttemptFolder, JobSpec


@dataclass(frozen=True)
class InFolder:
    """A folder as the place of jobs and products: the database hears of nothing.

    `place` is the folder; with `keep`, jobs leave their products in the work folder as well.
    """

    project: Project
    step: Step
    place: Path
    keep: bool = False
    registered: bool = False

    @property
    def folder(self) -> Path:
        """The folder of the trial."""
        return self.place

    def rows(self, session: Session) -> dict[str, JobRow]:
        """Return no rows: every trial is new."""
        return {}

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until nobody else submits in the folder; two would give products the same names."""
        handle = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def left_alone(self, units: Sequence[LaunchedUnit]) -> list[LaunchedUnit]:
        """Return the units, with nothing to do about those that the engine has from before."""
        there = _under_way(self._engine, self.place)
        busy = {attempt.job: state for attempt, state in there.items()}
        return [
            replace(it, action="nothing", state=busy[it.job], reason="it is on its way")
            if it.job in busy
            else it
            for it in units
        ]

    def create(self, considered: Sequence[Considered]) -> None:
        """Write the folders of attempts, and submit none."""
        write_attempts(self._specs(considered))

    def submit(self, considered: Sequence[Considered], progress: Progress | None) -> Sent:
        """Write the folders of attempts and hand them to the engine.

        Raises
        ------
        OSError
            The folder is out of reach.
        Refused
            Every index of a unit's products is taken in the folder.
        """
        specs = self._specs(considered)
        failures = write_attempts(specs)
        waiting = {it.token: submission(it) for it in specs if it.token not in failures}
        sent = _send_all(self._engine, waiting, progress)
        failed = {it.job: failures[it.token] for it in specs if it.token in failures}
        return replace(sent, refused={**failed, **sent.refused})

    @cached_property
    def _engine(self) -> Engine:
        return make_engine(self.project.site)

    def _specs(self, considered: Sequence[Considered]) -> list[JobSpec]:
        """Plan attempts whose products get names that nobody in the folder has or will have."""
        # who ended meanwhile has left its products: looked at after who is under way
        taken = _taken(self.place, _under_way(self._engine, self.place))
        commands = commands_of(self.project, self.step) if considered else ()
        specs: list[JobSpec] = []
        for it in considered:
            specs.append(
                expand.unregistered(
                    self.project, self.step, it.plan, self.place, taken, commands, keep=self.keep
                )
            )
            taken.update(product.name.partition(".")[0] for product in specs[-1].products)
        return specs


def _under_way(engine: Engine, place: Path) -> dict[AttemptFolder, str]:
    """Return the attempts from this folder that the engine still has, of any trial; their state."""
    made = {it.token: it for it in AttemptFolder.all_of(place)}
    known = engine.find(made) if made else {}
    there = engine.snapshot() if known else {}
    return {made[token]: str(there[ident]) for token, ident in known.items() if ident in there}


def _taken(place: Path, there: Iterable[AttemptFolder]) -> set[str]:
    """Return the stems of names that are in this folder, or that attempts will leave in it."""
    stems = {name.partition(".")[0] for name in os.listdir(place)}
    for attempt in there:
        with suppress(OSError, ValueError):  # a job that cannot read its spec leaves nothing
            stems.update(it.name.partition(".")[0] for it in attempt.load().products)
    return stems


def _send_all(engine: Engine, waiting: Mapping[str, Submission], progress: Progress | None) -> Sent:
    """Hand submissions to the engine until it has taken all."""
    total, left = len(waiting), dict(waiting)
    refused: dict[str, str] = {}
    while left:
        taken = engine.submit([*left.values()])
        words = engine.refused(taken.values())
        for token, ident in taken.items():
            job = left.pop(token)
            if ident in words:
                refused[job.name] = words[ident]
        if left:
            if progress:
                progress(total - len(left), total)
            clock.sleep(PAUSE_S)
    return Sent(total - len(refused), refused)
