"""Open files and folders as the system knows them: by a handle that is closed in any case."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def opened(path: Path, flags: int, mode: int = 0o644) -> Iterator[int]:
    """Give the handle of a file or folder; `flags` and `mode` as of :func:`os.open`."""
    handle = os.open(path, flags, mode)
    try:
        yield handle
    finally:
        os.close(handle)
