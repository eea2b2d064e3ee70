"""Where an archive lies: a folder of this machine, or one behind any URL that fsspec knows.

Both give their files in the same order, that of the bytes of their paths, which is also how the
database orders paths (collation "C"): two such streams are compared side by side, with no more
than one folder in memory.  A path is relative to its place, with ``/``.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol
from urllib.parse import urlsplit

from snfpipe import archive
from snfpipe.errors import BadName, Refused, ServiceUnavailable, UsageError, shown

#: A file of a stream: path, size.
Entry = tuple[str, int]

#: The size of what is no regular file (a link, a socket): never that of a product.
IRREGULAR = -1

_BLOCK = 1 << 20
_SFTP = ("sftp", "ssh")


class Seen(NamedTuple):
    """A file as it lies there; one whose size and time are the same is taken to be unchanged."""

    size: int
    mtime_ns: int


class Place(Protocol):
    """What repairs and audits need of an archive.  `OSError` where it cannot be read."""

    @property
    def shown(self) -> str:
        """The place as it may be printed."""
        ...

    def walk(self, folder: str = "") -> Iterator[Entry]:
        """Yield all files below a folder, ordered by their paths.

        At the top, folders and files whose names begin with a dot are the house's own.
        """
        ...

    def look(self, path: str) -> Seen | None:
        """Look at a file; None where there is none."""
        ...

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading."""
        ...

    def move(self, path: str, to: str) -> None:
        """Give a file another path, and never that of another file; again after a kill.

        Raises
        ------
        Refused
            Something else has that path.
        """
        ...

    def bring(self, source: BinaryIO, path: str, aside: str, checksum: str) -> None:
        """Write a file under `aside`, and give it its path when it is whole and as it should be.

        Raises
        ------
        Refused
            Its bytes are others, or something else has that path.
        """
        ...


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
    return _open_remote(where, scheme)


def checksum_of(place: Place, path: str) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with place.open(path) as file:
        while block := file.read(_BLOCK):
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


# --- order ---------------------------------------------------------------------------------


class _Listing(NamedTuple):
    """A folder's content: its files in the order of their paths, and its folders, with ``/``."""

    files: list[Entry]
    folders: list[str]


def _walk(listing: Callable[[str], _Listing], folder: str) -> Iterator[Entry]:
    """Yield all files below a folder in the order of their paths.

    A folder sorts as if its name ended with ``/``: so come ``a-b/x`` and ``a.x`` before ``a/x``.
    """
    return chain.from_iterable(_runs(listing, folder))


def _runs(listing: Callable[[str], _Listing], folder: str) -> Iterator[list[Entry]]:
    """Yield files in order, as many at once as no folder comes between."""
    waiting: list[list[Entry] | str] = [folder]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            yield item
            continue
        files, folders = listing(item)
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


def _is_ours(path: str) -> bool:
    """Tell whether a path at the top is the house's own: the incoming area, the quarantine."""
    return path.startswith(".")


# --- this machine --------------------------------------------------------------------------


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
        return _walk(self._listing, f"{folder}/" if folder else "")

    def _listing(self, folder: str) -> _Listing:
        """List a folder; one that has gone since it was seen has no content."""
        files: list[Entry] = []
        folders = []
        try:
            handle = os.open(self.root / folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            if not folder:
                raise
            return _Listing([], [])
        try:
            for name in sorted(os.listdir(handle)):  # as quick as may be: millions pass here
                path = folder + name
                if not folder and _is_ours(path):
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
        finally:
            os.close(handle)
        return _Listing(files, folders)

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
            if os.path.lexists(source) and not _same(source, target):
                raise _occupied(to) from None
        except FileNotFoundError:
            if not os.path.lexists(target):
                raise
        archive.sync([target.parent])
        source.unlink(missing_ok=True)
        if _is_ours(path):
            with suppress(OSError):
                source.parent.rmdir()  # if it was the last

    def bring(self, source: BinaryIO, path: str, aside: str, checksum: str) -> None:
        """Write a file under `aside`, and link it to its path when it is whole."""
        new = self.root / aside
        new.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with new.open("wb") as file:
            while block := source.read(_BLOCK):
                digest.update(block)
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        _hold(digest.hexdigest(), checksum, path)
        self.move(aside, path)


def _same(one: Path, other: Path) -> bool:
    """Tell whether both names are of one file."""
    return os.path.samestat(one.lstat(), other.lstat())


def _occupied(path: str) -> Refused:
    """Say that a path has a file."""
    return Refused(f"another file stands at {shown(path, 200)}", hint="`srb_cleanup` looks again")


def _hold(found: str, checksum: str, path: str) -> None:
    """Refuse other bytes than expected."""
    if found != checksum:
        raise Refused(f"the copy of {shown(path, 200)} has other bytes than registered")


# --- other machines ------------------------------------------------------------------------


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
        self._system = system
        self._renames = renames
        self._root = root.rstrip("/")
        self._shown = shown

    @property
    def shown(self) -> str:
        """The URL."""
        return self._shown

    def walk(self, folder: str = "") -> Iterator[Entry]:
        """Yield all files below a folder, ordered by their paths."""
        return _walk(self._listing, f"{folder}/" if folder else "")

    def open_root(self) -> None:
        """Look at the folder itself; `FileNotFoundError` where there is none."""
        self._list("")

    def _listing(self, folder: str) -> _Listing:
        """List a folder; one that has gone since it was seen has no content."""
        files: list[Entry] = []
        folders = []
        try:
            entries = self._list(folder)
        except FileNotFoundError:
            if not folder:
                raise
            return _Listing([], [])
        for name, entry in entries.items():
            path = folder + name
            if not folder and _is_ours(path):
                continue
            if entry["type"] == "directory":
                folders.append(f"{path}/")
            else:
                files.append((path, _size(entry)))
        return _Listing(sorted(files), folders)

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
                raise _occupied(to)
            return
        _asked(self, self._system.makedirs, self._path(posixpath.dirname(to)), exist_ok=True)
        _asked(self, self._system.mv, self._path(path), self._path(to))
        if _is_ours(path):
            with suppress(Exception):  # it is not the last, or the other side has no folders
                self._system.rmdir(self._path(posixpath.dirname(path)))

    def bring(self, source: BinaryIO, path: str, aside: str, checksum: str) -> None:
        """Write a file under `aside`, and rename it when it is whole."""
        _asked(self, self._system.makedirs, self._path(posixpath.dirname(aside)), exist_ok=True)
        digest = hashlib.sha256()
        with _asked(self, self._system.open, self._path(aside), "wb") as file:
            while block := source.read(_BLOCK):
                digest.update(block)
                file.write(block)
        _hold(digest.hexdigest(), checksum, path)
        self.move(aside, path)

    def _path(self, path: str) -> str:
        """Return a path as the other side has it."""
        return f"{self._root}/{path}" if path else self._root or "/"


def _open_remote(url: str, scheme: str) -> Place:
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
    told = str(error).strip().splitlines() or [type(error).__name__]
    return ServiceUnavailable(
        f"{shown(url, 200)} cannot be reached: {told[0]}",
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
