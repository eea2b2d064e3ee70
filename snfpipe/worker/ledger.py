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
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            text = b"\n" + text  # closes a line that a kill has torn
        if os.write(handle, text) != len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(handle)
    finally:
        os.close(handle)


def read(path: Path) -> list[Record]:
    """Return the records; torn lines and lines of anybody else's are left out."""
    return list(_records(path))


def _records(path: Path) -> Iterator[Record]:
    """Yield the records of a ledger, none where it is missing or out of reach."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and isinstance(record.get("kind"), str):
            yield record
