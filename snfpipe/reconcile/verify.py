"""Reading files again: their checksums against those that rows, or another archive, have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from snfpipe.db.session import Database
from snfpipe.reconcile import rows as rows
from snfpipe.reconcile.stream import Progress
from snfpipe.storage.base import Place, checksum_of

#: Gives path -> checksum as it should be, for those of some paths that it knows.
Expected = Callable[[list[str]], dict[str, str]]

_AT_ONCE = 500  # files a batch
_READERS = 8  # threads: hashing lets go of the interpreter, another machine is waited for


class Verifier:
    """Takes the paths of files whose size is right; finds those whose bytes are not.

    Parameters
    ----------
    place : Place
        Where to read.
    expected : callable
        What to compare with.
    progress : callable
        Told of how many more files were read.
    """

    def __init__(self, place: Place, expected: Expected, progress: Progress) -> None:
        self._place, self._expected, self._progress = place, expected, progress
        self._waiting: list[str] = []
        self._wrong: list[str] = []

    def take(self, path: str) -> None:
        """Take a file in; read some at once."""
        self._waiting.append(path)
        if len(self._waiting) == _AT_ONCE:
            self._read()

    def end(self) -> list[str]:
        """Read what is left, and return the paths of all files with other bytes."""
        self._read()
        return self._wrong

    def _read(self) -> None:
        """Read the files that wait; one that went meanwhile has no wrong bytes."""
        expected = self._expected(self._waiting)
        found = _checksums(self._place, expected)
        self._wrong += [path for path, checksum in found if checksum != expected[path]]
        self._progress(len(self._waiting))
        self._waiting.clear()


def registered_checksums(database: Database, paths: list[str]) -> dict[str, str]:
    """Return path -> checksum, as rows have it."""
    with database.read() as session:
        return {path: row.checksum for path, row in rows.by_path(session, paths).items()}


def archived_checksums(place: Place, paths: list[str]) -> dict[str, str]:
    """Return path -> checksum of the files of an archive."""
    return dict(_checksums(place, paths))


def _checksums(place: Place, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield path and checksum of those files that are there."""
    paths = list(paths)
    with ThreadPoolExecutor(_READERS) as pool:
        found = pool.map(partial(_checksum, place), paths)
        yield from ((path, it) for path, it in zip(paths, found, strict=True) if it is not None)


def _checksum(place: Place, path: str) -> str | None:
    """Return the checksum of a file, None of one that has just gone."""
    with suppress(FileNotFoundError):
        return checksum_of(place, path)
    return None
