"""Daemons of a private service: started in the foreground, known by process id and start time.

What runs and on which ports stands in ``daemons.json`` of the service's folder, so that any
process can end it.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any

from snfpipe.engines import processes
from snfpipe.errors import NotFound, Refused, ServiceUnavailable, shown

_PORTS = range(20_000, 32_000)  # below what the system hands out by itself
_START_S = 60.0
_STOP_S = 15.0
_TAIL = 500


class Daemons:
    """The processes of one service.

    Parameters
    ----------
    folder : Path
        The service's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / "daemons.json"
        self._children: list[subprocess.Popen[bytes]] = []

    def port(self, name: str) -> int:
        """Return a port of this service's own, the same each time."""
        content = self._read()
        ports: dict[str, int] = content.setdefault("ports", {})
        if name not in ports:
            ports[name] = _free_port(set(ports.values()))
            self._write(content)
        return ports[name]

    def start(
        self,
        name: str,
        words: Sequence[str],
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        """Start a daemon that stays in the foreground, unless it runs; output goes to its log."""
        if self.alive(name):
            return
        with self.log(name).open("ab") as log:
            child = subprocess.Popen(
                words,
                cwd=self.folder,
                env=os.environ | (environment or {}),
                stdin=subprocess.DEVNULL,
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
        deadline = time.monotonic() + _START_S
        while self.alive(name) and time.monotonic() < deadline:
            if answers():
                return
            time.sleep(0.05)
        how = "does not answer" if self.alive(name) else "has ended"
        raise ServiceUnavailable(
            f"the private {name} in {self.folder} {how}: {shown(self._last_words(name), _TAIL)}",
            hint=f"read {self.log(name)}, then `snf engine down` and `up` again",
        )

    def stop(self, *names: str, kill: bool = False) -> None:
        """End daemons (all of them without a name) and all that descends from them."""
        known = self._processes()
        chosen = [known[name] for name in names or [*known][::-1] if name in known]
        trees = {one: processes.descendants(one) for one in chosen}
        for one in chosen:
            if not kill:
                processes.send(one, SIGTERM)
                self._wait_for_end(one, _STOP_S)
            processes.send(one, SIGKILL)
            self._wait_for_end(one, _STOP_S)
        for orphan in {it for tree in trees.values() for it in tree}:
            processes.send(orphan, SIGKILL)
        self._children = [child for child in self._children if child.poll() is None]

    def remove(self) -> None:
        """End everything at once, and remove the folder."""
        self.stop(kill=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self, name: str) -> Path:
        """Return where a daemon's own words go."""
        return self.folder / f"{name}.log"

    def _wait_for_end(self, process: str, patience_s: float) -> None:
        """Wait for a process to end, for so long."""
        deadline = time.monotonic() + patience_s
        while processes.alive(process) and time.monotonic() < deadline:
            time.sleep(0.02)

    def _last_words(self, name: str) -> str:
        try:
            text = self.log(name).read_text(errors="replace")
        except OSError:
            return "(it said nothing)"
        return " ".join(text.split())[-_TAIL:] or "(it said nothing)"

    def _processes(self) -> dict[str, str]:
        """Return name -> identity of what was started here, in the order of starting."""
        known: dict[str, str] = self._read().get("processes", {})
        return known

    def _read(self) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads(self._path.read_text())
        except FileNotFoundError:
            return {}
        return content

    def _write(self, content: dict[str, Any]) -> None:
        aside = self._path.with_suffix(".new")
        aside.write_text(json.dumps(content, indent=1))
        aside.replace(self._path)


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
