"""A private PostgreSQL cluster, reached by a socket in its folder and by nobody else."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from signal import SIGQUIT

from snfpipe.errors import Refused, ServiceUnavailable, shown
from snfpipe.services.base import Service
from snfpipe.services.daemons import need

_PROGRAMS = "/usr/lib/postgresql/*/bin/initdb"
_SOCKET = 90  # letters of the folder, so that a socket's path in it is not too long (unix(7))
_OPTIONS = {
    "listen_addresses": "",
    "max_connections": "400",
    "fsync": "off",
    "log_min_messages": "warning",
}


class PostgreSQL(Service):
    """A cluster in a folder, its superuser ``snf``, with an empty database ``snfpipe``.

    Parameters
    ----------
    folder : Path
        Made where it is missing.
    """

    name = "postgresql"
    quick = SIGQUIT  # killed, it leaves shared memory behind
    port = 5432  # only the socket's name has it

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._user = "postgres" if os.geteuid() == 0 else None  # initdb refuses to run as root

    @property
    def bin(self) -> Path:
        """The folder of the newest version's programs."""
        return need("postgresql", _PROGRAMS).parent

    @property
    def environment(self) -> dict[str, str]:
        """What makes snfpipe use it."""
        return {"SNF_DATABASE_URL": self.url("snfpipe")}

    def url(self, database: str) -> str:
        """Return the URL of one database of the cluster."""
        return f"postgresql://snf@/{database}?host={self.folder}&port={self.port}"

    def _names(self) -> Sequence[str]:
        return ("postgresql",)

    def _check(self) -> None:
        need("postgresql", _PROGRAMS)
        if len(str(self.folder)) > _SOCKET:
            raise Refused(
                f"the path {self.folder} is too long for a socket",
                hint="name a shorter one: snf engine up --folder /tmp/engines postgresql",
            )

    def _start(self, *, new: bool) -> None:
        if new:
            self._open_folder()
            words = ("-D", str(self.folder / "data"), "-A", "trust", "-U", "snf", "-E", "UTF8")
            self.daemons.run("initdb", [str(self.bin / "initdb"), *words], user=self._user)
        self.start()
        if new:
            self.create("snfpipe")

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = [word for item in _OPTIONS.items() for word in ("-c", "=".join(item))]
        self.daemons.start(
            "postgresql",
            [str(self.bin / "postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder),
             "-p", str(self.port), *options],
            user=self._user,
        )  # fmt: skip
        self.daemons.wait("postgresql", self._answers)

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server, leaving its data; `mode` as pg_ctl has it."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", mode, "-w", "stop")
        self.daemons.stop("postgresql")  # pg_ctl returns a moment before the process is gone

    def create(self, database: str) -> None:
        """Create an empty database."""
        self._run("createdb", *self._reach, "-U", "snf", database)

    @property
    def _reach(self) -> list[str]:
        return ["-h", str(self.folder), "-p", str(self.port)]

    def _answers(self) -> bool:
        words = [str(self.bin / "pg_isready"), "-q", *self._reach]
        return subprocess.run(words, check=False).returncode == 0

    def _open_folder(self) -> None:
        """Give the folder to the server's user; refuse one that is closed to that user."""
        if self._user is None:
            return
        shutil.chown(self.folder, self._user, self._user)
        words = ["test", "-w", str(self.folder)]
        reach = subprocess.run(words, user=self._user, group=self._user, extra_groups=[],
                               cwd="/", check=False)  # fmt: skip
        if reach.returncode != 0:
            raise Refused(
                f"PostgreSQL does not run as root, and user {self._user} cannot reach "
                f"{self.folder}",
                hint="name a folder elsewhere: snf engine up --folder /tmp/engines postgresql",
            )

    def _run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs to its end."""
        done = subprocess.run(
            [self.bin / program, *arguments],
            user=self._user,
            group=self._user,
            extra_groups=[] if self._user else None,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=60,
        )
        if done.returncode != 0:
            raise ServiceUnavailable(
                f"{program} ended with {done.returncode}: "
                f"{shown(done.stderr.decode(errors='replace').strip(), 300)}",
                hint=f"read the logs in {self.folder}",
            )
