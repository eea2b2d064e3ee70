"""A private Grid Engine cell (Son of Grid Engine 8.1.9 of Debian): one host, one queue.

The installed programs are used through links; the system's own cell is left alone.
"""

from __future__ import annotations

import os
import pwd
import re
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from snfpipe.engines.commands import Commands
from snfpipe.services.base import Service
from snfpipe.services.daemons import need, need_root

_LIBRARY = Path("/usr/lib/gridengine")
_SHARED = Path("/usr/share/gridengine")
_CELL = "private"

_HOST = """\
hostname localhost
load_scaling NONE
complex_values NONE
user_lists NONE
xuser_lists NONE
projects NONE
xprojects NONE
usage_scaling NONE
report_variables NONE
"""

_QUEUE = """\
qname {name}
hostlist localhost
seq_no 0
load_thresholds NONE
suspend_thresholds NONE
nsuspend 1
suspend_interval 00:05:00
priority 0
min_cpu_interval 00:05:00
processors UNDEFINED
qtype BATCH
ckpt_list NONE
pe_list NONE
rerun FALSE
slots {slots}
tmpdir /tmp
shell /bin/bash
prolog NONE
epilog NONE
shell_start_mode unix_behavior
starter_method NONE
suspend_method NONE
resume_method NONE
terminate_method NONE
notify 00:00:10
owner_list NONE
user_lists NONE
xuser_lists NONE
subordinate_list NONE
complex_values NONE
projects NONE
xprojects NONE
calendar NONE
initial_state default
s_rt INFINITY
h_rt INFINITY
s_cpu INFINITY
h_cpu INFINITY
s_fsize INFINITY
h_fsize INFINITY
s_data INFINITY
h_data INFINITY
s_stack INFINITY
h_stack INFINITY
s_core INFINITY
h_core INFINITY
s_rss INFINITY
h_rss INFINITY
s_vmem INFINITY
h_vmem INFINITY
"""


class GridEngineCell(Service):
    """A cell in a folder.

    Parameters
    ----------
    folder : Path
        Made where it is missing.
    slots : int
        Jobs that run at once.
    groups : str
        ``gid_range``; narrower than `slots`, jobs fail to start and some are lost.
    """

    name = "grid_engine"

    def __init__(self, folder: Path, slots: int = 360, groups: str = "30000-39999") -> None:
        super().__init__(folder)
        self._slots, self._groups = slots, groups

    @property
    def environment(self) -> dict[str, str]:
        """What every command of this cell needs."""
        return {
            "SGE_ROOT": str(self.folder / "root"),
            "SGE_CELL": _CELL,
            "SGE_QMASTER_PORT": str(self.daemons.port("qmaster")),
            "SGE_EXECD_PORT": str(self.daemons.port("execd")),
        }

    @property
    def common(self) -> Path:
        """The cell's folder of shared files, ``accounting`` among them."""
        return self.folder / "root" / _CELL / "common"

    def _names(self) -> Sequence[str]:
        return "qmaster", "execd"

    def _check(self) -> None:
        need_root("Grid Engine")
        for package, program in (
            ("master", "sge_qmaster"), ("exec", "sge_execd"), ("client", "qsub"),
        ):  # fmt: skip
            need(f"gridengine-{package}", f"{_LIBRARY}/{program}")

    def _start(self, *, new: bool) -> None:
        if new:
            self._make()
        self.start_master()
        if new:
            self._ask("qconf", "-as", "localhost")
            self._ask("qconf", "-Ae", self._file("host", _HOST))
            self._configure_scheduler()
        self.start_execd()
        if new:
            queue = _QUEUE.format(name="all.q", slots=self._slots)
            self._ask("qconf", "-Aq", self._file("queue", queue))

    def start_master(self) -> None:
        """Start the qmaster and wait until it answers."""
        self._run("qmaster")
        self.daemons.wait("qmaster", lambda: self._commands.call("qconf", "-sh").status == 0)

    def start_execd(self) -> None:
        """Start the execution daemon."""
        self._run("execd")

    def _run(self, name: str) -> None:
        """Start a daemon in the foreground."""
        words = [str(_LIBRARY / f"sge_{name}")]
        self.daemons.start(name, words, self.environment | {"SGE_ND": "1"})

    @property
    def _commands(self) -> Commands:
        return Commands(self.environment | {"PATH": f"{_LIBRARY}:{os.environ['PATH']}"})

    def _ask(self, *words: str) -> str:
        return self._commands.ask(*words)

    def _file(self, name: str, text: str) -> str:
        path = self.folder / f"{name}.conf"
        path.write_text(text)
        return str(path)

    def _make(self) -> None:
        """Write a new cell's files and its empty database."""
        root = self.folder / "root"
        database = root / _CELL / "spool" / "database"
        for path in (self.common, database, root / _CELL / "spool" / "qmaster",
                     self.folder / "execd"):  # fmt: skip
            path.mkdir(parents=True)
        for name in ("bin", "lib", "util", "utilbin"):
            (root / name).symlink_to(Path("/var/lib/gridengine") / name)
        (self.common / "bootstrap").write_text(
            "admin_user none\ndefault_domain none\nignore_fqdn false\n"
            "spooling_method berkeleydb\nspooling_lib libspoolb\n"
            f"spooling_params {database}\nbinary_path {_LIBRARY}\n"
            f"qmaster_spool_dir {root / _CELL / 'spool' / 'qmaster'}\nsecurity_mode none\n"
            "listener_threads 2\nworker_threads 2\nscheduler_threads 1\n"
        )
        (self.common / "act_qmaster").write_text("localhost\n")
        # without it every client is refused: "client IP resolved to host name ..."
        (self.common / "host_aliases").write_text(f"localhost {socket.gethostname()}\n")
        resources = _SHARED / "util" / "resources"
        for program, *arguments in (  # they write the database themselves
            ("spoolinit", "berkeleydb", "libspoolb", str(database), "init"),
            ("spooldefaults", "configuration", self._file("configuration", self._configuration())),
            ("spooldefaults", "complexes", str(resources / "centry")),
            ("spooldefaults", "usersets", str(resources / "usersets")),
            ("spooldefaults", "managers", pwd.getpwuid(os.geteuid()).pw_name),
        ):
            self.daemons.run(program, [str(_LIBRARY / program), *arguments], self.environment)

    def _configuration(self) -> str:
        """Return the package's own configuration with what a private cell needs otherwise."""
        text = (_SHARED / "default-configuration").read_text()
        return _with(text, {
            "execd_spool_dir": str(self.folder / "execd"),
            "load_report_time": "00:00:03",  # also how soon execd comes back to a new qmaster
            "min_uid": "0",
            "min_gid": "0",
            "gid_range": self._groups,
            "mailer": "/bin/true",
            "reporting_params": "accounting=true reporting=false flush_time=00:00:01 "
            "accounting_flush_time=00:00:00 joblog=false sharelog=00:00:00",
        })  # fmt: skip

    def _configure_scheduler(self) -> None:
        """Let the scheduler act at once."""
        text = _with(self._ask("qconf", "-ssconf"), {
            "schedule_interval": "0:0:1",
            "flush_submit_sec": "1",
            "flush_finish_sec": "1",
            "job_load_adjustments": "NONE",
        })  # fmt: skip
        self._ask("qconf", "-Msconf", self._file("scheduler", text + "\n"))


def _with(text: str, values: Mapping[str, str]) -> str:
    """Return a configuration's text with other values."""
    for name, value in values.items():
        text = re.sub(rf"^{name}\s.*$", f"{name} {value}", text, flags=re.MULTILINE)
    return text
