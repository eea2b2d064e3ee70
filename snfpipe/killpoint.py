"""Named points at which tests kill the process for real, to hold what must survive it."""

from __future__ import annotations

import os
import signal

_seen: dict[str, int] = {}


def killpoint(name: str) -> None:
    """End this process by SIGKILL where ``SNF_KILL_AT`` names this point (``name`` or ``name@n``).

    With ``@n`` the n-th passage kills.  Without the variable this does nothing.
    """
    wanted = os.environ.get("SNF_KILL_AT")
    if wanted is None:
        return
    point, _, turn = wanted.partition("@")
    if point == name:
        _seen[name] = _seen.get(name, 0) + 1
        if _seen[name] >= int(turn or 1):
            os.kill(os.getpid(), signal.SIGKILL)
