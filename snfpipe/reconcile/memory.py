"""What the last scan saw without a row: only what two scans saw unchanged counts as orphaned."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from snfpipe.storage.base import Seen
from snfpipe.wholefile import write_whole

_FORMAT = 1


def read_memory(path: Path) -> dict[str, Seen]:
    """Return what the last scan saw; nothing where there was none, or none that can be read."""
    with suppress(OSError, ValueError, TypeError, LookupError):
        content = json.loads(path.read_text(encoding="ascii"))
        if content["format"] == _FORMAT:
            return {name: Seen(*seen) for name, seen in content["seen"].items()}
    return {}


def write_memory(path: Path, seen: Mapping[str, Seen]) -> None:
    """Remember what this scan saw; written aside and renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps({"format": _FORMAT, "seen": seen}))
