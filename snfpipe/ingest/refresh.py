"""Taking in what is new on disk: scan, read, and one transaction a night."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from snfpipe.config.project import Project
from snfpipe.db.quick import quick_look
from snfpipe.db.session import Database
from snfpipe.errors import BadName, NotFound
from snfpipe.ingest.fill import NightFiles, NightReport, Taken, fill_night, would_fill
from snfpipe.ingest.frames import BadFits, read_frame
from snfpipe.ingest.logs import Log, read_obslog, read_targets
from snfpipe.ingest.scan import Found, changed_files, nights_on_disk
from snfpipe.names import Night, RawName
from snfpipe.storage.archive import sha256_of


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
        Of each night that had anything new, once it is committed.

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
    wanted = list(nights) or nights_on_disk(raw)
    with quick_look(project.site.database_url, project.root) as ask:
        changed = changed_files(ask, raw, wanted)
    targets = read_targets(raw / "targets.csv") if changed else Log()
    for night, found in sorted(changed.items()):
        files = _read(raw, night, found, targets)
        if dry_run:
            with database.read() as session:
                yield would_fill(session, files)
        else:
            yield database.transact(partial(fill_night, files=files))


def _read(raw: Path, night: Night, found: Sequence[Found], targets: Log) -> NightFiles:
    """Read the new frames and the log of a night."""
    log = read_obslog(raw / night.folder / "obslog.csv")
    files = NightFiles(
        night, log=log.rows, targets=targets.rows, warnings=[*targets.warnings, *log.warnings]
    )
    for entry in found:
        if entry.gone:
            files.gone.append(entry.path)
            continue
        path = raw / entry.path
        try:
            name = RawName.parse(path.name)
            if name.exposure.night != night:
                raise BadName(f"its name says night {name.exposure.night}")
            files.taken.append(Taken(entry, read_frame(path, name), sha256_of(path)))
        except (BadName, BadFits) as error:
            files.bad.append((entry, error.message))
        except OSError as error:
            files.bad.append((entry, str(error.strerror or error)))
    exptimes: dict[str, set[float | None]] = {}
    for taken in files.taken:
        name = taken.frame.name
        where = f"{name.exposure} of class {name.fclass:02}"
        exptimes.setdefault(where, set()).add(taken.frame.number("EXPTIME"))
        files.warnings += [f"{name}: {text}" for text in taken.frame.warnings]
    files.warnings += [
        f"{where}: EXPTIME differs between channels"
        for where, values in exptimes.items()
        if len(values) > 1
    ]
    return files
