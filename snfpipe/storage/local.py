"""A folder of this machine."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from snfpipe.handles import opened
from snfpipe.storage import archive
from snfpipe.storage.base import (
    IRREGULAR,
    Entry,
    Listing,
    Seen,
    hold,
    is_ours,
    occupied,
    walk,
)


class LocalPlace:
    """A folder of this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def shown(self) -> str:
        """The folder."""
        return str(self.root)

    def walk(self, folder: str = "") -> Iterator[Entry]:
        """Yield all files below a folder, ordered by their paths."""
        return walk(self._listing, f"{folder}/" if folder else "")

    def _listing(self, folder: str) -> Listing:
        """List a folder."""
        files: list[Entry] = []
        folders = []
        with opened(self.root / folder, os.O_RDONLY | os.O_DIRECTORY) as handle:
            for name in sorted(os.listdir(handle)):  # as quick as may be: millions pass here
                path = folder + name
                if not folder and is_ours(path):
                    continue
                try:
                    # by the folder's handle: a long path would be looked up again for each file
                    found = os.stat(name, dir_fd=handle, follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if stat.S_ISREG(found.st_mode):
                    files.append((path, found.st_size))
                elif stat.S_ISDIR(found.st_mode):
                    folders.append(f"{path}/")
                else:
                    files.append((path, IRREGULAR))
        return Listing(files, folders)

    def look(self, path: str) -> Seen | None:
        """Look at a file, and do not follow a link."""
        try:
            found = os.lstat(self.root / path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        size = found.st_size if stat.S_ISREG(found.st_mode) else IRREGULAR
        return Seen(size, found.st_mtime_ns)

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading."""
        return (self.root / path).open("rb")

    def move(self, path: str, to: str) -> None:
        """Give a file another path: a link cannot overwrite, and what is moved twice is one."""
        source, target = self.root / path, self.root / to
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target, follow_symlinks=False)
        except FileExistsError:
            if os.path.lexists(source) and not archive.same(source, target):
                raise occupied(to) from None
        except FileNotFoundError:
            if not os.path.lexists(target):
                raise
        archive.sync([target.parent])
        source.unlink(missing_ok=True)
        if is_ours(path):
            with suppress(OSError):
                source.parent.rmdir()  # if it was the last

    def bring(self, source: BinaryIO, path: str, aside: str, checksum: str) -> None:
        """Write a file under `aside`, and link it to its path when it is whole."""
        new = self.root / aside
        new.parent.mkdir(parents=True, exist_ok=True)
        with new.open("wb") as file:
            found, _size = archive.copied(source, file, sync=True)
        hold(found, checksum, path)
        self.move(aside, path)
