"""Taking in what is new on disk: scan, read, and one transaction a night."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe.config.project import Project
from snfpipe.db import store
from snfpipe.db.models import RawTable
from snfpipe.db.quick import quick_look
from snfpipe.db.session import Database
from snfpipe.errors import BadName, NotFound
from snfpipe.ingest.fill import fill_night
from snfpipe.ingest.frames import BadFits, frame_name, read_frame
from snfpipe.ingest.kept import keep_findings, keep_refused, keep_table
from snfpipe.ingest.logs import Log, read_obslog, read_targets
from snfpipe.ingest.problems import Problem
from snfpipe.ingest.report import NightFiles, NightReport, Taken
from snfpipe.ingest.scan import LOG, TARGETS, Found, changed_files, files_below
from snfpipe.ingest.targets import correct_targets
from snfpipe.names import Night, RawName
from snfpipe.storage.archive import sha256_of

_COUNTED = 1000  #: files below a strange folder, at most


class _Undone(Exception):
    """Ends a transaction whose changes are not wanted; holds what it found."""

    def __init__(self, report: NightReport) -> None:
        super().__init__()
        self.report = report


def refresh(
    project: Project, database: Database, nights: Sequence[Night] = (), *, dry_run: bool = False
) -> Iterator[NightReport]:
    """Take in what is new or changed on disk, night by night.

    Parameters
    ----------
    project : Project
        Its site names the raw folder.
    database : Database
        Where the rows go.
    nights : sequence of Night
        Which nights; all that are on disk where none is given.
    dry_run : bool
        Only report.

    Yields
    ------
    NightReport
        Of each night that had anything new, once it is committed; first of the folder around them,
        where there is something to say of it.

    Raises
    ------
    NotFound
        A night that has no folder.
    """
    raw = project.site.raw
    for night in nights:
        if not (raw / night.folder).is_dir():
            raise NotFound(
                f"there is no folder {raw / night.folder} of night {night}",
                hint="check the night, and `raw` of the site file",
            )
    with quick_look(project.site.database_url, project.root) as ask:
        changed = changed_files(ask, raw, nights or None)
    targets = read_targets(raw / TARGETS, TARGETS) if changed else Log()
    around = changed.pop(None, [])
    run = partial(_undone, database) if dry_run else database.transact
    if around or (changed and not targets.found):
        report = run(partial(_fill_around, raw=raw, found=around, targets=targets))
        if report.unreadable or report.gone or report.problems:
            yield report
    nights_found = [(night, found) for night, found in changed.items() if night is not None]
    for night, found in sorted(nights_found):
        yield run(partial(fill_night, files=_read(raw, night, found, targets)))


def _undone(database: Database, fill: Callable[[Session], NightReport]) -> NightReport:
    """Return what a transaction would report, and change nothing."""

    def undo(session: Session) -> NightReport:
        raise _Undone(fill(session))

    try:
        return database.transact(undo)
    except _Undone as undone:
        return undone.report


def _fill_around(session: Session, raw: Path, found: Sequence[Found], targets: Log) -> NightReport:
    """Note what lies in no night's folder, and let targets follow their list."""
    store.alone(session, "ingest targets")
    report = NightReport("", gone=[one.path for one in found if one.gone])
    table = next((one for one in found if one.path == TARGETS and not one.gone), None)
    for one in found:
        if not one.gone and one is not table:
            report.unreadable[one.path] = _no_frame(raw, one, "no night's folder YY/DDD")
    keep_refused(
        session, "", [(one, report.unreadable[one.path]) for one in found
                      if one.path in report.unreadable], report.gone,
    )  # fmt: skip
    if table is not None:
        before = session.scalar(sa.select(RawTable.rows).where(RawTable.path == TARGETS))
        correct_targets(session, {row["name"]: row for row in before or ()}, targets.rows)
        keep_table(session, "", table, [dict(row) for row in targets.rows.values()])
    report.problems = [
        Problem("", "wrong" if targets.found else "missing", place, what,
                "correct it, then `snf ingest` and `doit`")
        for place, what in targets.problems
    ]  # fmt: skip
    keep_findings(session, "", report.problems)
    return report


def _read(raw: Path, night: Night, found: Sequence[Found], targets: Log) -> NightFiles:
    """Read the new frames and the log of a night."""
    log_path = f"{night.folder}/{LOG}"
    log = read_obslog(raw / log_path, log_path)
    files = NightFiles(night, log=log, targets=targets.rows)
    for entry in found:
        if entry.gone:
            files.gone.append(entry.path)
        elif entry.path == log_path:
            files.table = entry
        else:
            _read_frame(raw, night, entry, files)
    return files


def _read_frame(raw: Path, night: Night, entry: Found, files: NightFiles) -> None:
    """Read one frame, or note why it cannot be taken."""
    path = raw / entry.path
    try:
        name = frame_name(path.name)
        if name.exposure.night != night:
            raise BadName(f"its name says night {name.exposure.night}")
        copy = _better_copy(path, name)
        if copy:
            raise BadFits(f"the same frame as {copy}, which is taken")
        files.taken.append(Taken(entry, read_frame(path, name), sha256_of(path)))
    except BadFits as error:
        files.bad.append((entry, error.message))
    except BadName as error:
        files.bad.append((entry, _no_frame(raw, entry, error.message)))
    except OSError as error:
        files.bad.append((entry, str(error.strerror or error)))


def _better_copy(path: Path, name: RawName) -> str:
    """Return another file of the same frame that comes first and can be read, if there is one."""
    for other in sorted(path.parent.glob(f"{str(name).removesuffix('.fits')}.*")):
        if other.name == path.name:
            return ""
        try:
            if frame_name(other.name) == name:
                read_frame(other, name)
                return other.name
        except (BadName, BadFits, OSError):
            continue
    return ""


def _no_frame(raw: Path, entry: Found, why: str) -> str:
    """Say why something in the raw folder is no frame."""
    path = raw / entry.path
    if not path.is_dir():
        return why
    count = sum(1 for _ in islice(files_below(path), _COUNTED))
    more = "over " if count == _COUNTED else ""
    return (
        f"a folder with {more}{count} file{'s' if count > 1 else ''}, where no frame is looked for"
    )
