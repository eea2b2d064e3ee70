"""What lies in the raw folder, beside what the database has of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from snfpipe.config.project import Project
from snfpipe.db.quick import REVISION, Ask, quick_look, revision
from snfpipe.errors import BadName, printable
from snfpipe.names import Night

_FILES = "SELECT path, size, mtime_ns FROM file WHERE area = 'raw'"
_BAD = "SELECT path, size, mtime_ns FROM bad_frame"
_LONGEST = 400  # characters of a path in the database
_PART = {2: re.compile("[0-9]{2}"), 3: re.compile("[0-9]{3}")}


@dataclass(frozen=True, slots=True)
class Found:
    """A file of a raw night, as its folder shows it.

    ``path`` is relative to the raw folder, with what cannot be printed escaped: such a file is no
    frame and is never opened.  ``gone`` is one that could not be taken and has been removed.
    """

    path: str
    size: int
    mtime_ns: int
    gone: bool = False


def nights_on_disk(raw: Path) -> list[Night]:
    """Return the nights that have a folder ``YY/DDD``."""
    nights = []
    for year in _folders(raw, 2):
        for day in _folders(raw / year, 3):
            try:
                nights.append(Night.parse(f"{year}_{day}"))
            except BadName:
                continue
    return sorted(nights)


def anything_new(project: Project) -> bool:
    """Tell whether :func:`snfpipe.ingest.refresh.refresh` has anything to do; reads no file.

    A database that is missing, does not answer or has another schema counts as such: whoever
    opens it says what is wrong.
    """
    raw = project.site.raw
    try:
        with quick_look(project.site.database_url, project.root) as ask:
            return revision(ask) != REVISION or bool(changed_files(ask, raw, nights_on_disk(raw)))
    except Exception:  # those of two drivers, which share no base
        return True


def changed_files(ask: Ask, raw: Path, nights: Iterable[Night]) -> dict[Night, list[Found]]:
    """Return the files the database does not know as they are, by night."""
    files = {path: (size, mtime_ns) for path, size, mtime_ns in ask(_FILES)}
    bad = {path: (size, mtime_ns) for path, size, mtime_ns in ask(_BAD)}
    known = {**files, **bad}
    bad_of: dict[str, list[str]] = {}
    for path in bad:
        bad_of.setdefault(path.rpartition("/")[0], []).append(path)
    changed: dict[Night, list[Found]] = {}
    for night in nights:
        folder = night.folder
        there = set()
        found = []
        with os.scandir(raw / folder) as entries:
            for entry in entries:
                if not entry.name.endswith(".fits"):
                    continue
                path = printable(f"{folder}/{entry.name}")[:_LONGEST]
                seen = _seen(entry)
                there.add(path)
                if known.get(path) != seen:
                    found.append(Found(path, *seen))
        found += [
            Found(path, 0, 0, gone=True)
            for path in bad_of.get(folder, ())
            if path not in there and path not in files
        ]
        if found:
            changed[night] = sorted(found, key=lambda one: one.path)
    return changed


def _seen(entry: os.DirEntry[str]) -> tuple[int, int]:
    """Return size and time of a file; of a link that leads nowhere, its own."""
    try:
        state = entry.stat()
    except OSError:
        state = entry.stat(follow_symlinks=False)
    return state.st_size, state.st_mtime_ns


def _folders(folder: Path, digits: int) -> list[str]:
    """Return the subfolders whose names are so many digits."""
    try:
        with os.scandir(folder) as entries:
            return sorted(
                entry.name
                for entry in entries
                if _PART[digits].fullmatch(entry.name) and entry.is_dir()
            )
    except FileNotFoundError:
        return []
