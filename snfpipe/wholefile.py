"""Files that are there whole or not at all: written aside, then renamed.

Standard library only: jobs write such files, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from snfpipe.killpoint import killpoint


@contextmanager
def aside(path: Path, *, sync: bool = False, point: str = "") -> Iterator[Path]:
    """Give a new name beside `path`; what is made there is renamed to `path` at the end.

    Parameters
    ----------
    path : Path
        What is to be there; in a folder that exists.
    sync : bool
        The content is on disk before it gets its name.
    point : str
        A kill point just before the renaming.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield new
        if sync:
            with new.open("rb") as file:
                os.fsync(file.fileno())
        if point:
            killpoint(point)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: str | bytes, *, sync: bool = False, point: str = "") -> None:
    """Write a file whole, texts as UTF-8; see :func:`aside` for the parameters."""
    data = content.encode() if isinstance(content, str) else content
    with aside(path, sync=sync, point=point) as new:
        new.write_bytes(data)


def text_of(path: Path) -> str:
    """Return the text of such a file, nothing where it is not there."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
