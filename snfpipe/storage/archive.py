"""The archive: where products live, and how they get there whole or not at all.

``<archive>/.incoming/<token>/`` holds what an attempt left, under final names, until its rows
are committed; registering links files into place.  A link cannot overwrite, so that no product
ever replaces another; it shares its inode with the file in the incoming area, so that what an
interrupted registration put there can be told from everything else and taken back.
Standard library only: jobs deliver here.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from snfpipe.errors import Refused, shown
from snfpipe.handles import opened
from snfpipe.killpoint import killpoint
from snfpipe.names import ProductName

#: Called after each file that was looked at or moved.
Watch = Callable[[], object]

INCOMING = ".incoming"
TRASH = ".trash"  # what jobs that were deleted had, by deletion
QUARANTINE = ".quarantine"  # what is no good, or nobody's, or was in the way: no audit looks there
BLOCK = 1 << 20  # bytes read at once


def incoming(archive: Path, token: str) -> Path:
    """Return where an attempt leaves its products."""
    return archive / INCOMING / token


def is_there(archive: Path) -> bool:
    """Tell whether an archive that something was delivered to can be reached."""
    return (archive / INCOMING).is_dir()


def place_of(name: str) -> str:
    """Return where a product's file, main or auxiliary, lies below the archive.

    Raises
    ------
    BadName
        The name is no product's.
    """
    return str(PurePosixPath(main_of(name).archive_path).parent / name)


def main_of(name: str) -> ProductName:
    """Return the product that a file belongs to, main or auxiliary.

    Raises
    ------
    BadName
        The name is no product's.
    """
    return ProductName.parse(name.split(".", 1)[0] + ".fits")


def receive(source: Path, folder: Path, name: str) -> tuple[str, int]:
    """Copy `source` to `folder`/`name`; it is on disk when this returns.

    Returns
    -------
    tuple
        SHA-256 of the bytes written, and their number.
    """
    with source.open("rb") as read, (folder / name).open("wb") as write:
        return copied(read, write, sync=True)


def copied(source: BinaryIO, target: BinaryIO, *, sync: bool = False) -> tuple[str, int]:
    """Copy a stream, with `sync` to disk; return the SHA-256 of its bytes, and their number."""
    digest = hashlib.sha256()
    size = 0
    while block := source.read(BLOCK):
        digest.update(block)
        size += target.write(block)
    if sync:
        target.flush()
        os.fsync(target.fileno())
    return digest.hexdigest(), size


def place(archive: Path, token: str, files: Mapping[str, str]) -> None:
    """Link an attempt's files into the archive; again after a crash, with the same result.

    Parameters
    ----------
    archive : Path
        The archive's folder.
    token : str
        The attempt.
    files : mapping
        Path below the archive -> SHA-256.

    Raises
    ------
    Refused
        A file with other bytes stands where one should go.
    OSError
        The disk is full, a file is neither in the incoming area nor in place, ...
    """
    received = str(incoming(archive, token))
    folders: set[str] = set()
    for path, checksum in files.items():  # texts: there may be hundreds of thousands
        folder, _, name = f"{archive}/{path}".rpartition("/")
        if folder not in folders:
            os.makedirs(folder, exist_ok=True)
            folders.add(folder)
        source, target = f"{received}/{name}", f"{folder}/{name}"
        try:
            os.link(source, target)
        except FileExistsError:
            if same(source, target) or sha256_of(Path(target)) == checksum:
                continue
            raise _occupied(target) from None
    sync(map(Path, folders))


def take_back(archive: Path, token: str, path: str) -> None:
    """Undo the placing of a file: unlink it from `path` if it is the received one, no other."""
    target = archive / path
    if same(incoming(archive, token) / target.name, target):
        target.unlink(missing_ok=True)


def set_aside(archive: Path, token: str, path: str) -> None:
    """Move a file that is not in the database out of an attempt's way; it is kept."""
    target = archive / path
    if target.exists() and not same(incoming(archive, token) / target.name, target):
        aside = archive / QUARANTINE / token
        aside.mkdir(parents=True, exist_ok=True)
        os.replace(target, aside / target.name)


def check_path(path: str) -> str:
    """Return the path of a product's file below the archive, or refuse what could lead elsewhere.

    Raises
    ------
    Refused
        The path is absolute, has ``..`` or empty parts, or lies in one of the archive's own
        hidden folders.
    """
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or path.startswith(".") or "\0" in path:
        raise Refused(
            f"{shown(path)} is no path of a product below the archive",
            hint="the row in table `file` that says so was not made by registering; look at it",
        )
    return path


def move_to_trash(
    archive: Path, aside: Path, paths: Iterable[str], watch: Watch = lambda: None
) -> list[str]:
    """Rename files of the archive to the same paths below `aside`; again after a kill.

    Parameters
    ----------
    archive : Path
        The archive's folder.
    aside : Path
        A folder on the archive's filesystem.
    paths : iterable of str
        Files below the archive.
    watch : callable, optional
        Called after each file.

    Returns
    -------
    list of str
        Those that are in neither place.

    Raises
    ------
    Refused
        A path, or a symbolic link in it, leads out of the archive; nothing was moved.
    """
    return _moved(archive, archive, aside, paths, _rename, "archive:put-away", watch)


def _rename(source: str, target: str) -> bool:
    """Rename a file, unless it was renamed before; tell whether it is there."""
    if not os.path.lexists(target):
        try:
            os.rename(source, target)
        except FileNotFoundError:
            return False
    elif same(source, target):  # it was on its way back
        os.unlink(source)
    return True


def restore(
    archive: Path, aside: Path, paths: Iterable[str], watch: Watch = lambda: None
) -> list[str]:
    """Undo :func:`move_to_trash`; again after a kill. Nothing in the archive is overwritten.

    Returns
    -------
    list of str
        Those that are in neither place.

    Raises
    ------
    Refused
        Another file stands where one should go, or a path leads out of the archive.
    """
    return _moved(archive, aside, archive, paths, _link_back, "archive:bring-back", watch)


def _link_back(source: str, target: str) -> bool:
    """Link a file to its place, where there is no other; tell whether it is there."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        return os.path.lexists(target)
    except FileExistsError:
        if not same(source, target):
            raise _occupied(target) from None
    os.unlink(source)
    return True


def _moved(
    archive: Path,
    fro: Path,
    to: Path,
    paths: Iterable[str],
    move: Callable[[str, str], bool],
    point: str,
    watch: Watch,
) -> list[str]:
    """Move files from one folder to another; return those that are in neither."""
    paths = list(paths)
    _check_inside(archive, paths)
    folders = {os.path.dirname(path) for path in paths}
    for folder in folders:
        (to / folder).mkdir(parents=True, exist_ok=True)
    lost = []
    for path in paths:
        if not move(f"{fro}/{path}", f"{to}/{path}"):
            lost.append(path)
        killpoint(point)
        watch()
    both = (root / folder for root in (to, fro) for folder in folders)
    sync(folder for folder in both if folder.is_dir())
    return lost


def _occupied(target: str) -> Refused:
    """Say that another file has a place."""
    return Refused(f"another file stands at {target}", hint="`snf audit` tells whose it is")


def _check_inside(archive: Path, paths: Iterable[str]) -> None:
    """Refuse paths that lead out of the archive, by their words or by symbolic links."""
    root = archive.resolve()
    for folder in {os.path.dirname(check_path(path)) for path in paths}:
        if (archive / folder).resolve() != root / folder:
            raise Refused(
                f"{archive / folder} leads out of the archive",
                hint="a symbolic link stands in its way; only plain folders are the archive's",
            )


def remove_empty(folder: Path, root: Path) -> None:
    """Remove a folder below `root`, and those above it, as far as they are empty."""
    while folder != root and root in folder.parents:
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            return
        folder = folder.parent


def incoming_names(archive: Path, token: str) -> list[str]:
    """Return the names of the files an attempt left."""
    return _listed(incoming(archive, token))


def incoming_tokens(archive: Path) -> list[str]:
    """Return the attempts that have something in the incoming area."""
    return _listed(archive / INCOMING)


def drop_incoming(archive: Path, token: str) -> None:
    """Remove what an attempt left in the incoming area."""
    shutil.rmtree(incoming(archive, token), ignore_errors=True)


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


def sync(folders: Iterable[Path]) -> None:
    """Put the entries of folders on disk."""
    for folder in folders:
        with opened(folder, os.O_RDONLY | os.O_DIRECTORY) as handle:
            os.fsync(handle)


def _listed(folder: Path) -> list[str]:
    """Return a folder's names, none where there is no folder."""
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def same(one: str | Path, other: str | Path) -> bool:
    """Tell whether both names are of one file."""
    try:
        return os.path.samestat(os.lstat(one), os.lstat(other))
    except FileNotFoundError:
        return False
