"""The ledger: what a job did, one JSON record a line, appended and synced, never rewritten.

Standard library only: every book-keeping command of a job script loads it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def append(path: Path, kind: str, **fields: Any) -> None:
    """Append one record; it is on disk when this returns."""
    record = {"kind": kind, "time": round(time.time(), 3), **fields}
    line = json.dumps(record, ensure_ascii=True) + "\n"
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            line = "\n" + line  # closes a line that a kill has torn
        os.write(handle, line.encode())
        os.fsync(handle)
    finally:
        os.close(handle)


def read(path: Path) -> list[Record]:
    """Return the records; torn lines and lines of anybody else's are left out."""
    return list(_records(path))


def _records(path: Path) -> Iterator[Record]:
    """Yield the records of a ledger, none where it is missing."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and isinstance(record.get("kind"), str):
            yield record
