"""What was read of a night, and what an ingest reports of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from snfpipe.ingest.cards import Frame
from snfpipe.ingest.logs import Log
from snfpipe.ingest.problems import Problem, not_taken
from snfpipe.ingest.scan import Found
from snfpipe.names import Night


@dataclass(frozen=True, slots=True)
class Taken:
    """A frame that was read, its file and the checksum of its bytes."""

    found: Found
    frame: Frame
    checksum: str


@dataclass(slots=True)
class NightFiles:
    """What was read of a night: frames, what is none with the reason, the log, the targets.

    ``gone`` are the paths of files that could not be taken and have been removed since; ``table``
    is the log's file where it is new or changed.
    """

    night: Night
    taken: list[Taken] = field(default_factory=list)
    bad: list[tuple[Found, str]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    log: Log = field(default_factory=Log)
    table: Found | None = None
    targets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(slots=True)
class NightReport:
    """What was ingested of one night, or with an empty night of the folder around all of them.

    Names of frames; path -> reason of what was not taken; what frames and log disagree on or lack;
    notes on odd headers.
    """

    night: str
    taken: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def all_problems(self) -> list[Problem]:
        """Its problems, and what was not taken."""
        refused = [not_taken(self.night, path, why) for path, why in self.unreadable.items()]
        return [*refused, *self.problems]


def notes_of(taken: Sequence[Taken]) -> dict[str, Sequence[str]]:
    """Return frame or exposure -> notes on it."""
    notes: dict[str, Sequence[str]] = {str(it.frame.name): it.frame.warnings for it in taken}
    times: dict[str, set[float | None]] = {}
    for it in taken:
        name = it.frame.name
        times.setdefault(f"{name.exposure} of class {name.fclass:02}", set()).add(
            it.frame.number("EXPTIME")
        )
    differ = {where for where, values in times.items() if len(values) > 1}
    return notes | {where: ["EXPTIME differs between channels"] for where in sorted(differ)}
