"""Reading a text file that a person wrote, whatever is there under its name."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from snfpipe.errors import ConfigError, NotFound, Place, printable, shown
from snfpipe.handles import opened

#: Bytes of the largest file that is read; a list of all nights since 2004 has 12 kB.
LIMIT = 4_000_000

#: What finds a place once it is needed.
Where = Callable[[], Place]


def read_text(
    path: Path, missing: str = "make it, or name another", asked_by: Where | None = None
) -> str:
    """Return the text of a file.

    Parameters
    ----------
    path : Path
        The file.
    missing : str
        The next step where there is none.
    asked_by : callable, optional
        Gives the place that names the file; told where there is none.

    Raises
    ------
    NotFound
        There is no such file.
    ConfigError
        It is no plain file, is too large, or is no UTF-8 text; names the line then.
    """
    try:
        # non-blocking: a named pipe would be waited for
        with opened(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC) as handle:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise _unreadable(path, "it is no plain file", "name a text file")
            if found.st_size > LIMIT:
                told = f"it has {found.st_size} bytes, expected at most {LIMIT}"
                raise _unreadable(path, told, "name the right file")
            with open(handle, "rb", closefd=False) as file:
                content = file.read()
    except FileNotFoundError as error:
        raise NotFound(
            f"there is no file {shown(path, 200)}", hint=missing, place=asked_by and asked_by()
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        told = f"it cannot be read: {getattr(error, 'strerror', None) or error}"
        raise _unreadable(path, told, "fix the file, or name another") from error
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        told = f"byte {content[error.start]:#04x} is no UTF-8 text"
        raise _unreadable(path, told, "save the file as UTF-8", line) from error


def _unreadable(path: Path, told: str, hint: str, line: int | None = None) -> ConfigError:
    """Say why a file cannot be used."""
    return ConfigError(told, hint=hint, place=Place(printable(path), line=line))
