"""The trash: what deleted jobs had, until it is restored or purged.

A deleted job is a row of ``deleted_job`` that holds all its rows; its files lie in
``<archive>/.trash/<deletion>/`` under the paths they had, the folders of its attempts in
``<JOBDIR>/.trash/<deletion>/``.  That row is the journal, too; its state says what is under way:

- *deleting*: the rows are gone, the files are on their way into the trash;
- *deleted*: all is in the trash;
- *restoring*: the files are on their way back, the rows follow;
- *restored*: the rows are back, manifest and attempts follow, then this row goes;
- *purging*: the files are being removed for good, then this row goes.

Whatever is killed, :func:`finish` does the rest.  One process at a time moves files: a lock on
the trash's folder, which the system takes back from a process that is killed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe import clock
from snfpipe.config.project import Project
from snfpipe.db import store
from snfpipe.db.models import DeletedJob, Job, Process
from snfpipe.db.session import Database
from snfpipe.deletion import rows
from snfpipe.deletion.trash_files import (
    attempt_folders,
    bring_job_back,
    clear,
    locked,
    paths_of,
    put_job_away,
)
from snfpipe.errors import Refused, told
from snfpipe.grouping import grouped
from snfpipe.jobs.deleted_parents import generations
from snfpipe.killpoint import killpoint
from snfpipe.names import INDEX_DIGITS
from snfpipe.storage import archive
from snfpipe.storage.archive import Watch

DELETING, DELETED, RESTORING, RESTORED, PURGING = (
    "deleting", "deleted", "restoring", "restored", "purging",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trashed:
    """A job in the trash."""

    deletion: str
    job: str
    state: str
    by: str
    moment: datetime
    processes: int
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Restored:
    """A job that was restored, or why it was not; ``lost`` are files the trash did not have."""

    job: str
    refused: str = ""
    lost: tuple[str, ...] = ()


def trashed(session: Session) -> list[Trashed]:
    """Return what is in the trash, by name, the latest deletion of a job first."""
    query = sa.select(
        DeletedJob.deletion, DeletedJob.name, DeletedJob.state, DeletedJob.by, DeletedJob.moment,
        DeletedJob.processes, DeletedJob.files, DeletedJob.bytes,
    ).order_by(DeletedJob.name, DeletedJob.moment.desc(), DeletedJob.deletion.desc())  # fmt: skip
    return [Trashed(*row) for row in session.execute(query)]


def standing(session: Session, names: Collection[str]) -> set[str]:
    """Return those names that jobs have now."""
    return set(store.scalars_in(session, sa.select(Job.name), Job.name, names))


# --- moving --------------------------------------------------------------------------------


def finish(project: Project, database: Database, watch: Watch = lambda: None) -> list[str]:
    """Do what killed deletions, restores and purges have left undone.

    Returns
    -------
    list of str
        The jobs for which something was done.
    """
    with database.read() as session:
        if all(it.state == DELETED for it in trashed(session)):
            return []
    with locked(project):
        with database.read() as session:
            open_ones = [it for it in trashed(session) if it.state != DELETED]
        for it in open_ones:
            if it.state == PURGING:
                _purge(project, database, it)
            elif it.state != DELETING:
                _bring_back(project, database, it, watch)
        leaving = grouped((it.deletion, it.job) for it in open_ones if it.state == DELETING)
        for deletion, names in leaving.items():
            _put_away(project, database, deletion, names, watch)
        return [it.job for it in open_ones]


def move_to_trash(
    project: Project,
    database: Database,
    deletion: str,
    names: Collection[str],
    watch: Watch = lambda: None,
) -> list[str]:
    """Move the files of deleted jobs into the trash, and their manifests and attempts with them.

    Returns
    -------
    list of str
        Files that were not in the archive.
    """
    with locked(project):
        return _put_away(project, database, deletion, names, watch)


def _put_away(
    project: Project,
    database: Database,
    deletion: str,
    names: Collection[str],
    watch: Watch = lambda: None,
) -> list[str]:
    """Do what :func:`move_to_trash` says, under the lock."""
    contents = _contents(database, deletion, names, DELETING)
    aside = project.site.archive / archive.TRASH / deletion
    lost = archive.move_to_trash(project.site.archive, aside, paths_of(contents), watch)
    killpoint("trash:files-away")
    with database.read() as session:
        made_since = standing(session, [content["job"][0]["name"] for content in contents])
    for content in contents:
        put_job_away(project, deletion, content, made_since)
        killpoint("trash:job-away")
    _change(database, deletion, names, DELETING, DELETED)
    return lost


def restore(
    project: Project, database: Database, names: Iterable[str], watch: Watch = lambda: None
) -> list[Restored]:
    """Bring jobs back from the trash, each whole or not at all.

    Parameters
    ----------
    project, database : Project, Database
        Whose jobs.
    names : iterable of str
        Jobs in the trash; of one that was deleted more than once, the last comes back.
    watch : callable, optional
        Called after each file.

    Returns
    -------
    list of Restored
        One for each job.
    """
    with database.read() as session:
        found = reversed(trashed(session))
        last = {it.job: it for it in found if it.state in (DELETED, RESTORING)}
    with locked(project):
        return [_restore(project, database, last[name], watch) for name in names]


def would_restore(database: Database, names: Iterable[str]) -> list[Restored]:
    """Return what :func:`restore` would, as far as it can be told; change nothing."""
    with database.read() as session:
        last = {it.job: it for it in reversed(trashed(session))}
        return [Restored(it, why_not(session, _content(session, last[it]))) for it in names]


def why_not(session: Session, content: rows.Content) -> str:
    """Say why a job cannot be restored, nothing where it can."""
    name = content["job"][0]["name"]
    if session.scalar(sa.select(Job.id).where(Job.name == name)) is not None:
        return f"a newer {name} stands; delete that first, or leave this one in the trash"
    made = [row["id_process"] for row in content.get("process", ()) if row["state"] == "live"]
    ids = chain(*generations(session, [ident[:-INDEX_DIGITS] for ident in made]).values())
    live = sa.select(Process.id_process).where(Process.state == "live").limit(1)
    found = next(store.scalars_in(session, live, Process.id_process, ids), None)
    return f"a newer generation stands: process {found}" if found else ""


def _restore(project: Project, database: Database, it: Trashed, watch: Watch) -> Restored:
    """Bring one job back."""

    def begin(session: Session) -> str:
        content = _content(session, it, lock=True)
        refused = why_not(session, content) if content else "it is not in the trash any more"
        if not refused:
            _set(session, it.deletion, [it.job], DELETED, RESTORING)
        return refused

    refused = database.transact(begin)
    killpoint("restore:begun")
    if refused:
        return Restored(it.job, refused)
    return _bring_back(project, database, it, watch)


def _bring_back(project: Project, database: Database, it: Trashed, watch: Watch) -> Restored:
    """Do what is left of a restore that has begun."""
    with database.read() as session:
        content = _content(session, it)
    if not content:
        return Restored(it.job)  # somebody else has just finished it
    place = project.site.archive
    aside = place / archive.TRASH / it.deletion
    lost: list[str] = []
    if it.state != RESTORED:
        paths = paths_of([content])
        try:
            lost = archive.restore(place, aside, paths, watch)
            killpoint("restore:files-back")
            refused = database.transact(lambda session: _rows_back(session, it, content))
        except (Refused, sa.exc.IntegrityError) as error:
            refused = told(error)
        if refused:
            _change(database, it.deletion, [it.job], RESTORING, DELETING)
            _put_away(project, database, it.deletion, [it.job])
            return Restored(it.job, refused)
    killpoint("restore:rows-back")
    bring_job_back(project, it.deletion, content)
    killpoint("restore:job-back")
    _forget(database, it, RESTORED)
    clear(project, it.deletion, [content])
    return Restored(it.job, lost=tuple(lost))


def _rows_back(session: Session, it: Trashed, content: rows.Content) -> str:
    """Put a job's rows back, once; return why that cannot be."""
    if not _set(session, it.deletion, [it.job], RESTORING, RESTORED):
        return ""  # somebody else was first
    refused = why_not(session, content)
    if refused:
        _set(session, it.deletion, [it.job], RESTORED, RESTORING)
        return refused
    rows.insert(session, content, it.moment)
    session.flush()
    killpoint("restore:before-commit")
    return ""


# --- purging -------------------------------------------------------------------------------


def due(session: Session, days: float) -> list[Trashed]:
    """Return the deleted jobs that have been in the trash for longer than `days`."""
    limit = clock.utc_now() - timedelta(days=days)
    return [it for it in trashed(session) if it.state == DELETED and it.moment <= limit]


def purge(
    project: Project, database: Database, jobs: Iterable[Trashed], watch: Watch = lambda: None
) -> None:
    """Remove deleted jobs from the trash; there is no way back."""
    with locked(project):
        for it in jobs:
            if _change(database, it.deletion, [it.job], DELETED, PURGING):
                killpoint("purge:begun")
                _purge(project, database, it, watch)


def _purge(project: Project, database: Database, it: Trashed, watch: Watch = lambda: None) -> None:
    """Remove a job's files from the trash, then its row."""
    with database.read() as session:
        content = _content(session, it)
    if not content:
        return
    aside = project.site.archive / archive.TRASH / it.deletion
    for path in paths_of([content]):
        (aside / archive.check_path(path)).unlink(missing_ok=True)
        killpoint("purge:file")
        watch()
    for folder in attempt_folders(project, it.deletion, content).values():
        shutil.rmtree(folder, ignore_errors=True)
    clear(project, it.deletion, [content])
    _forget(database, it, PURGING)


# --- the journal ---------------------------------------------------------------------------


def _contents(
    database: Database, deletion: str, names: Collection[str], state: str
) -> list[rows.Content]:
    """Return the rows of those of some deleted jobs that are in a state."""
    query = sa.select(DeletedJob.content).where(
        DeletedJob.deletion == deletion, DeletedJob.state == state
    )
    with database.read() as session:
        found = store.scalars_in(session, query, DeletedJob.name, names)
        return [json.loads(text) for text in found]


def _content(session: Session, it: Trashed, *, lock: bool = False) -> rows.Content:
    """Return the rows of a deleted job, nothing where it is not in the trash any more."""
    query = sa.select(DeletedJob.content).where(
        DeletedJob.deletion == it.deletion, DeletedJob.name == it.job
    )
    text = session.scalar(query.with_for_update() if lock else query)
    return dict(json.loads(text or "{}"))


def _set(session: Session, deletion: str, names: Collection[str], old: str, new: str) -> int:
    """Change the state of deleted jobs that are in `old`; return how many were."""
    changes = (
        sa.update(DeletedJob)
        .where(DeletedJob.deletion == deletion, DeletedJob.state == old)
        .values(state=new)
        .returning(DeletedJob.name)
    )
    return sum(
        len(session.execute(changes.where(DeletedJob.name.in_(part))).all())
        for part in store.chunks(sorted(names))
    )


def _change(database: Database, deletion: str, names: Collection[str], old: str, new: str) -> int:
    """Do what :func:`_set` does in a transaction."""
    return database.transact(lambda session: _set(session, deletion, names, old, new))


def _forget(database: Database, it: Trashed, state: str) -> None:
    """Delete the row of a job that is in the trash no longer."""
    database.transact(
        lambda session: session.execute(
            sa.delete(DeletedJob).where(
                DeletedJob.deletion == it.deletion,
                DeletedJob.name == it.job,
                DeletedJob.state == state,
            )
        )
    )
