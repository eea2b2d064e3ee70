"""The archive's folders against the rows: files that are missing, strange, or not as registered."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from snfpipe.audit.findings import Finding, Kind
from snfpipe.config.project import Project
from snfpipe.db import store
from snfpipe.db.models import Expected, File, Job, Process
from snfpipe.db.session import Database
from snfpipe.errors import BadName, told
from snfpipe.names import Night, VersionName
from snfpipe.states import ACTIVE
from snfpipe.storage import archive
from snfpipe.storage.archive import Watch

AUDIT = "products"

_NIGHTS_AT_ONCE = 100

#: What :func:`problem` says first of a file that is not there.
ABSENT = "not there"


class _Row(NamedTuple):
    """A file's row."""

    path: str
    size: int
    checksum: str
    id_process: str
    state: str


def audit_archive(
    project: Project,
    database: Database,
    nights: Iterable[str],
    *,
    verify: bool = False,
    watch: Watch = lambda: None,
) -> tuple[set[str], list[Finding]]:
    """Hold the archive's folders of some nights against the rows.

    The production may go on meanwhile: what looks wrong is looked at again, with fresh rows.

    Parameters
    ----------
    project, database : Project, Database
        What is produced, and its rows.
    nights : iterable of str
        Whose folders, of the configured version.
    verify : bool
        Read every file: checksum, structure of FITS files.
    watch : callable, optional
        Called for every file that is looked at.

    Returns
    -------
    tuple
        The process ids whose files are not all right, and the findings.
    """
    version = VersionName(project.version.label, project.number).dashed
    place = project.site.archive
    lost: set[str] = set()
    findings = []
    for part in store.chunks(nights, _NIGHTS_AT_ONCE):
        folders = [f"Prod/{version}/{Night.parse(night).folder}" for night in part]
        rows = _rows(database, part, folders)
        sizes = dict(archive.sizes(place, folders))
        doubtful = [path for path, row in rows.items() if sizes.get(path) != row.size]
        strange = sizes.keys() - rows.keys()
        if doubtful or strange:
            rows = _rows(database, part, folders)
            strange -= rows.keys()
        for path in rows if verify else doubtful:
            watch()
            if path not in rows:
                continue
            row = rows[path]
            what = problem(place / path, row.size, row.checksum, verify=verify)
            if what:
                lost.add(row.id_process)
                state = "" if row.state == "live" else f"{row.state}, "
                findings.append(
                    Finding(AUDIT, kind_of(what), os.path.basename(path), path,
                            f"{state}in the database; its file is {what}",
                            "`srb_cleanup` plans the repair")
                )  # fmt: skip
        findings += [
            Finding(AUDIT, Kind.UNEXPECTED, os.path.basename(path), path,
                    "in the archive, and it is not in the database", "`srb_cleanup` sets it aside")
            for path in sorted(_not_in_hand(database, strange))
        ]  # fmt: skip
    return lost, findings


def _rows(database: Database, nights: Sequence[str], folders: Sequence[str]) -> dict[str, _Row]:
    """Return path -> row of the files that should be in some folders."""
    query = (
        sa.select(File.path, File.size, File.checksum, File.id_process, Process.state)
        .join(Process, Process.id_process == File.id_process)
        .where(File.area == "archive", File.night.in_(nights))
        .order_by(File.path)
    )
    wanted = set(folders)
    with database.read() as session:
        rows = (_Row(*row) for row in session.execute(query))
        return {row.path: row for row in rows if os.path.dirname(row.path) in wanted}


def _not_in_hand(database: Database, paths: Collection[str]) -> set[str]:
    """Return those of `paths` that no attempt on its way may be registering just now."""
    ids = {}
    for path in paths:
        with suppress(BadName):
            ids[archive.main_of(os.path.basename(path)).id_process] = path
    expected = sa.select(Expected.id_process).join(Job, Job.id == Expected.job_id)
    with database.read() as session:
        query = expected.where(Job.state.in_(ACTIVE))
        on_their_way = store.scalars_in(session, query, Expected.id_process, ids)
        return {*paths} - {ids[ident] for ident in on_their_way}


# --- one file ------------------------------------------------------------------------------


def problem(path: Path, size: int, checksum: str, *, verify: bool) -> str:
    """Return what is wrong with a registered file, nothing if it is as it was registered.

    Parameters
    ----------
    path : Path
        Where it should be.
    size : int
        Its size in bytes, as registered.
    checksum : str
        Its SHA-256, as registered.
    verify : bool
        Read it whole: compare the checksum, check the structure of a FITS file.
    """
    try:
        found = os.lstat(path)
    except OSError as error:
        return f"{ABSENT}: {error.strerror}"
    if found.st_size != size:
        return f"of {found.st_size} bytes, registered were {size}"
    if not verify:
        return ""
    try:
        if archive.sha256_of(path) != checksum:
            return f"of other bytes than registered: the checksum is not {checksum[:12]}..."
    except OSError as error:
        return f"not readable: {error.strerror}"
    return fits_trouble(path) if path.suffix == ".fits" else ""


def kind_of(problem: str) -> Kind:
    """Return the kind of what :func:`problem` says."""
    return Kind.MISSING if problem.startswith(ABSENT) else Kind.WRONG


def fits_trouble(path: Path) -> str:
    """Return what is wrong with the structure of a FITS file, nothing if it can be read whole.

    Headers must follow the standard, data have the length they announce, and checksums that
    the file carries must agree.
    """
    import warnings

    from astropy.io import fits

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with fits.open(path, checksum=True) as units:
                for unit in units:
                    unit.verify("exception")
                    _ = unit.data
    except Exception as error:  # astropy has many kinds for a file that is none
        return f"no good FITS file: {told(error)}"
    return ""
