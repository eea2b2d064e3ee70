"""A batch site's own settings: the table ``[settings]`` of its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from snfpipe.engines.arrays import Array

# The wrapper enforces a job's limits and says which one fell; the scheduler's come second.
_MARGIN = 1.2
_MARGIN_S = 60
_MARGIN_MB = 256


@dataclass(frozen=True, slots=True)
class Settings:
    """What a site says of its scheduler; the keys are explained in docs/engines.md."""

    queue: str = ""
    queues: Mapping[str, str] = field(default_factory=dict)
    request: str | None = None
    options: tuple[str, ...] = ()
    accounting: str = ""
    timeout_s: float = 60.0
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Self:
        """Return the settings of a site file, which its schema has checked."""
        return cls(**{**content, "options": tuple(content.get("options", ()))})

    def queue_of(self, plan: str) -> str:
        """Return a plan's queue; empty: whichever the scheduler takes."""
        return self.queues.get(plan, self.queue)

    def request_of(self, array: Array, default: str) -> str:
        """Return what is requested of the scheduler, its limits above the wrapper's."""
        template = default if self.request is None else self.request
        return template.format(
            cpu_s=int(array.cpu_s * _MARGIN) + _MARGIN_S,
            wall_s=int(array.wall_s * _MARGIN) + _MARGIN_S,
            wall_min=int(array.wall_s * _MARGIN + _MARGIN_S) // 60 + 1,
            memory_mb=int(array.memory_mb * _MARGIN) + _MARGIN_MB,
        )
