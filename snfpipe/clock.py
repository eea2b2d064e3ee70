"""The one clock of the project: every other module asks it, so that a test can move time.

Two times, as the operating system keeps them: the time of day, which people and other machines
share and which may be set back, and a monotonic one, which only measures how long something takes.
Waiting is here as well, because whoever moves the one has to move the other.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime


def epoch_s() -> float:
    """Return the time of day: seconds since 1970-01-01 UTC."""
    return time.time()


def utc_now() -> datetime:
    """Return the time of day as the database keeps times: UTC, without a time zone."""
    return datetime.fromtimestamp(epoch_s(), UTC).replace(tzinfo=None)


def monotonic() -> float:
    """Return seconds since an arbitrary moment of this machine; they never run backwards."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)
