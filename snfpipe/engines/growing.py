"""Reading a file that others append to and rotate, from where one left off.

A place in it is known by what the file began with, not by its name: the same line is found again
after the file was renamed, or copied and truncated.  Which of several older parts came first is
told by their times of change.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

from snfpipe import clock

_HEAD = 512


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a growing file; at offset 0, whatever was written from `time` on comes after it.

    ``time`` is when the file was last changed.
    """

    offset: int = 0
    head: str = ""
    time: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Read what :meth:`to_json` returned."""
        return cls(**content)


def mark_end(path: Path) -> Mark:
    """Return the end of a file as it is now, between two lines; a missing one has none yet."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            start = max(0, size - 65536)
            file.seek(start)
            return _mark(file, start + file.read(size - start).rfind(b"\n") + 1)
    except FileNotFoundError:
        return Mark(time=clock.epoch_s() - 1)


class GrowingFile:
    """A reader of the lines after a mark.

    Parameters
    ----------
    path : Path
        The file; older parts of it lie beside it, under names that begin with its own.
    mark : Mark
        Where to begin.
    """

    def __init__(self, path: Path, mark: Mark) -> None:
        self._path, self.mark = path, mark

    def lines(self) -> Iterator[str]:
        """Yield the whole lines that were added since the last call; take all of them."""
        for path, offset in self._parts():
            try:
                file = path.open("rb")
            except FileNotFoundError:
                continue
            with file:
                file.seek(offset)
                for line in file:
                    if not line.endswith(b"\n") and path == self._path:
                        break  # being written
                    offset += len(line)
                    yield line.decode(errors="replace").rstrip("\r\n")
                if path == self._path:
                    self.mark = _mark(file, offset)

    def _parts(self) -> list[tuple[Path, int]]:
        """Return the files that hold what comes after the mark, oldest first, and where in each."""
        if self.mark.head and _holds(self._path, self.mark):
            return [(self._path, self.mark.offset)]
        older = [it for it in self._path.parent.glob(f"{self._path.name}?*") if it.is_file()]
        older.sort(key=lambda it: it.stat().st_mtime)
        begun = next((it for it in older if self.mark.head and _holds(it, self.mark)), None)
        if begun is None:
            later = [it for it in older if it.stat().st_mtime >= self.mark.time]
            return [*((it, 0) for it in later), (self._path, 0)]
        later = [it for it in older if it.stat().st_mtime > begun.stat().st_mtime]
        return [(begun, self.mark.offset), *((it, 0) for it in later), (self._path, 0)]


def _mark(file: BinaryIO, offset: int) -> Mark:
    """Return a mark; a file that holds only comments up to there has not begun."""
    changed = os.fstat(file.fileno()).st_mtime
    file.seek(0)
    head = file.read(min(offset, _HEAD))
    if all(line.startswith(b"#") for line in head.splitlines()):
        return Mark(time=changed)
    return Mark(offset, _digest(head), changed)


def _holds(path: Path, mark: Mark) -> bool:
    """Tell whether a file is the one that a mark was set in."""
    try:
        with path.open("rb") as file:
            head = file.read(min(mark.offset, _HEAD))
            return file.seek(0, 2) >= mark.offset and _digest(head) == mark.head
    except OSError:
        return False


def _digest(head: bytes) -> str:
    return hashlib.sha256(head).hexdigest()[:16]
