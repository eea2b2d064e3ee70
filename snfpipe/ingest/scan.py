"""What lies in the raw folder, beside what the database has of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from snfpipe.config.project import Project
from snfpipe.db.quick import REVISION, Ask, quick_look, revision
from snfpipe.errors import BadName, printable
from snfpipe.names import Night

#: The tables that are read: a night's log, and in the raw folder itself the list of targets.
LOG, TARGETS = "obslog.csv", "targets.csv"

#: What may lie beside frames and is no frame; everything else is told.
_COMPANIONS = ("skyprobe.csv", "truth.json", "*.vid", ".simulated.json")

_FILES = "SELECT path, size, mtime_ns FROM file WHERE area = 'raw'"
_BAD = "SELECT path, size, mtime_ns FROM bad_frame"
_TABLES = "SELECT path, size, mtime_ns FROM raw_table"
_LONGEST = 400  # characters of a path in the database
_PART = {2: re.compile("[0-9]{2}"), 3: re.compile("[0-9]{3}")}


@dataclass(frozen=True, slots=True)
class Found:
    """Something in the raw folder, as it shows itself.

    ``path`` is relative to the raw folder, with what cannot be printed escaped: such a file is no
    frame and is never opened.  ``gone`` is one that could not be taken and has been removed.
    """

    path: str
    size: int
    mtime_ns: int
    gone: bool = False

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class RawFolder:
    """The nights that have a folder ``YY/DDD``, and what else lies beside these folders."""

    nights: tuple[Night, ...]
    strays: tuple[Found, ...]


def look_into(raw: Path) -> RawFolder:
    """Return the nights on disk, and what belongs to none."""
    nights: list[Night] = []
    strays: list[Found] = []
    for entry in _entries(raw):
        if not (_is_folder(entry) and _PART[2].fullmatch(entry.name)):
            strays += _found("", entry)
            continue
        for below in _entries(raw / entry.name):
            night = _night(f"{entry.name}_{below.name}") if _is_folder(below) else None
            if night is None or not _PART[3].fullmatch(below.name):
                strays += _found(f"{entry.name}/", below)
            else:
                nights.append(night)
    return RawFolder(tuple(sorted(nights)), tuple(strays))


def anything_new(project: Project) -> bool:
    """Tell whether :func:`snfpipe.ingest.refresh.refresh` has anything to do; reads no file.

    A database that is missing, does not answer or has another schema counts as such: whoever
    opens it says what is wrong.
    """
    raw = project.site.raw
    try:
        with quick_look(project.site.database_url, project.root) as ask:
            return revision(ask) != REVISION or bool(changed_files(ask, raw))
    except Exception:  # those of two drivers, which share no base
        return True


def changed_files(
    ask: Ask, raw: Path, nights: Iterable[Night] | None = None
) -> dict[Night | None, list[Found]]:
    """Return what the database does not know as it is, by night; None: what belongs to none.

    Without `nights`, the whole raw folder is looked at.
    """
    files = {path: (size, mtime_ns) for path, size, mtime_ns in ask(_FILES)}
    bad = {path: (size, mtime_ns) for path, size, mtime_ns in ask(_BAD)}
    known = {**files, **{path: (size, ns) for path, size, ns in ask(_TABLES)}, **bad}
    whole = nights is None
    folder = look_into(raw) if whole else RawFolder(tuple(nights or ()), ())
    here: dict[Night | None, list[Found]] = {None: list(folder.strays)}
    here |= {night: list(_of_night(raw, night)) for night in folder.nights}
    changed: dict[Night | None, list[Found]] = {
        night: [one for one in found if known.get(one.path) != (one.size, one.mtime_ns)]
        for night, found in here.items()
    }
    there = {one.path for found in here.values() for one in found}
    for path in sorted(bad.keys() - there - files.keys()):
        night = _night_of(path)
        if whole or night in here:
            changed.setdefault(night, []).append(Found(path, 0, 0, gone=True))
    return {
        night: sorted(found, key=lambda one: one.path) for night, found in changed.items() if found
    }


def _night_of(path: str) -> Night | None:
    """Return the night in whose folder a path lies."""
    parts = path.split("/")
    return _night(f"{parts[0]}_{parts[1]}") if len(parts) > 2 else None


def _night(text: str) -> Night | None:
    """Return the night a text names."""
    try:
        return Night.parse(text)
    except BadName:
        return None


def _of_night(raw: Path, night: Night) -> Iterator[Found]:
    """Yield what lies in a night's folder and is read, or should not be there."""
    for entry in _entries(raw / night.folder):
        if not any(fnmatch(entry.name, pattern) for pattern in _COMPANIONS):
            yield from _found(f"{night.folder}/", entry)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what a folder holds, in order of names; nothing of one that is not there."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []


def _found(folder: str, entry: os.DirEntry[str]) -> Iterator[Found]:
    """Yield something with size and time; of a link that leads nowhere, its own.

    A folder is only worth a word where it holds a file.
    """
    frame = entry.name.endswith(".fits")
    if not frame and _is_folder(entry) and next(files_below(Path(entry.path)), None) is None:
        return
    try:
        state = entry.stat()
    except OSError:
        state = entry.stat(follow_symlinks=False)
    yield Found(printable(folder + entry.name)[:_LONGEST], state.st_size, state.st_mtime_ns)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Tell whether something is a folder or leads to one; a link to itself does not."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def files_below(folder: Path) -> Iterator[str]:
    """Yield the files in a folder and all below it."""
    for _folder, _folders, files in os.walk(folder):
        yield from files
