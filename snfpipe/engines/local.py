"""The local engine: a process a job on this machine, as many at once as the site has slots.

A job's wrapper has a session of its own and outlives whoever started it.  It holds its slot by a
lock on a file, which it inherits and which ends with it: several drivers share the slots, and no
kill leaks one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from snfpipe.engines.base import EngineOutcome, EngineState, Submission

_PASSED = ("HOME", "LANG", "TMPDIR", "TZ", "USER", "LOGNAME")


class LocalEngine:
    """Jobs as processes of this machine.

    Parameters
    ----------
    folder : Path
        Where the slots' locks lie; drivers that share a folder share the slots.
    slots : int
        Jobs at once.
    """

    name = "local"

    def __init__(self, folder: Path, slots: int) -> None:
        self._slots = [folder / f"slot-{number:03}" for number in range(slots)]
        self._children: list[subprocess.Popen[bytes]] = []
        folder.mkdir(parents=True, exist_ok=True)

    def capacity(self) -> int:
        """Return the number of free slots."""
        self._collect()
        handles = [handle for path in self._slots if (handle := _lock(path)) is not None]
        for handle in handles:
            os.close(handle)
        return len(handles)

    def submit(self, batch: Sequence[Submission]) -> dict[str, str]:
        """Start a wrapper for each job there is a slot for."""
        taken: dict[str, str] = {}
        free = iter(self._slots)
        for job in batch:
            handle = next((h for path in free if (h := _lock(path)) is not None), None)
            if handle is None:
                break
            try:
                taken[job.token] = self._start(job, handle)
            finally:
                os.close(handle)
        return taken

    def find(self, batch: Iterable[Submission]) -> dict[str, str]:
        """Find wrappers by the id they wrote, or by their command line."""
        found: dict[str, str] = {}
        unknown: dict[str, str] = {}
        for job in batch:
            noted = _noted(job.folder / "pid")
            if noted:
                found[job.token] = noted
            else:
                unknown[str(job.folder)] = job.token
        if unknown:
            for pid, folder in _wrappers():
                if folder in unknown:
                    found[unknown[folder]] = f"{pid}:{_start_time(pid)}"
        return found

    def look(self, engine_ids: Iterable[str]) -> Mapping[str, EngineState]:
        """Return those whose process still is the one that was started."""
        self._collect()
        return {ident: EngineState.RUNNING for ident in engine_ids if _alive(ident)}

    def outcomes(self, engine_ids: Iterable[str]) -> Mapping[str, EngineOutcome]:
        """Return nothing: a local job's accounting is its own ledger."""
        return {}

    def cancel(self, engine_ids: Iterable[str]) -> None:
        """Ask wrappers to end their jobs."""
        for ident in engine_ids:
            if _alive(ident):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(ident.partition(":")[0]), signal.SIGTERM)

    def _start(self, job: Submission, slot: int) -> str:
        """Start one wrapper, which inherits the lock on its slot."""
        environment = {name: os.environ[name] for name in _PASSED if name in os.environ}
        process = subprocess.Popen(
            [sys.executable, "-m", "snfpipe.jobs.wrapper", str(job.folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=job.folder,
            env={**environment, "PATH": os.defpath},
            pass_fds=(slot,),
            start_new_session=True,
        )
        self._children.append(process)
        return f"{process.pid}:{_start_time(process.pid)}"

    def _collect(self) -> None:
        """Collect wrappers of ours that have ended, so that their ids do not linger."""
        self._children = [child for child in self._children if child.poll() is None]


def _lock(path: Path) -> int | None:
    """Take the lock of a slot, or return None where a job has it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _noted(path: Path) -> str:
    """Return the id a wrapper wrote of itself, or nothing."""
    try:
        pid, start = path.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return ""
    return f"{pid}:{start}"


def _wrappers() -> Iterable[tuple[int, str]]:
    """Yield process id and attempt folder of every wrapper on this machine."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
                if b"snfpipe.jobs.wrapper" in words:
                    yield int(entry), os.fsdecode(words[-2])


def _start_time(pid: int) -> str:
    """Return when a process began, in clock ticks since boot (proc(5), field 22)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _alive(ident: str) -> bool:
    """Tell whether the process of an id lives, and is not another one of the same number."""
    pid, _, start = ident.partition(":")
    return bool(start) and pid.isdigit() and _start_time(int(pid)) == start
