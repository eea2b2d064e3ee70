"""Daemons of a private service: started in the foreground, known by process id and start time.

What runs and on which ports stands in ``daemons.json`` of the service's folder before it does
anything, so that any process can end it.  The file has one writer at a time: whoever is
:func:`~snfpipe.services.folders.alone` with the folder.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from typing import Any

from snfpipe import clock
from snfpipe.errors import NotFound, Refused, ServiceUnavailable, shown
from snfpipe.services import folders
from snfpipe.wholefile import text_of, write_whole
from snfpipe.worker import processes

_PORTS = range(20_000, 32_000)  # below what the system hands out by itself
_START_S = 60.0
_STOP_S = 15.0
_TAIL = 500
# A program waits here until it is written down; where nobody is left to let it go, it ends.
_GATE = ("/bin/sh", "-c", 'read -r go && exec "$@" </dev/null', "gate")


class Daemons:
    """The processes of one service.

    Parameters
    ----------
    folder : Path
        The service's folder.
    quick : Signals
        What ends a daemon of which nothing is to be kept.
    """

    def __init__(self, folder: Path, quick: Signals = SIGKILL) -> None:
        self.folder, self._quick = folder, quick
        self._path = folder / "daemons.json"
        self._made = folder / "made"
        self._children: list[subprocess.Popen[bytes]] = []

    def port(self, name: str) -> int:
        """Return a port of this service's own, the same each time."""
        content = self._read()
        ports: dict[str, int] = content.setdefault("ports", {})
        if name not in ports:
            ports[name] = _free_port(set(ports.values()))
            self._write(content)
        return ports[name]

    @property
    def made(self) -> bool:
        """Whether the making of the service came to its end."""
        return self._made.exists()

    def prepare(self) -> bool:
        """Tell whether the service is yet to be made; its folder is then empty.

        What somebody who was killed has left half made is ended and removed.

        Raises
        ------
        Refused
            The folder is not ours, or something in it cannot be removed.
        """
        folders.claim(self.folder)
        if not self.made:
            self.stop(kill=True)
            folders.clear(self.folder)
        return not self.made

    def finish(self) -> None:
        """Note that the service is made."""
        self._made.touch()

    def start(
        self,
        name: str,
        words: Sequence[str],
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        """Start a daemon that stays in the foreground, unless it runs; output goes to its log."""
        if not self.alive(name):
            self._spawn(name, words, environment, user)

    def run(
        self,
        name: str,
        words: Sequence[str],
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        """Run a program to its end, known as daemons are; output goes to its log.

        Raises
        ------
        ServiceUnavailable
            It failed, or takes too long; the end of its log is quoted.
        """
        child = self._spawn(name, words, environment, user)
        try:
            status = child.wait(_START_S)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            self.stop(name, kill=True)
        if status != 0:
            how = "has no end" if status is None else f"ended with {status}"
            raise ServiceUnavailable(
                f"{name} in {self.folder} {how}: {shown(self._last_words(name), _TAIL)}",
                hint=f"read {self.log(name)}, then `snf engine up` again",
            )

    def alive(self, name: str) -> bool:
        """Tell whether a daemon runs."""
        self._children = [child for child in self._children if child.poll() is None]
        return processes.alive(self._processes().get(name, ""))

    def wait(self, name: str, answers: Callable[[], bool]) -> None:
        """Wait until a daemon answers.

        Raises
        ------
        ServiceUnavailable
            It has ended, or takes too long; the end of its log is quoted.
        """
        deadline = clock.monotonic() + _START_S
        while self.alive(name) and clock.monotonic() < deadline:
            if answers():
                return
            clock.sleep(0.05)
        how = "does not answer" if self.alive(name) else "has ended"
        raise ServiceUnavailable(
            f"the private {name} in {self.folder} {how}: {shown(self._last_words(name), _TAIL)}",
            hint=f"read {self.log(name)}, then `snf engine down` and `up` again",
        )

    def stop(self, *names: str, kill: bool = False) -> None:
        """End daemons (all of them without a name) and all that descends from them."""
        known = self._processes()
        for name in names or [*known][::-1]:
            self._end(known.get(name, ""), self._quick if kill else SIGTERM)
        self._children = [child for child in self._children if child.poll() is None]

    def remove(self) -> None:
        """End everything at once, and remove the folder.

        Raises
        ------
        Refused
            The folder is not ours, or something in it cannot be removed.
        """
        folders.check_ours(self.folder)
        self.stop(kill=True)
        folders.remove(self.folder)

    def log(self, name: str) -> Path:
        """Return where a daemon's own words go."""
        return self.folder / f"{name}.log"

    def _spawn(
        self,
        name: str,
        words: Sequence[str],
        environment: Mapping[str, str] | None,
        user: str | None,
    ) -> subprocess.Popen[bytes]:
        """Start a program once its process is written down."""
        gate, opener = os.pipe()
        try:
            with self.log(name).open("ab") as log:
                child = subprocess.Popen(
                    [*_GATE, *words],
                    cwd=self.folder,
                    env=os.environ | (environment or {}),
                    stdin=gate,
                    stdout=log,
                    stderr=log,
                    user=user,
                    group=user,
                    extra_groups=[] if user else None,
                    start_new_session=True,
                )
            self._children.append(child)
            content = self._read()
            content.setdefault("processes", {})[name] = processes.identity(child.pid)
            self._write(content)
            os.write(opener, b"\n")
        finally:
            os.close(gate)
            os.close(opener)
        return child

    def _end(self, process: str, first: Signals) -> None:
        """End a process, gently first where the signal is, and all that descends from it."""
        tree = set(processes.descendants(process)) if processes.alive(process) else set()
        if first != SIGKILL and processes.send(process, first):
            _wait_for_end(process)
        doomed = tree.union(processes.halt(process))
        for one in doomed:
            processes.send(one, SIGKILL)
        for one in doomed:
            _wait_for_end(one)

    def _last_words(self, name: str) -> str:
        try:
            text = self.log(name).read_text(errors="replace")
        except OSError:
            return "(it said nothing)"
        return " ".join(text.split())[-_TAIL:] or "(it said nothing)"

    def _processes(self) -> dict[str, str]:
        """Return name -> identity of what was started here, in the order of starting."""
        return dict(self._read().get("processes", {}))

    def _read(self) -> dict[str, Any]:
        return dict(json.loads(text_of(self._path) or "{}"))

    def _write(self, content: dict[str, Any]) -> None:
        write_whole(self._path, json.dumps(content, indent=1))


def need(package: str, path: str) -> Path:
    """Return the newest of the files that a pattern finds, or name the Debian package it is of.

    Raises
    ------
    NotFound
        It is not installed.
    """
    found = sorted(Path("/").glob(path.lstrip("/")))
    if not found:
        raise NotFound(
            f"{path} is not there: Debian package {package} is not installed",
            hint=f"apt-get install --no-install-recommends {package}, or `make lint`, which "
            "installs all that tests need",
        )
    return found[-1]


def need_root(service: str) -> None:
    """Refuse to go on as an ordinary user."""
    if os.geteuid() != 0:
        raise Refused(
            f"a private {service} starts jobs as their users, and needs root for it",
            hint="run it as root (a container will do)",
        )


def _wait_for_end(process: str) -> None:
    """Wait for a process to end, but not for ever."""
    deadline = clock.monotonic() + _STOP_S
    while processes.alive(process) and clock.monotonic() < deadline:
        clock.sleep(0.02)


def _free_port(taken: set[int]) -> int:
    """Return a port that nothing listens on now."""
    while True:
        port = random.choice(_PORTS)  # noqa: S311 - no secret
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in taken:
            return port
