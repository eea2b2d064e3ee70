"""A process and all that descends from it, as /proc shows them.

Descendants that daemonise come back to the nearest ancestor that has declared itself their
reaper (``PR_SET_CHILD_SUBREAPER``), so none of them leaves the tree.  Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6


@dataclass(frozen=True, slots=True)
class Stat:
    """What ``/proc/<pid>/stat`` says: CPU time includes that of children waited for."""

    parent: int
    state: str
    cpu_s: float
    memory_mb: float
    started: int


def stat(pid: int) -> Stat | None:
    """Read one process; None once it is gone (proc(5), fields 3, 4, 14-17, 22, 24)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return Stat(
        parent=int(fields[1]),
        state=fields[0],
        cpu_s=sum(map(int, fields[11:15])) / _TICKS,
        memory_mb=int(fields[21]) * _PAGE_MB,
        started=int(fields[19]),
    )


def identity(pid: int) -> str:
    """Return ``pid:start time``, which no other process of this boot has; empty if gone."""
    found = stat(pid)
    return f"{pid}:{found.started}" if found else ""


def alive(process: str) -> bool:
    """Tell whether the process of an :func:`identity` still runs."""
    pid, _, started = process.partition(":")
    found = stat(int(pid)) if pid.isdigit() else None
    return found is not None and str(found.started) == started and found.state not in "ZX"


def send(process: str, number: signal.Signals) -> bool:
    """Signal the process of an :func:`identity`, and none that got its number later."""
    try:
        handle = os.pidfd_open(int(process.partition(":")[0]))
    except (ProcessLookupError, ValueError):
        return False
    try:
        there = alive(process)
        if there:
            signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return there


def descendants(process: str) -> list[str]:
    """Return the identities of all that descends from the process of an :func:`identity`."""
    if not alive(process):
        return []
    root = int(process.partition(":")[0])
    below = _below(root, _stats(_pids()))
    return [f"{pid}:{found.started}" for pid, found in below.items()]


def _pids() -> set[int]:
    """Return all processes there are."""
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}


def _stats(pids: Iterable[int]) -> dict[int, Stat]:
    """Read processes, as far as they are there."""
    return {pid: found for pid in pids if (found := stat(pid)) is not None}


def _below(root: int, seen: dict[int, Stat]) -> dict[int, Stat]:
    """Return those of some processes that descend from one."""
    tree = {root}
    while more := {pid for pid, it in seen.items() if it.parent in tree and pid not in tree}:
        tree |= more
    return {pid: seen[pid] for pid in tree - {root}}


def halt(process: str) -> list[str]:
    """Stop a process and all that descends from it, so that none starts another one any more.

    Returns
    -------
    list of str
        Their identities, for whoever ends them; none where the process is gone.
    """
    halted: list[str] = []
    found = [process] if alive(process) else []
    while found:
        for one in found:
            send(one, signal.SIGSTOP)
        halted += found
        found = [it for it in descendants(process) if it not in halted]
    return halted


def reap_descendants() -> None:
    """Make this process the parent of every descendant that loses its own.

    Raises
    ------
    OSError
        The system does not offer it.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "prctl")


class Tree:
    """The descendants of this process.

    A look reads /proc's list and the processes that are new in it: one that was no descendant
    never becomes one, unless its number is used again, so now and then all are read anew.
    """

    _FORGET_AFTER = 20

    def __init__(self) -> None:
        self.members: dict[int, Stat] = {}
        self._strangers: set[int] = set()
        self._looks = 0

    def look(self) -> None:
        """Bring `members` up to date."""
        self._looks += 1
        if self._looks % self._FORGET_AFTER == 0:
            self._strangers.clear()
        pids = _pids()
        self._strangers &= pids
        seen = _stats(pids - self._strangers)
        self.members = _below(os.getpid(), seen)
        self._strangers |= seen.keys() - self.members.keys()

    @property
    def living(self) -> list[int]:
        """Members that still run."""
        return [pid for pid, found in self.members.items() if found.state not in "ZX"]

    @property
    def cpu_s(self) -> float:
        """CPU time of all members, dead ones included, and of this process's dead children."""
        times = os.times()
        own = times.children_user + times.children_system
        return own + sum(found.cpu_s for found in self.members.values())

    @property
    def memory_mb(self) -> float:
        """Resident memory of all members; pages they share count for each."""
        return sum(found.memory_mb for found in self.members.values())

    def memory_shared_out_mb(self) -> float:
        """Resident memory, shared pages divided among those that share them (slower)."""
        total_kb = 0
        for pid in self.members:
            with suppress(OSError):
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                total_kb += sum(int(it.split()[1]) for it in lines if it.startswith("Pss:"))
        return total_kb * 1024 / 1e6

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to every living member."""
        for pid in self.living:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
