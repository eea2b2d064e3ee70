"""The ledger: what a job did, one JSON record a line, appended and synced, never rewritten.

Standard library only: every book-keeping command of a job script loads it.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from snfpipe import clock
from snfpipe.handles import opened

Record = dict[str, Any]


def append(path: Path, kind: str, **fields: Any) -> None:
    """Append one record; it is on disk when this returns."""
    append_all(path, [{"kind": kind, **fields}])


def append_all(path: Path, records: Iterable[Record]) -> None:
    """Append records by one write; they are on disk when this returns.

    Raises
    ------
    OSError
        Not all of it could be written.
    """
    now = round(clock.epoch_s(), 3)
    text = "".join(
        json.dumps({"kind": record["kind"], "time": now} | record, ensure_ascii=True) + "\n"
        for record in records
    ).encode()
    with opened(path, os.O_RDWR | os.O_APPEND | os.O_CREAT) as handle:
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            text = b"\n" + text  # closes a line that a kill has torn
        if os.write(handle, text) != len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(handle)


def read(path: Path) -> list[Record]:
    """Return the records, none where the ledger is missing or out of reach.

    Torn lines and lines of anybody else's are left out.
    """
    try:
        return [it for it in json_lines(path) if isinstance(it.get("kind"), str)]
    except OSError:
        return []


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file of JSON lines; a line that a kill has torn says nothing.

    Raises
    ------
    OSError
        The file is missing or out of reach.
    """
    for line in path.read_bytes().split(b"\n"):
        try:
            content = json.loads(line)
        except ValueError:
            continue
        if isinstance(content, dict):
            yield content
