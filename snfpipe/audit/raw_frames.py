"""Raw frames: what was not taken, what frames and logs disagree on, what is gone or changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe.audit.archived import ABSENT
from snfpipe.audit.findings import Finding, Kind
from snfpipe.config.project import Project
from snfpipe.db import store
from snfpipe.db.models import File, Process
from snfpipe.ingest.standing import standing
from snfpipe.storage import archive
from snfpipe.storage.archive import Watch

AUDIT = "products"


def audit_raw_frames(
    session: Session,
    project: Project,
    nights: Sequence[str],
    *,
    verify: bool = False,
    watch: Watch = lambda: None,
) -> Iterator[Finding]:
    """Yield what is the matter with the raw frames of some nights, and around their folders.

    Parameters
    ----------
    session : Session
        A reading session.
    project : Project
        Its site names the raw folder.
    nights : sequence of str
        Which nights.
    verify : bool
        Read every frame, and compare its checksum.
    watch : callable, optional
        Called for every file that is looked at.
    """
    for it in standing(session, project.site.raw, ["", *nights]):
        name = PurePosixPath(it.object).name
        yield Finding(AUDIT, Kind(it.kind), name, it.place, it.what, it.next_step)
    for part in store.chunks(nights):
        yield from _against_rows(session, project, part, verify, watch)


def _against_rows(
    session: Session, project: Project, nights: Sequence[str], verify: bool, watch: Watch
) -> Iterator[Finding]:
    """Yield the raw frames that are gone, or whose bytes are not those that were ingested."""
    query = (
        sa.select(File.path, File.size, File.checksum)
        .join(Process, Process.id_process == File.id_process)
        .where(File.area == "raw", File.night.in_(nights), Process.state == "live")
        .order_by(File.path)
    )
    for path, size, checksum in session.execute(query):
        if verify:
            watch()
        what = _changed(project.site.raw / path, size, checksum, verify=verify)
        if what:
            kind = Kind.MISSING if what.startswith(ABSENT) else Kind.WRONG
            yield Finding(
                AUDIT, kind, PurePosixPath(path).name, path,
                f"raw frame in the database; its file is {what}",
                "copy it anew; if it should be as it is, touch it, then `snf ingest` and `doit`",
            )  # fmt: skip


def _changed(path: Path, size: int, checksum: str, *, verify: bool) -> str:
    """Return how a frame differs from what was ingested; links are followed, as ingest does."""
    try:
        found = path.stat().st_size
        if found != size:
            return f"of {found} bytes, ingested were {size}"
        if verify and archive.sha256_of(path) != checksum:
            return f"of other bytes than ingested: the checksum is not {checksum[:12]}..."
    except FileNotFoundError as error:
        return f"{ABSENT}: {error.strerror}"
    except OSError as error:
        return f"not readable: {error.strerror}"
    return ""
