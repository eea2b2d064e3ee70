"""The archive: where products live, and how they get there whole or not at all.

Jobs write to ``.incoming/<token>/`` on the archive's own filesystem; registering links files
into place.  A link cannot overwrite, so that no product ever replaces another.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from snfpipe.errors import Refused

INCOMING = ".incoming"


def incoming(archive: Path, token: str) -> Path:
    """Return where an attempt leaves its products."""
    return archive / INCOMING / token


def place(
    archive: Path, token: str, files: Mapping[str, str], checksums: Mapping[str, str]
) -> None:
    """Link an attempt's files into the archive; again after a crash, with the same result.

    Parameters
    ----------
    archive : Path
        The archive's folder.
    token : str
        The attempt.
    files : mapping
        File name -> path below the archive.
    checksums : mapping
        File name -> SHA-256, for what stands at the path already.

    Raises
    ------
    Refused
        Another file stands where one should go.
    OSError
        A file is neither in the incoming area nor in place.
    """
    source = incoming(archive, token)
    folders = set()
    for name, path in files.items():
        target = archive / path
        target.parent.mkdir(parents=True, exist_ok=True)
        folders.add(target.parent)
        try:
            os.link(source / name, target)
        except FileExistsError:
            if sha256_of(target) != checksums[name]:
                raise Refused(
                    f"another file stands at {target}",
                    hint="`snf audit` tells whose it is; move it away, then run again",
                ) from None
        except FileNotFoundError:
            if not target.exists() or sha256_of(target) != checksums[name]:
                raise
    for folder in folders:
        _sync(folder)


def drop_incoming(archive: Path, token: str) -> None:
    """Remove what an attempt left in the incoming area."""
    shutil.rmtree(incoming(archive, token), ignore_errors=True)


def incoming_tokens(archive: Path) -> list[str]:
    """Return the attempts that have something in the incoming area."""
    folder = archive / INCOMING
    return sorted(os.listdir(folder)) if folder.is_dir() else []


def sizes(archive: Path, folders: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Yield (path below the archive, size) of every file in some of its folders, streaming."""
    for folder in folders:
        try:
            entries = list(os.scandir(archive / folder))
        except FileNotFoundError:
            continue
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                yield f"{folder}/{entry.name}", entry.stat(follow_symlinks=False).st_size


def sha256_of(path: Path) -> str:
    """Return the checksum the database keeps for a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    """Put a folder's entries on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
