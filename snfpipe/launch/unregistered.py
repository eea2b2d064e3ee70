"""Launching that registers nothing (``batch_jobs -L``): jobs and products stay in a folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from snfpipe import clock
from snfpipe.db.session import Database
from snfpipe.engines import make_engine
from snfpipe.engines.base import Engine, Submission
from snfpipe.jobs import expand
from snfpipe.jobs.submit import submission
from snfpipe.launch.launch import (
    NOTHING_SENT,
    PAUSE_S,
    Launch,
    LaunchedUnit,
    Progress,
    Sent,
    result,
    select,
)
from snfpipe.launch.order import Ordered
from snfpipe.worker.script import write_attempts
from snfpipe.worker.spec import AttemptFolder


def try_out(
    ordered: Ordered,
    database: Database,
    place: Path,
    *,
    submit: bool,
    keep: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Launch:
    """Do what :func:`snfpipe.launch.launch.launch` does, in `place`, and register nothing.

    Raises
    ------
    OSError
        `place` is out of reach.
    Refused
        Every index of a unit's products is taken in `place`.
    """
    project, step = ordered.project, ordered.step
    with database.read() as session:
        plans, units = select(session, ordered, submit=submit, registered=False)
    if dry_run:
        return result(ordered, units, NOTHING_SENT, dry_run=True, place=place)
    engine = make_engine(project.site)
    with _alone_in(place):
        there = _on_their_way(engine, place)
        taken = _taken(place, there)  # looked at later: who ended meanwhile has left its products
        units = _left_alone(units, there)
        run = [plans[it.unit] for it in units if it.deed != "nothing"]
        specs = [expand.unregistered(project, step, plan, place, taken, keep=keep) for plan in run]
        failures = write_attempts(specs)
        waiting = {it.token: submission(it) for it in specs if it.token not in failures}
        sent = _send_all(engine, waiting, progress) if submit else NOTHING_SENT
    failed = {it.job: failures[it.token] for it in specs if it.token in failures}
    sent = replace(sent, refused={**failed, **sent.refused})
    return result(ordered, units, sent, dry_run=False, place=place)


@contextmanager
def _alone_in(place: Path) -> Iterator[None]:
    """Wait until nobody else submits in a folder; two would give their products the same names."""
    handle = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _on_their_way(engine: Engine, place: Path) -> dict[AttemptFolder, str]:
    """Return the attempts from this folder that the engine still has, of any trial; their state."""
    found = map(AttemptFolder.find, place.glob("*.attempts/[0-9][0-9][0-9]-*"))
    made = {it.token: it for it in found}
    known = engine.find(made) if made else {}
    there = engine.snapshot() if known else {}
    return {made[token]: str(there[ident]) for token, ident in known.items() if ident in there}


def _left_alone(
    units: Sequence[LaunchedUnit], there: Mapping[AttemptFolder, str]
) -> list[LaunchedUnit]:
    """Do nothing about those units of which the engine has an earlier attempt."""
    busy = {attempt.job: state for attempt, state in there.items()}
    return [
        replace(it, deed="nothing", state=busy[it.job], reason="it is on its way")
        if it.job in busy
        else it
        for it in units
    ]


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
