"""A private Slurm (22.05 of Debian): a controller, a node, and accounting by slurmdbd or by file.

It has a munged with a key of its own and, for slurmdbd, a MariaDB; all in one folder.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from snfpipe import clock
from snfpipe.engines.commands import Commands
from snfpipe.errors import ServiceUnavailable
from snfpipe.services.base import Service
from snfpipe.services.daemons import need, need_root

_CLUSTER = "private"
_JOBS_S = 20.0

_SLURM = """\
ClusterName={cluster}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld}
SlurmdPort={slurmd}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldParameters=enable_configless
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=5,batch_sched_delay=0,sched_min_interval=100000,\
default_queue_depth=1000
MaxArraySize={array}
MaxJobCount=50000
MinJobAge=5
KillWait=5
MessageTimeout={patience_s}
InactiveLimit=0
ReturnToService=2
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
DefMemPerCPU=2000
SlurmdParameters=config_overrides
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobcomp.txt
{accounting}
NodeName={host} NodeAddr=127.0.0.1 CPUs={slots} RealMemory=1000000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""

_BY_SLURMDBD = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge.socket"""

_SLURMDBD = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
PidFile={folder}/slurmdbd.pid
LogFile={folder}/slurmdbd.own.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={storage}
StorageUser=slurm
StoragePass={password}
StorageLoc=slurm
"""

_DATABASE = """\
CREATE DATABASE IF NOT EXISTS slurm;
CREATE USER IF NOT EXISTS slurm@'127.0.0.1' IDENTIFIED BY '{password}';
ALTER USER slurm@'127.0.0.1' IDENTIFIED BY '{password}';
GRANT ALL ON slurm.* TO slurm@'127.0.0.1';
"""


class SlurmCluster(Service):
    """A cluster of one node in a folder.

    Parameters
    ----------
    folder : Path
        Made where it is missing.
    slots : int
        Jobs that run at once.
    slurmdbd : bool
        Whether there is a slurmdbd for sacct; job completion records are written anyway.
    largest_array : int
        MaxArraySize, one more than the highest task number.
    patience_s : int
        How long the daemons wait for each other; a node that is slower is taken for dead, and so
        are its jobs.
    """

    name = "slurm"

    def __init__(
        self,
        folder: Path,
        slots: int = 360,
        *,
        slurmdbd: bool = True,
        largest_array: int = 10_001,
        patience_s: int = 3,
    ) -> None:
        super().__init__(folder)
        self._slots, self._slurmdbd, self.largest_array = slots, slurmdbd, largest_array
        self._patience_s = patience_s

    @property
    def environment(self) -> dict[str, str]:
        """What every command of this cluster needs."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def _names(self) -> Sequence[str]:
        storage = ["mariadb", "slurmdbd"] if self._slurmdbd else []
        return ["munged", *storage, "slurmctld", "slurmd"]

    def _check(self) -> None:
        need_root("Slurm")
        for package, program in {
            "munge": "munged", "slurmctld": "slurmctld", "slurmd": "slurmd",
            **({"slurmdbd": "slurmdbd", "mariadb-server": "mariadbd"} if self._slurmdbd else {}),
        }.items():  # fmt: skip
            need(package, f"/usr/sbin/{program}")
        need("slurm-client", "/usr/bin/sbatch")

    def _start(self, *, new: bool) -> None:
        if new:
            self._make()
        self._start_munged()
        if self._slurmdbd:
            self.start_slurmdbd()
        self.start_controller()
        self.start_node()

    def _end_jobs(self) -> None:
        """End what runs; processes of a job do not descend from the daemons."""
        if not self.is_up():
            return
        deadline = clock.monotonic() + _JOBS_S
        with suppress(ServiceUnavailable):
            self._commands.call("scancel", "--full", "--signal=KILL", "--state=RUNNING")
            while clock.monotonic() < deadline:
                if not self._commands.ask("squeue", "-h", "-t", "RUNNING,COMPLETING"):
                    return
                clock.sleep(0.1)

    def command(self, *words: str) -> str:
        """Run one of Slurm's commands on this cluster; return what it prints."""
        return self._commands.ask(*words)

    def start_controller(self) -> None:
        """Start slurmctld and wait until it answers."""
        self.daemons.start("slurmctld", ["/usr/sbin/slurmctld", "-D"], self.environment)
        self.daemons.wait("slurmctld", lambda: self._works("scontrol", "ping"))

    def start_node(self) -> None:
        """Start slurmd and wait until its node takes jobs."""
        self.daemons.start("slurmd", ["/usr/sbin/slurmd", "-D"], self.environment)
        self.daemons.wait("slurmd", self._idle)

    def start_slurmdbd(self) -> None:
        """Start MariaDB and slurmdbd, and wait until sacct's questions are answered."""
        data = self.folder / "mariadb"
        self.daemons.start(
            "mariadb",
            ["/usr/sbin/mariadbd", "--no-defaults", "--user=root", f"--datadir={data}",
             f"--socket={data}/socket", f"--pid-file={data}/pid", "--bind-address=127.0.0.1",
             f"--port={self.daemons.port('mariadb')}", "--innodb-flush-log-at-trx-commit=2",
             "--innodb-buffer-pool-size=64M", f"--init-file={self.folder}/database.sql"],
        )  # fmt: skip
        ping = ("mariadb-admin", "--no-defaults", f"--socket={data}/socket", "ping")
        self.daemons.wait("mariadb", lambda: self._works(*ping))
        self.daemons.start("slurmdbd", ["/usr/sbin/slurmdbd", "-D"], self.environment)
        add = ("sacctmgr", "-i", "add", "cluster", _CLUSTER)
        known = ("sacctmgr", "-n", "list", "cluster")
        self.daemons.wait(
            "slurmdbd",
            lambda: _CLUSTER in self._commands.call(*known).out or self._works(*add),
        )

    @property
    def _commands(self) -> Commands:
        return Commands(self.environment)

    def _works(self, *words: str) -> bool:
        return self._commands.call(*words).status == 0

    def _idle(self) -> bool:
        return self._commands.call("sinfo", "-h", "-o", "%T").out in ("idle", "mixed", "allocated")

    def _start_munged(self) -> None:
        """Start munged; that its folder is closed to others does not problem root's jobs."""
        socket_path = f"{self.folder}/munge.socket"
        self.daemons.start(
            "munged",
            ["/usr/sbin/munged", "--foreground", "--force", "--num-threads=10",
             f"--socket={socket_path}", *(f"--{kind}-file={self.folder}/munge.{kind}"
                                          for kind in ("key", "pid", "log", "seed"))],
        )  # fmt: skip
        self.daemons.wait("munged", lambda: self._works("munge", "-n", "-S", socket_path))

    def _make(self) -> None:
        """Write a new cluster's files."""
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        self._write_private("munge.key", secrets.token_bytes(128))
        storage = ""
        if self._slurmdbd:
            self._make_storage(secrets.token_hex(16))
            storage = _BY_SLURMDBD.format(port=self.daemons.port("slurmdbd"), folder=self.folder)
        (self.folder / "slurm.conf").write_text(
            _SLURM.format(
                cluster=_CLUSTER,
                host=socket.gethostname(),
                folder=self.folder,
                ctld=self.daemons.port("slurmctld"),
                slurmd=self.daemons.port("slurmd"),
                slots=self._slots,
                array=self.largest_array,
                patience_s=self._patience_s,
                accounting=storage or "AccountingStorageType=accounting_storage/none",
            )
        )

    def _make_storage(self, password: str) -> None:
        """Make slurmdbd's configuration and an empty database that opens to it alone."""
        self._write_private(
            "slurmdbd.conf",
            _SLURMDBD.format(
                folder=self.folder,
                port=self.daemons.port("slurmdbd"),
                storage=self.daemons.port("mariadb"),
                password=password,
            ).encode(),
        )
        self._write_private("database.sql", _DATABASE.format(password=password).encode())
        self.daemons.run(
            "mariadb-install-db",
            ["mariadb-install-db", "--no-defaults", "--user=root", "--skip-test-db",
             f"--datadir={self.folder}/mariadb"],
        )  # fmt: skip

    def _write_private(self, name: str, content: bytes) -> None:
        """Write a file that only root reads."""
        handle = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
