"""The folder of a private service: whose it is, who is at work on it, and how it goes.

A folder that is made here is marked before anything else is written to it; one without the mark
may hold a person's files, and is left alone.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from snfpipe import clock
from snfpipe.errors import Refused

_MARK = ".snf-engine"
_FORMERLY = ("daemons.json", "made")  # both stood in a folder before there was a mark
_REMOVE_S = 10.0


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep others from starting or ending the service in a folder; wait for one who does.

    The lock is a file beside the folder, gone when nobody holds it.  It ends with this process:
    programs that are started meanwhile do not inherit it.

    Raises
    ------
    Refused
        The file cannot be made.
    """
    path = folder.with_name(f".{folder.name}.lock")
    handle = _lock(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held: who waits for it takes a new one
        os.close(handle)


def is_ours(folder: Path) -> bool:
    """Tell whether ``snf engine`` made a folder."""
    return all((folder / name).is_file() for name in _FORMERLY) or (folder / _MARK).is_file()


def check_free(folder: Path) -> None:
    """Refuse a folder that is neither new, nor empty, nor made here.

    Raises
    ------
    Refused
        Something else is there.
    """
    if is_ours(folder) or not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    raise Refused(
        f"{folder} was not made by snf engine, and holds something else",
        hint="name another place with --folder, or move away what is there",
    )


def check_ours(*folders: Path) -> None:
    """Refuse to remove folders that were not made here.

    Raises
    ------
    Refused
        Names those.
    """
    if foreign := [it for it in folders if it.exists() and not is_ours(it)]:
        raise Refused(
            ", ".join(f"{it} was not made by snf engine" for it in foreign) + ": left alone",
            hint="name the services to end, or the right --folder; remove by hand what is to go",
        )


def claim(folder: Path) -> None:
    """Make a folder where it is missing, and mark it as made here.

    Raises
    ------
    Refused
        Something else is there.
    """
    check_free(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARK).touch()


def clear(folder: Path) -> None:
    """Remove all that is in a folder but its mark.

    Raises
    ------
    Refused
        Something cannot be removed, or comes back.
    """
    deadline = clock.monotonic() + _REMOVE_S
    while True:
        try:
            for path in folder.iterdir():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                elif path.name != _MARK:
                    path.unlink(missing_ok=True)
            return
        except OSError as error:  # a process that ends just now can write a last file
            if clock.monotonic() > deadline:
                raise Refused(
                    f"cannot remove {error.filename}: {error.strerror}",
                    hint=f"look who is at work in {folder} (fuser -v), and call again",
                ) from error
        clock.sleep(0.1)


def remove(folder: Path) -> None:
    """Remove a folder that was made here; its mark goes last, so that a kill leaves it ours.

    Raises
    ------
    Refused
        It was not made here, or something in it cannot be removed.
    """
    if not folder.exists():
        return
    check_ours(folder)
    (folder / _MARK).touch()
    clear(folder)
    (folder / _MARK).unlink()
    folder.rmdir()


def _lock(path: Path) -> int:
    """Return an open file that is locked and is the one at a path."""
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise Refused(
                f"cannot make the lock {path}: {error.strerror}",
                hint="name another place with --folder, or be the user whose place it is",
            ) from error
        fcntl.flock(handle, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        os.close(handle)  # whoever held it has removed it
