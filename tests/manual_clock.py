"""A clock that a test moves: nobody waits, and no outcome hangs on how busy the machine is."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from snfpipe import clock


@dataclass
class ManualClock:
    """A time that stands still, but for what the test moves it on and what the code sleeps."""

    epoch_s: float
    monotonic_s: float

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.epoch_s += seconds
        self.monotonic_s += seconds


@pytest.fixture
def manual_clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """The project's clock, in this process only: for tests that wait for no other one."""
    moved = ManualClock(float(int(clock.epoch_s())), 0.0)
    monkeypatch.setattr(clock, "epoch_s", lambda: moved.epoch_s)
    monkeypatch.setattr(clock, "monotonic", lambda: moved.monotonic_s)
    monkeypatch.setattr(clock, "sleep", moved.move)
    return moved
