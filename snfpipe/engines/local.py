"""The local engine: a process a job, at most so many at once over all that drive this site.

A slot is a file that a job's process tree holds locked: the lock is taken before the wrapper is
started, inherited by it and its descendants, and let go by the kernel when the last of them has
ended, whatever ended them.  So the slots tell, without a race, what runs, for everybody, and a
job needs no parent to be counted.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from signal import SIGTERM

from snfpipe import clock
from snfpipe.engines.base import EngineOutcome, EngineState, Submission
from snfpipe.errors import Refused, ServiceUnavailable
from snfpipe.worker import processes, wrapper

_BOOT_S = 10.0  # in which a wrapper that was just started says who it is
_KEPT = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ")


class LocalEngine:
    """Runs jobs on this machine.

    Parameters
    ----------
    folder : Path
        Where the slots are; shared by all that drive this site.
    slots : int
        Jobs at once.
    """

    name = "local"
    #: A lock that is free is the end of the tree that held it: nothing lags.
    grace_s = 0.0
    asks_scheduler = False
    notices: tuple[str, ...] = ()

    def __init__(self, folder: Path, slots: int) -> None:
        self._folder, self._slots = folder, slots
        self._started: dict[str, str] = {}
        self._children: list[subprocess.Popen[bytes]] = []
        folder.mkdir(parents=True, exist_ok=True)

    def capacity(self) -> int:
        """Return the number of free slots."""
        return max(0, self._slots - sum(1 for _ in self._running()))

    def submit(self, batch: Sequence[Submission]) -> dict[str, str]:
        """Start as many of `batch` as there are slots."""
        taken: dict[str, str] = {}
        for number in range(self._slots):
            if len(taken) == len(batch):
                break
            slot = _lock(self._folder / f"slot-{number:03}")
            if slot is not None:
                submission = batch[len(taken)]
                try:
                    taken[submission.token] = self._start(submission, slot)
                finally:
                    os.close(slot)  # the wrapper has it now
        return taken

    def refused(self, _engine_ids: Collection[str]) -> dict[str, str]:
        """Return nothing: whatever it takes it tries."""
        return {}

    def snapshot(self) -> Mapping[str, EngineState]:
        """Return what runs; nothing is ever queued here."""
        self._children = [child for child in self._children if child.poll() is None]
        running = {self._engine_id(*entry) for entry in self._running()}
        return dict.fromkeys(running - {""}, EngineState.RUNNING)

    def fill(self) -> None:
        """Do nothing: what has no slot is not taken."""

    def find(self, tokens: Collection[str]) -> dict[str, str]:
        """Return the running ones among `tokens`."""
        found = {
            token: self._engine_id(token, folder)
            for token, folder in self._running()
            if token in tokens
        }
        return {token: engine_id for token, engine_id in found.items() if engine_id}

    def folders(self, engine_ids: Collection[str]) -> dict[str, Path]:
        """Return the folders of those that still run."""
        found = {self._engine_id(token, folder): folder for token, folder in self._running()}
        return {ident: folder for ident, folder in found.items() if ident in engine_ids}

    def outcomes(self, engine_ids: Collection[str]) -> dict[str, EngineOutcome]:
        """Return nothing: the wrapper's ledger has it all."""
        return {}

    def cancel(self, engine_ids: Collection[str]) -> None:
        """Ask wrappers to end their trees."""
        for engine_id in engine_ids:
            processes.send(engine_id, SIGTERM)

    def hold(self, engine_ids: Collection[str]) -> None:
        """Refuse: jobs start at once here."""
        raise Refused(
            "the local engine starts jobs at once and cannot hold them",
            hint="`snf cancel` ends them; a batch site can hold",
        )

    def release(self, engine_ids: Collection[str]) -> None:
        """Refuse: nothing is ever held here."""
        raise Refused("the local engine holds no jobs", hint="they run, or have ended")

    def _start(self, submission: Submission, slot: int) -> str:
        """Start a wrapper in a session of its own; return its id."""
        folder = submission.script.parent
        entry = {"token": submission.token, "folder": str(folder)}
        _write(slot, entry)
        with submission.stdout.open("ab") as out, submission.stderr.open("ab") as err:
            child = subprocess.Popen(
                [sys.executable, "-I", "-m", wrapper.__name__, str(folder)],
                cwd=folder,
                env={name: os.environ[name] for name in _KEPT if name in os.environ},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                pass_fds=[slot],
                start_new_session=True,
            )
        self._children.append(child)
        process = self._started[submission.token] = processes.identity(child.pid)
        _write(slot, {**entry, "process": process})
        return process

    def _running(self) -> Iterator[tuple[str, Path]]:
        """Yield token and attempt folder of every slot that is held."""
        for path in sorted(self._folder.glob("slot-*")):
            entry = _held(path)
            if entry is not None:
                if "process" in entry:
                    self._started.setdefault(entry["token"], entry["process"])
                yield entry["token"], Path(entry["folder"])

    def _engine_id(self, token: str, folder: Path) -> str:
        """Return the id of a running submission, ours or anybody's; empty if it just ended."""
        if token in self._started:
            return self._started[token]
        deadline = clock.monotonic() + _BOOT_S
        while clock.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if text := (folder / "pid").read_text(encoding="ascii"):
                    self._started[token] = text
                    return text
            clock.sleep(0.02)
            if all(other != token for other, _ in self._running()):
                return ""
        raise ServiceUnavailable(
            f"the job in {folder} holds a slot, but does not say who it is",
            hint=f"look at the .err file there, and at who holds {self._folder}",
        )


def _open(path: Path) -> int:
    """Open a slot's file."""
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)


def _lock(path: Path) -> int | None:
    """Take a slot; return its handle, or None where somebody holds it."""
    slot = _open(path)
    try:
        fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(slot)
        return None
    return slot


def _held(path: Path) -> dict[str, str] | None:
    """Return what a held slot says, None for a free one."""
    slot = _open(path)
    try:
        fcntl.flock(slot, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(slot)
    else:
        return None
    finally:
        os.close(slot)


def _write(slot: int, entry: dict[str, str]) -> None:
    """Say who holds a slot."""
    text = json.dumps(entry).encode()
    os.pwrite(slot, text, 0)  # in this order: what it said before is never missing
    os.ftruncate(slot, len(text))


def _read(slot: int) -> dict[str, str] | None:
    """Return who holds a slot; None while that is not said yet."""
    try:
        return dict(json.loads(os.pread(slot, 1 << 16, 0)))
    except ValueError:
        return None
