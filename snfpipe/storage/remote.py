"""A folder behind any URL that fsspec knows; SFTP by sshfs."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from snfpipe.errors import Refused, ServiceUnavailable, UsageError, shown, told
from snfpipe.storage import archive
from snfpipe.storage.base import (
    IRREGULAR,
    Entry,
    Listing,
    Place,
    Seen,
    hold,
    is_ours,
    occupied,
    walk,
)

_SFTP = ("sftp", "ssh")


class RemotePlace:
    """A folder behind a URL.

    Parameters
    ----------
    system : fsspec.AbstractFileSystem
        Who carries it.
    root : str
        The folder, as `system` calls it.
    shown : str
        The URL.
    renames : bool
        Whether `system` can give a file another name, and does not copy it.
    """

    def __init__(self, system: Any, root: str, shown: str, *, renames: bool = False) -> None:
        self._system, self._renames = system, renames
        self._root = root.rstrip("/")
        self._shown = shown

    @property
    def shown(self) -> str:
        """The URL."""
        return self._shown

    def walk(self, folder: str = "") -> Iterator[Entry]:
        """Yield all files below a folder, ordered by their paths."""
        return walk(self._listing, f"{folder}/" if folder else "")

    def open_root(self) -> None:
        """Look at the folder itself; `FileNotFoundError` where there is none."""
        self._list("")

    def _listing(self, folder: str) -> Listing:
        """List a folder."""
        files: list[Entry] = []
        folders = []
        for name, entry in self._list(folder).items():
            path = folder + name
            if not folder and is_ours(path):
                continue
            if entry["type"] == "directory":
                folders.append(f"{path}/")
            else:
                files.append((path, _size(entry)))
        return Listing(sorted(files), folders)

    def _list(self, folder: str) -> dict[str, dict[str, Any]]:
        """Return name -> what the other side says of it."""
        where = self._path(folder.rstrip("/"))
        entries = _asked(self, self._system.ls, where, detail=True, refresh=True)
        named = {posixpath.basename(entry["name"].rstrip("/")): entry for entry in entries}
        return {name: entry for name, entry in named.items() if name not in ("", ".", "..")}

    def look(self, path: str) -> Seen | None:
        """Look at a file, and do not follow a link: its folder tells."""
        folder, name = posixpath.split(path)
        try:
            entry = self._list(folder).get(name)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return None if entry is None else Seen(_size(entry), _mtime_ns(entry))

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading."""
        file: BinaryIO = _asked(self, self._system.open, self._path(path), "rb")
        return file

    def move(self, path: str, to: str) -> None:
        """Give a file another path, if nothing has it."""
        if not self._renames:
            raise Refused(
                f"files of {self._shown} can only be copied, not moved",
                hint="repairs need a folder, or SFTP",
            )
        if self.look(to) is not None:
            if self.look(path) is not None:
                raise occupied(to)
            return
        _asked(self, self._system.makedirs, self._path(posixpath.dirname(to)), exist_ok=True)
        _asked(self, self._system.mv, self._path(path), self._path(to))
        if is_ours(path):
            with suppress(Exception):  # it is not the last, or the other side has no folders
                self._system.rmdir(self._path(posixpath.dirname(path)))

    def bring(self, source: BinaryIO, path: str, aside: str, checksum: str) -> None:
        """Write a file under `aside`, and rename it when it is whole."""
        _asked(self, self._system.makedirs, self._path(posixpath.dirname(aside)), exist_ok=True)
        with _asked(self, self._system.open, self._path(aside), "wb") as file:
            found, _size = archive.copied(source, file)
        hold(found, checksum, path)
        self.move(aside, path)

    def _path(self, path: str) -> str:
        """Return a path as the other side has it."""
        return f"{self._root}/{path}" if path else self._root or "/"


def open_remote(url: str, scheme: str) -> Place:
    """Return the place behind a URL of fsspec."""
    parts = urlsplit(url)
    if parts.password is not None:
        raise UsageError(
            "a password in a URL is seen by everybody on this machine",
            hint="use a key: name host, user and IdentityFile in ~/.ssh/config",
        )
    import fsspec

    try:
        if scheme in _SFTP:
            system, root = _sftp(parts.hostname or "", parts.port, parts.username), parts.path
        else:
            system, root = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise UsageError(f"{shown(url)}: {error}", hint="as sftp://host/folder") from error
    except Exception as error:  # each carrier has its own for a host that is away or says no
        raise _away(url, error) from error
    place = RemotePlace(system, root, url, renames=scheme in _SFTP)
    try:
        place.open_root()
    except FileNotFoundError as error:
        raise UsageError(f"there is no folder {url}", hint="is the archive mounted?") from error
    return place


def _sftp(host: str, port: int | None, user: str | None) -> Any:
    """Log in by SFTP, with what ~/.ssh/config says of the host, if its key is a known one."""
    from sshfs import SSHFileSystem

    if not host:
        raise ValueError("no host")
    options: dict[str, Any] = {"port": port, "username": user}
    return SSHFileSystem(
        host,
        known_hosts=(),  # those of ~/.ssh; unless told, sshfs trusts every host
        sftp_client_kwargs={"path_errors": "surrogateescape"},
        timeout=30,
        skip_instance_cache=True,
        **{name: value for name, value in options.items() if value is not None},
    )


def _asked(place: Place, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Ask the other side; what is no matter of one file is one of the whole place."""
    try:
        return call(*arguments, **options)
    except OSError:
        raise
    except Exception as error:  # each carrier has its own for a connection that broke
        raise _away(place.shown, error) from error


def _away(url: str, error: Exception) -> ServiceUnavailable:
    """Say that the other side cannot be reached."""
    return ServiceUnavailable(
        f"{shown(url, 200)} cannot be reached: {told(error)}",
        hint="try `sftp` to the same host: its key must be known, and yours let in",
    )


def _size(entry: dict[str, Any]) -> int:
    """Return a file's size, or that of what is no regular file."""
    size = entry.get("size")
    return int(size) if entry["type"] == "file" and size is not None else IRREGULAR


def _mtime_ns(entry: dict[str, Any]) -> int:
    """Return a file's last change; carriers call it differently, and some do not know it."""
    moment = next((entry[key] for key in ("mtime", "LastModified", "created") if key in entry), 0)
    seconds = moment.timestamp() if hasattr(moment, "timestamp") else float(moment or 0)
    return round(seconds * 1e9)
