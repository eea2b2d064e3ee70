"""What lies in the raw folder, beside what the database has of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe.db.models import BadFrame, File
from snfpipe.errors import BadName
from snfpipe.names import Night

_PART = {2: re.compile("[0-9]{2}"), 3: re.compile("[0-9]{3}")}


@dataclass(frozen=True, slots=True)
class Found:
    """A file of a raw night, as its folder shows it; ``path`` is relative to the raw folder."""

    path: str
    size: int
    mtime_ns: int


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


def files_of(raw: Path, night: Night) -> Iterator[Found]:
    """Yield the FITS files of a night's folder, by name."""
    with os.scandir(raw / night.folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.endswith(".fits") and entry.is_file():
                found = entry.stat()
                yield Found(f"{night.folder}/{entry.name}", found.st_size, found.st_mtime_ns)


def changed_files(session: Session, raw: Path, nights: Iterable[Night]) -> dict[Night, list[Found]]:
    """Return the files the database does not know as they are, by night."""
    known: dict[str, tuple[int, int | None]] = {}
    for table, condition in ((File, File.area == "raw"), (BadFrame, sa.true())):
        query = sa.select(table.path, table.size, table.mtime_ns).where(condition)
        for path, size, mtime_ns in session.execute(query):
            known[path] = (size, mtime_ns)
    changed: dict[Night, list[Found]] = {}
    for night in nights:
        for found in files_of(raw, night):
            if known.get(found.path) != (found.size, found.mtime_ns):
                changed.setdefault(night, []).append(found)
    return changed


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
