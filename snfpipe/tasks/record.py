"""doit's own record, kept as a cache that may be lost, cut short or spoilt at any time.

doit remembers, per task, the stamp of each manifest the task read.  Written out as it is, that
repeats every path for every reader; here each (path, stamp) is written once and tasks refer to
it.  Whether a unit is fresh is decided by digests (:mod:`snfpipe.units.freshness`); the stamps
only tell doit that a manifest was rewritten since its readers were last looked at.
"""

from __future__ import annotations

import json
from typing import Any

from doit.dependency import FileChangedChecker

from snfpipe.jobs.manifest import stamp_of

_FORMAT = 1
_IGNORED = "ignore:"
_Record = dict[str, dict[str, Any]]


class ManifestChecker(FileChangedChecker):  # type: ignore[misc]  # doit has no types
    """Tell a rewritten manifest by its stamp; never read it.

    A missing one is no error: a unit that waits for a validation leaves none.

    Parameters
    ----------
    stamps : dict
        Path -> stamp, for the manifests that were looked at already; shared with whoever
        writes them, who takes the path out.
    """

    def __init__(self, stamps: dict[str, int]) -> None:
        self.stamps = stamps

    def exists(self, file_path: str) -> bool:
        """Tell whether a manifest is there."""
        return self.info(file_path) != 0

    def info(self, file_path: str) -> int:
        """Return a manifest's stamp."""
        stamp = self.stamps.get(file_path)
        return stamp_of(file_path) if stamp is None else stamp

    def check_modified(self, file_path: str, file_stat: int, state: int) -> bool:
        """Tell whether the stamp moved."""
        return file_stat != state

    def get_state(self, dep: str, current_state: int | None) -> int | None:
        """Return the stamp to remember, or None for the one that is remembered already."""
        stamp = self.info(dep)
        return None if stamp == current_state else stamp


class RecordCodec:
    """Turn doit's record into a short text and back; a spoilt text is an empty record."""

    def encode(self, record: _Record) -> str:
        """Return the text of a whole record."""
        numbers: dict[tuple[str, int], int] = {}
        tasks = {
            name: [
                numbers.setdefault(item, len(numbers))
                for item in values.items()
                if item[0][-1] != ":"
            ]
            for name, values in record.items()
        }
        ignored = [name for name, values in record.items() if values.get(_IGNORED)]
        return json.dumps([_FORMAT, list(numbers), tasks, ignored], separators=(",", ":"))

    def decode(self, text: str) -> _Record:
        """Return the record that `text` holds, as far as it can be read."""
        try:
            version, stamps, tasks, ignored = json.loads(text)
            if version != _FORMAT:
                return {}
            items = [(str(path), int(stamp)) for path, stamp in stamps]
            record: _Record = {
                name: dict([items[i] for i in found]) for name, found in tasks.items()
            }
            for name in ignored:
                record[name][_IGNORED] = "1"
            return record
        except (ValueError, TypeError, LookupError, AttributeError):
            return {}
