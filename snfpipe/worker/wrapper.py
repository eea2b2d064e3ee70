"""What an engine starts: runs a job's script within its limits and says how it ended.

``python -m snfpipe.worker.wrapper ATTEMPT_FOLDER``.  CPU time, memory and time are held over the
whole process tree, the same on every engine; whichever falls is named in the ledger's last
record.  Standard library only.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snfpipe import clock
from snfpipe.worker import ledger, processes
from snfpipe.worker.loaded import Loaded
from snfpipe.worker.spec import SUPERSEDED, AttemptFolder, JobSpec

_FIRST_LOOK_S = 0.1
_LONGEST_PAUSE_S = 1.0
_KILL_AFTER_S = 3.0
_TELL_EVERY_S = 5.0
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGXCPU, signal.SIGUSR2)
_WATCHED = (signal.SIGCHLD, *_ENDING)


@dataclass
class Watch:
    """A running script and what is known of it."""

    script: int
    limits: dict[str, int]
    tree: processes.Tree
    began: float
    status: int | None = None
    memory_mb: float = 0.0
    limit: str = ""
    stopped_by: str = ""
    leftovers: int = 0
    loaded: Loaded = field(default_factory=Loaded)

    def look(self) -> None:
        """Measure the tree and note the first limit it is over."""
        self.tree.look()
        self.loaded.look(pid for pid in self.tree.living if pid != self.script)
        memory_mb = self.tree.memory_mb
        if memory_mb > self.limits["memory_mb"]:
            memory_mb = self.tree.memory_shared_out_mb()
        self.memory_mb = max(self.memory_mb, memory_mb)
        used = {
            "cpu_s": self.tree.cpu_s,
            "memory_mb": memory_mb,
            "wall_s": clock.monotonic() - self.began,
        }
        if not self.limit:
            self.limit = next((name for name in used if used[name] > self.limits[name]), "")

    def reap(self) -> bool:
        """Collect all children that have ended; tell whether none is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid == 0:
                return False
            if pid == self.script:
                self.status = os.waitstatus_to_exitcode(status)


def run(folder: AttemptFolder) -> int:
    """Run the attempt in `folder`; return the script's exit status."""
    spec = folder.load()
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    processes.reap_descendants()
    folder.pid.write_text(processes.identity(os.getpid()), encoding="ascii")
    started = clock.epoch_s()
    watch = Watch(_start(folder, spec), spec.limits, processes.Tree(), clock.monotonic())
    _watch(watch, folder.usage, started)
    _end_all(watch)
    if watch.status == SUPERSEDED:
        ledger.append(folder.ledger, "superseded", host=socket.gethostname(), pid=os.getpid())
    else:
        ledger.append(folder.ledger, "end", **_end_record(watch, started))
    return watch.status if watch.status is not None and watch.status >= 0 else 1


def _start(folder: AttemptFolder, spec: JobSpec) -> int:
    """Start the script; its environment is empty but for the proof that it is."""
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        "/bin/bash",
        ["bash", str(folder.script)],
        {"SNF_TOKEN": spec.token, "SNF_BY_HAND": ""},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(folder.out), append, 0o644),
            (os.POSIX_SPAWN_OPEN, 2, str(folder.err), append, 0o644),
        ],
        setsigmask=[],
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, *_WATCHED],
    )


def _watch(watch: Watch, usage: Path, started: float) -> None:
    """Return when the script has ended, or must; keep `usage` up to date."""
    told = float("-inf")
    while True:
        watch.reap()
        if watch.status is not None:
            return
        watch.look()
        if clock.monotonic() - told > _TELL_EVERY_S:
            told = clock.monotonic()
            _tell(watch, usage, started)
        if watch.limit:
            return
        age_s = clock.monotonic() - watch.began
        _pause(watch, min(_LONGEST_PAUSE_S, max(_FIRST_LOOK_S, age_s / 20)))
        if watch.stopped_by:
            return


def _tell(watch: Watch, usage: Path, started: float) -> None:
    """Say how much CPU time was used and may be; a disk that is full is no reason to end."""
    text = f"{watch.tree.cpu_s:.1f} {watch.limits['cpu_s']} {started:.1f}\n"
    with suppress(OSError):
        usage.write_text(text, encoding="ascii")


def _pause(watch: Watch, pause_s: float) -> None:
    """Wait for a child's end, for a signal that ends the job, or for `pause_s`."""
    info = signal.sigtimedwait(_WATCHED, pause_s)
    if info is not None and info.si_signo in _ENDING and not watch.stopped_by:
        watch.stopped_by = signal.Signals(info.si_signo).name


def _end_all(watch: Watch) -> None:
    """End whatever still runs: politely, and after a grace not so."""
    ended_by_itself = watch.status is not None
    deadline = clock.monotonic() + _KILL_AFTER_S
    while not watch.reap():
        watch.look()
        if ended_by_itself:
            watch.leftovers = max(watch.leftovers, len(watch.tree.living))
        over = clock.monotonic() > deadline
        watch.tree.signal(signal.SIGKILL if over else signal.SIGTERM)
        _pause(watch, 0.05)


def _end_record(watch: Watch, started: float) -> dict[str, Any]:
    """Return the fields of the ledger's last record."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    status = watch.status if watch.status is not None else -signal.SIGKILL
    return {
        "started": round(started, 3),
        "host": socket.gethostname(),
        "exit_status": status if status >= 0 else None,
        "signal": -status if status < 0 else None,
        "limit": watch.limit,
        "limits": watch.limits,
        "stopped_by": watch.stopped_by,
        "leftovers": watch.leftovers,
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 3),
        "memory_mb": round(max(watch.memory_mb, usage.ru_maxrss * 1024 / 1e6), 1),
        "wall_s": round(clock.monotonic() - watch.began, 3),
        "packages": watch.loaded.packages(),
        "libraries": watch.loaded.libraries(),
    }


def main() -> int:
    """Run the attempt whose folder is the only argument."""
    if len(sys.argv) != 2:
        print("usage: python -m snfpipe.worker.wrapper ATTEMPT_FOLDER", file=sys.stderr)
        return 2
    return run(AttemptFolder.at(Path(sys.argv[1])))


if __name__ == "__main__":
    sys.exit(main())
