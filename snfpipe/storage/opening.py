"""Where an archive lies: a folder of this machine, or one behind a URL."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from snfpipe.errors import UsageError
from snfpipe.storage.base import Place
from snfpipe.storage.local import LocalPlace


def open_place(where: str) -> Place:
    """Return the place that a path or a URL names.

    Raises
    ------
    UsageError
        There is no such folder, or nobody knows such a URL.
    ServiceUnavailable
        The other machine does not answer, or lets us not in.
    """
    scheme = urlsplit(where).scheme
    if scheme in ("", "file"):
        folder = Path(urlsplit(where).path if scheme else where)
        if not folder.is_dir():
            raise UsageError(f"there is no folder {folder}", hint="is the archive mounted?")
        return LocalPlace(folder)
    from snfpipe.storage.remote import open_remote  # heavy, and seldom needed

    return open_remote(where, scheme)
