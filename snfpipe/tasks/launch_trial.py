"""Launching that registers nothing (``batch_jobs -L``): jobs and products stay in a folder."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from snfpipe.db.session import Database
from snfpipe.engines import make_engine
from snfpipe.engines.base import Engine, Submission
from snfpipe.jobs import expand
from snfpipe.jobs.script import write_attempts
from snfpipe.jobs.submit import submission
from snfpipe.tasks.launch import (
    NOTHING_SENT,
    PAUSE_S,
    Launch,
    LaunchedUnit,
    Progress,
    Sent,
    result,
    select,
)
from snfpipe.tasks.launch_order import Ordered


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
    """Do what :func:`snfpipe.tasks.launch.launch` does, in `place`, and register nothing.

    Raises
    ------
    OSError
        `place` is out of reach.
    """
    project, step = ordered.project, ordered.step
    with database.read() as session:
        plans, units = select(session, ordered, submit=submit, registered=False)
    if dry_run:
        return result(ordered, units, NOTHING_SENT, dry_run=True, place=place)
    engine = make_engine(project.site)
    with _alone_in(place):
        units = _without_those_on_their_way(engine, place, units)
        run = [plans[it.unit] for it in units if it.deed != "nothing"]
        specs = [expand.unregistered(project, step, plan, place, keep=keep) for plan in run]
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


def _without_those_on_their_way(
    engine: Engine, place: Path, units: Sequence[LaunchedUnit]
) -> list[LaunchedUnit]:
    """Leave alone those units of which the engine has an earlier attempt from this folder."""
    job_of = {
        folder.name.partition("-")[2]: it.job
        for it in units
        for folder in place.glob(f"{it.job}.attempts/[0-9][0-9][0-9]-*")
    }
    there = engine.snapshot() if job_of else {}
    known = engine.find(job_of) if there else {}
    busy = {job_of[token]: str(there[ident]) for token, ident in known.items() if ident in there}
    return [
        replace(it, deed="nothing", state=busy[it.job], reason="it is on its way")
        if it.job in busy
        else it
        for it in units
    ]


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
            time.sleep(PAUSE_S)
    return Sent(total - len(refused), refused)
