"""Places that run jobs, for the contract: each a site whose engine any process can reach."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from snfpipe.config.site import Site
from snfpipe.engines import make_engine
from snfpipe.engines.base import Engine, EngineState
from snfpipe.worker.spec import AttemptFolder
from tests.jobs.attempts import has_record, record, submission


@dataclass(frozen=True, slots=True)
class Place:
    """A site in a folder, and how often its engine may be asked."""

    engine: str
    root: Path
    slots: int = 4
    grace_s: float = 4.0
    pause_s: float = 0.2
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def site(self) -> Site:
        return Site(
            self.engine, self.engine, self.slots, self.pause_s, self.grace_s, "sqlite:///none",
            self.root / "raw", self.root / "archive", self.root / "jobs" / "SNF-02-03",
            self.settings,
        )  # fmt: skip

    def make(self) -> Engine:
        return make_engine(self.site)

    def to_json(self) -> str:
        """Return what another process makes the same place from."""
        return json.dumps([self.engine, str(self.root), self.slots, self.grace_s, self.pause_s,
                           self.settings])  # fmt: skip

    @classmethod
    def from_json(cls, text: str) -> Self:
        engine, root, *rest = json.loads(text)
        return cls(engine, Path(root), *rest)

    # --- waiting ----------------------------------------------------------------------------

    def look(self, engine: Engine) -> Mapping[str, EngineState]:
        """Do what a driver does once a cycle."""
        snapshot = engine.snapshot()
        engine.fill()
        return snapshot

    def wait_until(self, holds: Callable[[], Any], timeout_s: float = 40) -> None:
        deadline = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(self.pause_s)

    def wait_until_empty(self, engine: Engine, timeout_s: float = 60) -> None:
        self.wait_until(lambda: not self.look(engine), timeout_s)

    def ended(self, engine: Engine, folders: list[AttemptFolder]) -> list[dict[str, Any]]:
        """Wait for the end of attempts; return their last records."""
        self.wait_until_empty(engine)
        open_ones = [folder for folder in folders if not has_record(folder, "end")]
        told = [path for folder in open_ones for path in (folder.err, folder.engine_err)]
        assert not open_ones, [path.read_text() for path in told if path.exists()]
        return [record(folder, "end") for folder in folders]

    def submit_all(self, engine: Engine, folders: list[AttemptFolder]) -> dict[str, str]:
        """Submit until all are taken."""
        waiting = {(job := submission(folder)).token: job for folder in folders}
        taken: dict[str, str] = {}
        while waiting:
            new = engine.submit(list(waiting.values()))
            taken |= new
            for token in new:
                del waiting[token]
            if waiting:
                time.sleep(self.pause_s)
        return taken


def most_at_once(log: Path) -> int:
    """Return how many ran at once, from a log of ``+`` and ``-`` in the order they were written."""
    at_once = most = 0
    for line in log.read_text().splitlines():
        at_once += 1 if line.endswith("+") else -1
        most = max(most, at_once)
    return most
