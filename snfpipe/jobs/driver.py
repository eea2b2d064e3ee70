"""Who claims jobs: a process that drives productions, told from all others, living or dead."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from datetime import timedelta

from snfpipe.worker import processes


def identity() -> dict[str, str]:
    """Return what names this process."""
    return {"host": socket.gethostname(), "process": processes.identity(os.getpid())}


def has_let_go(claimer: Mapping[str, str], age: timedelta, grace_s: float) -> bool:
    """Tell whether a claim is nobody's any more.

    Parameters
    ----------
    claimer : mapping
        An :func:`identity`.
    age : timedelta
        How long ago it claimed.
    grace_s : float
        How long a claimer on another host, whom nobody can ask, is given.
    """
    if claimer.get("host") == socket.gethostname():
        return not processes.alive(claimer.get("process", ""))
    return age.total_seconds() > grace_s
