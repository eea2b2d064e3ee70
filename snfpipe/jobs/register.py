"""Registering: products into the archive and rows into the database, once, whole or not at all.

Files are linked into place first, then one transaction adds the rows, on condition that the job
still names the attempt; the files in the incoming area go last.  Killed anywhere in between,
the same can be done again: links that are there are no problem, and the condition fails for
whoever comes second.  Jobs that end together share a transaction; one that cannot be registered
is tried alone, fails alone, and says why.  Where the archive is to blame, the job stays active
and keeps what it made: whoever looks next tries again.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe import clock
from snfpipe.config.project import Project
from snfpipe.db import store
from snfpipe.db.models import Attempt, File, Job, Production
from snfpipe.db.session import Database
from snfpipe.errors import BadName, Refused, ServiceUnavailable, told
from snfpipe.jobs import products
from snfpipe.jobs.active import of_project
from snfpipe.jobs.manifest import (
    Finished,
    manifest_path,
    manifest_text,
    sha256,
    write_manifest,
    write_manifests,
)
from snfpipe.jobs.products import Ended, LiveProduct
from snfpipe.killpoint import killpoint
from snfpipe.states import MAY_REGISTER, State, check_change
from snfpipe.storage import archive
from snfpipe.worker.spec import AttemptFolder

AT_ONCE = 40  # jobs in a transaction


def register(project: Project, database: Database, ended: Sequence[Ended]) -> list[Finished]:
    """Finish jobs whose attempts are over, and register what they made.

    Returns
    -------
    list of Finished
        Those finished by this call; jobs that name another attempt by now, or were finished by
        somebody else, are passed over.

    Raises
    ------
    ArchiveUnavailable
        The archive did not take the products of some; the others were finished.
    ServiceUnavailable
        The database does not answer; nothing is lost, try again.
    """
    finished: list[Finished] = []
    problem = ""
    for part in store.chunks(ended, AT_ONCE):
        try:
            finished += _register(project, database, part)
        except _CAUSES:
            for job in part:
                try:
                    finished += _register_alone(project, database, job)
                except OSError as error:
                    problem = f"the archive does not take the products of {job.spec.job}: {error}"
    if problem:
        raise ArchiveUnavailable(problem, finished)
    return finished


class ArchiveUnavailable(ServiceUnavailable):
    """The archive takes no files: `finished` are the jobs that were finished all the same."""

    def __init__(self, message: str, finished: list[Finished]) -> None:
        super().__init__(message, hint="fix that: they are kept, and registered afterwards")
        self.finished = finished


_CAUSES = (Refused, BadName, OSError, sa.exc.IntegrityError, sa.exc.DataError)
_OWN = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError)


def _register_alone(project: Project, database: Database, job: Ended) -> list[Finished]:
    """Register one job; where that fails for what it left, finish it as failed with the cause.

    Raises
    ------
    OSError
        It is the archive that fails.
    """
    try:
        return _register(project, database, [job])
    except _CAUSES as error:
        if isinstance(error, OSError) and not (
            isinstance(error, _OWN) and archive.is_there(project.site.archive)
        ):
            raise
        reason = f"its products could not be registered: {told(error)}"
        names = {product.name: reason for product in job.spec.products}
        outcome = replace(
            job.outcome, state=State.FAILED, reason=reason, accounted=False, made=(),
            missing=names, measures={},
        )  # fmt: skip
        return _register(project, database, [replace(job, outcome=outcome)])


def _register(project: Project, database: Database, ended: Sequence[Ended]) -> list[Finished]:
    """Register some jobs in one transaction."""
    place = project.site.archive
    with database.read() as session:
        ours = _ours(session, ended)
        ended = [job for job in ended if job.job_id in ours]
        standing = products.live_products(session, [job.job_id for job in ended])
    new = {job.spec.token: _new_files(job, standing.get(job.job_id, {})) for job in ended}
    killpoint("register:before-links")
    if any(new.values()) and not archive.is_there(place):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(place))
    for token, files in new.items():
        _place(database, place, token, files)
    killpoint("register:after-links")
    finished = database.transact(lambda session: _commit(session, ended))
    killpoint("register:after-commit")
    done = {job.job for job in finished}
    for job in ended:
        if job.spec.job not in done or job.outcome.state is State.LOST:
            continue  # a lost one may end late, and bring this with it
        with suppress(OSError):  # it is finished: what stays here now goes later
            if job.outcome.made:
                archive.drop_incoming(place, job.spec.token)
            else:
                clear(database, place, job.spec.token)
    return write_manifests(finished)


def restore_manifests(
    project: Project, database: Database, *, everything: bool = False
) -> list[str]:
    """Rewrite manifests that a kill left missing, from the database.

    Parameters
    ----------
    project : Project
        Whose jobs.
    database : Database
        What they say.
    everything : bool
        Look at the jobs of all productions.

    Returns
    -------
    list of str
        The jobs whose manifest was rewritten.
    """
    jobs = (
        sa.select(Job.id, Job.name, Job.folder, Production.version)
        .join(Production, Production.id == Job.production_id)
        .where(sa.true() if everything else of_project(project), Job.manifest.is_not(None))
    )
    texts = sa.select(Job.id, Job.name, Job.manifest)
    with database.read() as session:
        paths = {
            ident: manifest_path(project.site.jobs.parent / version / folder, name)
            for ident, name, folder, version in session.execute(jobs)
        }
        missing = [ident for ident, path in paths.items() if not path.exists()]
        rows = list(store.rows_in(session, texts, Job.id, missing))
    written = []
    for ident, name, text in rows:
        with suppress(OSError):
            write_manifest(paths[ident], text or "")
            written.append(name)
    return written


def clear(database: Database, place: Path, token: str) -> None:
    """Remove what an attempt left, and take back what it placed without a row."""
    paths = []
    for name in archive.incoming_names(place, token):
        with suppress(BadName):
            paths.append(archive.place_of(name))
    with database.read() as session:
        registered = _registered(session, paths)
    for path in paths:
        if path not in registered:
            archive.take_back(place, token, path)
    archive.drop_incoming(place, token)


def _new_files(job: Ended, standing: Mapping[str, LiveProduct]) -> dict[str, str]:
    """Return path -> checksum of the files of products that do not stand already."""
    return {
        archive.place_of(file.name): file.checksum
        for made in job.outcome.made
        if products.kept(made, standing) is None
        for file in made.files
    }


def _place(database: Database, place: Path, token: str, files: Mapping[str, str]) -> None:
    """Link files into the archive; what lies there unregistered is set aside first."""
    try:
        archive.place(place, token, files)
    except Refused:
        with database.read() as session:
            registered = _registered(session, files)
        for path in files:
            if path not in registered:
                archive.set_aside(place, token, path)
        archive.place(place, token, files)


def _registered(session: Session, paths: Iterable[str]) -> set[str]:
    """Return those paths in the archive that rows know."""
    query = sa.select(File.path).where(File.area == "archive")
    return set(store.scalars_in(session, query, File.path, paths))


def _ours(session: Session, ended: Sequence[Ended], *, lock: bool = False) -> dict[int, State]:
    """Return id -> state of the jobs that still name these attempts and are not finished."""
    tokens = {job.job_id: job.spec.token for job in ended}
    query = sa.select(Job.id, Job.token, Job.state).where(Job.id.in_(tokens)).order_by(Job.id)
    if lock:
        query = query.with_for_update()
    return {
        ident: State(state)
        for ident, token, state in session.execute(query)
        if token == tokens[ident] and state in MAY_REGISTER
    }


def _commit(session: Session, ended: Sequence[Ended]) -> list[Finished]:
    """Add the rows of jobs that are still ours, and finish them."""
    ours = _ours(session, ended, lock=True)
    ended = [job for job in ended if job.job_id in ours]
    for job in ended:
        check_change(job.spec.job, ours[job.job_id], job.outcome.state)
    products.add(session, ended)
    session.flush()
    standing = products.live_products(session, [job.job_id for job in ended])
    moment = clock.utc_now()
    finished = []
    jobs: list[dict[str, Any]] = []
    attempts: list[dict[str, Any]] = []
    for job in ended:
        spec, outcome = job.spec, job.outcome
        text = manifest_text(
            spec.production, spec.unit, outcome.state, outcome.reason, spec.selection,
            spec.identity, [it.plain() for it in standing.get(job.job_id, {}).values()],
            outcome.missing,
        )  # fmt: skip
        jobs.append(
            {
                "id": job.job_id,
                "state": outcome.state.value,
                "reason": outcome.reason,
                "manifest": text,
                "manifest_sha": sha256(text),
                "updated": moment,
            }
        )
        attempts.append(_attempt(job, moment))
        path = manifest_path(AttemptFolder.of(spec).job_folder, spec.job)
        finished.append(
            Finished(
                spec.job, spec.production, spec.unit, path, outcome.state, outcome.reason, text
            )
        )
    store.update_rows(session, Job, jobs, ["id"])
    store.update_rows(session, Attempt, attempts, ["token"])
    return finished


def _attempt(job: Ended, moment: datetime) -> dict[str, Any]:
    """Return the change of the attempt's row."""
    outcome = job.outcome
    return {
        "token": job.spec.token,
        "started_at": outcome.started_at,
        "ended_at": outcome.ended_at or moment,
        "host": outcome.host[:80],
        "exit_status": outcome.exit_status,
        "signal": outcome.signal,
        "limit_hit": outcome.limit_hit,
        "cpu_s": outcome.cpu_s,
        "memory_mb": outcome.memory_mb,
        "outcome": outcome.state.value,
        "reason": outcome.reason,
        "out_tail": job.logs.out,
        "err_tail": job.logs.err,
        "environment": dict(outcome.environment),
    }
