"""What the database says of doubtful files: their rows, their jobs, and who else knows of them."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from snfpipe.db import store
from snfpipe.db.models import Attempt, DeletedJob, Expected, File, Job, Process, ProcessParent
from snfpipe.deletion import trash
from snfpipe.deletion.trash_files import paths_of
from snfpipe.errors import BadName
from snfpipe.grouping import grouped
from snfpipe.names import INDEX_DIGITS
from snfpipe.states import ACTIVE, MAY_REGISTER
from snfpipe.storage.archive import main_of


class MakerRow(NamedTuple):
    """A job, as far as repairs are concerned with it."""

    id: int
    name: str
    state: str
    inputs_digest: str | None
    reason: str

    @property
    def active(self) -> bool:
        """Whether an attempt is on its way."""
        return self.state in ACTIVE


class FileRow(NamedTuple):
    """A file's row, the state of its product, and the job that made it."""

    id: int
    area: str
    name: str
    path: str
    size: int
    checksum: str
    id_process: str
    role: str
    night: str
    state: str
    job_id: int | None

    @property
    def columns(self) -> dict[str, Any]:
        """The row's own columns, but the key."""
        names = ("area", "name", "path", "size", "checksum", "id_process", "role", "night")
        return {name: getattr(self, name) for name in names}


class Vouched(NamedTuple):
    """A file as the manifest of a finished job has it."""

    id_process: str
    role: str
    checksum: str
    size: int


class Generation(NamedTuple):
    """A live product, and the main file of it."""

    id_process: str
    job_id: int | None


_FILE = (
    File.id, File.area, File.name, File.path, File.size, File.checksum, File.id_process, File.role,
    File.night, Process.state, Process.job_id,
)  # fmt: skip


def count(session: Session) -> int:
    """Return how many files the archive should have."""
    query = sa.select(sa.func.count()).select_from(File).where(File.area == "archive")
    return int(session.scalar(query) or 0)


def by_path(session: Session, paths: Iterable[str]) -> dict[str, FileRow]:
    """Return path -> row of those files of the archive that have one."""
    return {row.path: row for row in _files(session, File.path, paths) if row.area == "archive"}


def by_name(session: Session, names: Iterable[str]) -> dict[str, list[FileRow]]:
    """Return name -> rows, of lost files too."""
    found = _files(session, File.name, names)
    return grouped((row.name, row) for row in found if row.area != "raw")


def _files(session: Session, column: Any, values: Iterable[str]) -> Iterator[FileRow]:
    """Return the rows where a column has one of some values."""
    query = sa.select(*_FILE).join(Process, Process.id_process == File.id_process)
    found = store.rows_in(session, query.order_by(File.id), column, filter(storable, values))
    return (FileRow(*row) for row in found)


def storable(text: str) -> bool:
    """Tell whether a database can hold a name at all: one that is no UTF-8 it cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def twice_named(session: Session) -> list[str]:
    """Return the names that several rows have."""
    query = sa.select(File.name).group_by(File.name).having(sa.func.count() > 1)
    return list(session.scalars(query))


def live_twice(session: Session) -> list[list[Generation]]:
    """Return the live generations of products that have several, the oldest first.

    Productions of one version share names of products but for the index: generations are those
    of one job.
    """
    ident = Process.id_process
    base = sa.func.substr(ident, 1, sa.func.length(ident) - INDEX_DIGITS)
    other = aliased(Process)
    # of several generations one at least has an index, and few products have
    query = (
        sa.select(base, Process.job_id)
        .where(
            Process.state == "live",
            Process.idx > 0,
            sa.exists().where(
                other.job_id.is_not_distinct_from(Process.job_id),
                other.id_process.between(base.concat("000"), base.concat("999")),
                sa.func.length(other.id_process) == sa.func.length(ident),
                other.id_process != ident,
                other.state == "live",
            ),
        )
        .distinct()
        .order_by(base)
    )
    found = []
    for same, job_id in session.execute(query):
        several = (
            sa.select(ident, Process.job_id)
            .where(ident.between(f"{same}000", f"{same}999"), Process.state == "live")
            .where(Process.job_id.is_not_distinct_from(job_id))
            .order_by(ident)
        )
        found.append(
            [Generation(*row) for row in session.execute(several) if row[0][:-INDEX_DIGITS] == same]
        )
    return found


def jobs(session: Session, ids: Iterable[int]) -> dict[int, MakerRow]:
    """Return id -> job."""
    query = sa.select(Job.id, Job.name, Job.state, Job.inputs_digest, Job.reason)
    return {row[0]: MakerRow(*row) for row in store.rows_in(session, query, Job.id, ids)}


def readers(session: Session, id_processes: Iterable[str]) -> dict[str, list[int]]:
    """Return product -> ids of the jobs whose live products were made from it."""
    query = (
        sa.select(ProcessParent.parent, Process.job_id)
        .join(Process, Process.id_process == ProcessParent.child)
        .where(Process.state == "live")
        .distinct()
        .order_by(ProcessParent.parent, Process.job_id)
    )
    found = store.rows_in(session, query, ProcessParent.parent, id_processes)
    return grouped((parent, job_id) for parent, job_id in found if job_id is not None)


def vouched(
    session: Session, job_ids: Iterable[int], names: Collection[str], id_processes: Collection[str]
) -> dict[str, Vouched]:
    """Return name -> file, of those files that the manifests of some jobs have.

    Asked for by name, or by product; manifests hold many more.
    """
    query = sa.select(Job.manifest).where(Job.manifest.is_not(None))
    return {
        file["name"]: Vouched(product["id_process"], role, file["sha256"], file["size"])
        for text in store.scalars_in(session, query, Job.id, job_ids, 100)
        for product in json.loads(text or "{}").get("products", ())
        for role, file in product["files"].items()
        if file["name"] in names or product["id_process"] in id_processes
    }


def promised(session: Session, names: Iterable[str]) -> dict[str, int]:
    """Return name -> id of the job that declared the product a file of that name belongs to."""
    ids: dict[str, list[str]] = {}
    for name in names:
        with suppress(BadName):
            ids.setdefault(main_of(name).id_process, []).append(name)
    found: dict[str, int] = {}
    query = sa.select(Expected.id_process, Expected.job_id)
    for ident, job_id in store.rows_in(session, query, Expected.id_process, ids):
        found |= dict.fromkeys(ids[ident], job_id)
    return found


def processes(session: Session, id_processes: Iterable[str]) -> dict[str, str]:
    """Return id -> state of those products that have a row."""
    query = sa.select(Process.id_process, Process.state)
    return dict(store.rows_in(session, query, Process.id_process, id_processes))


def open_tokens(session: Session, tokens: Collection[str]) -> set[str]:
    """Return the attempts that may still register: of active jobs, and lost ones come late."""
    query = (
        sa.select(Attempt.token)
        .join(Job, Job.id == Attempt.job_id)
        .where(Job.token == Attempt.token, Job.state.in_(MAY_REGISTER))
    )
    return set(store.scalars_in(session, query, Attempt.token, filter(storable, tokens)))


def in_transit(session: Session) -> set[str]:
    """Return the files that a deletion is moving, or that it was killed while it moved."""
    query = sa.select(DeletedJob.content).where(DeletedJob.state != trash.DELETED)
    return {*paths_of(json.loads(text) for text in session.scalars(query))}


def names_of(paths: Iterable[str]) -> Sequence[str]:
    """Return the names of files."""
    return [os.path.basename(path) for path in paths]
