"""What every place of an archive offers, and the order in which all of them give their files.

The order is that of the bytes of paths, which is also how the database orders them (collation
"C"): two such streams are compared side by side, with no more than one folder in memory.  A path
is relative to its place, with ``/``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from itertools import chain
from typing import BinaryIO, NamedTuple, Protocol

from snfpipe.errors import BadName, Refused, shown
from snfpipe.storage.archive import BLOCK

#: A file of a stream: path, size.
Entry = tuple[str, int]

#: The size of what is no regular file (a link, a socket): never that of a product.
IRREGULAR = -1


class Seen(NamedTuple):
    """A file as it lies there; one whose size and time are the same is taken to be unchanged."""

    size: int
    mtime_ns: int


class Place(Protocol):
    """What repairs and audits need of an archive.  `OSError` where it cannot be read."""

    @property
    def shown(self) -> str:
        """The place as it may be printed."""

    def walk(self, folder: str = "") -> Iterator[Entry]:
        """Yield all files below a folder, ordered by their paths.

        At the top, folders and files whose names begin with a dot are the house's own.
        """

    def look(self, path: str) -> Seen | None:
        """Look at a file; None where there is none."""

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading."""

    def move(self, path: str, to: str) -> None:
        """Give a file another path, and never that of another file; again after a kill.

        Raises
        ------
        Refused
            Something else has that path.
        """

    def bring(self, source: BinaryIO, path: str, aside: str, checksum: str) -> None:
        """Write a file under `aside`, and give it its path when it is whole and as it should be.

        Raises
        ------
        Refused
            Its bytes are others, or something else has that path.
        """


def checksum_of(place: Place, path: str) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with place.open(path) as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def checked_path(path: str) -> str:
    """Return a path below a place as it came, if it cannot lead out of it.

    Raises
    ------
    BadName
        It is absolute, or has an empty part or a dotted one, or a character that none has.
    """
    if "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise BadName(f"{shown(path)} is no path below an archive", hint="as `a/b/c`, no dots")
    return path


def occupied(path: str) -> Refused:
    """Say that a path has a file."""
    return Refused(f"another file stands at {shown(path, 200)}", hint="`srb_cleanup` looks again")


def hold(found: str, checksum: str, path: str) -> None:
    """Refuse other bytes than expected."""
    if found != checksum:
        raise Refused(f"the copy of {shown(path, 200)} has other bytes than registered")


# --- order ---------------------------------------------------------------------------------


class Listing(NamedTuple):
    """A folder's content: its files in the order of their paths, and its folders, with ``/``."""

    files: list[Entry]
    folders: list[str]


def walk(listing: Callable[[str], Listing], folder: str) -> Iterator[Entry]:
    """Yield all files below a folder in the order of their paths.

    A folder sorts as if its name ended with ``/``: so come ``a-b/x`` and ``a.x`` before ``a/x``.
    """
    return chain.from_iterable(_runs(listing, folder))


def _runs(listing: Callable[[str], Listing], folder: str) -> Iterator[list[Entry]]:
    """Yield files in order, as many at once as no folder comes between."""
    waiting: list[list[Entry] | str] = [folder]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            yield item
            continue
        try:
            files, folders = listing(item)
        except FileNotFoundError:
            if not item:
                raise
            continue  # it has gone since it was seen
        if not folders:
            yield files
            continue
        files.reverse()  # the next one comes last
        runs: list[list[Entry] | str] = []
        for below in sorted(folders):
            run = []
            while files and files[-1][0] < below:
                run.append(files.pop())
            runs += [run, below]
        files.reverse()
        waiting += [files, *reversed(runs)]


def is_ours(path: str) -> bool:
    """Tell whether a path at the top is the house's own: the incoming area, the quarantine."""
    return path.startswith(".")
