"""Single jobs of a batch site under their real names, such as Osiris: submit, rename, find.

They are no attempts: nobody looks after them, and whoever knows their name may delete them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from snfpipe.config.site import Site
from snfpipe.engines import grid_engine, slurm
from snfpipe.engines.commands import Answer, Commands, unavailable
from snfpipe.engines.scheduler import Rejection
from snfpipe.engines.settings import Settings
from snfpipe.errors import Refused

#: Variable that tells a job its own id.
JOB_ID = {"grid_engine": "JOB_ID", "slurm": "SLURM_JOB_ID"}
#: Seconds between SIGTERM and the end that Slurm gives to a script whose time is up.
_WARNED_S = 60
#: What is read of ``qstat -j``, which heads each job by a line of ``=``.
_DETAIL = re.compile(
    r"^(job_number|job_name|cwd|error reason)(?: +[0-9]+)?:[ \t]+(.*?)[ \t]*$", re.MULTILINE
)
_NEEDED = {"job_number", "job_name", "cwd"}
_HEAD = re.compile(r"^=+$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Single:
    """One script; ``log`` takes all that it prints, and is appended to."""

    name: str
    script: Path
    log: Path
    queue: str = ""
    wall_s: float | None = None


@dataclass(frozen=True, slots=True, order=True)
class Queued:
    """A single job in the queue, waiting or running; ``folder`` is that of its script.

    ``error`` is why the scheduler gave up starting it: it waits for a person.
    """

    ident: int
    name: str
    folder: Path
    error: str = ""


class SingleJobs:
    """The single jobs of a site.

    Parameters
    ----------
    site : Site
        Where they run.

    Raises
    ------
    Refused
        The site's engine has no queue.
    """

    def __init__(self, site: Site) -> None:
        if site.engine not in JOB_ID:
            raise Refused(
                f"site {site.name} runs jobs on this machine and has no batch queue",
                hint="run it in the foreground, or by systemd",
            )
        self._engine = site.engine
        self._settings = Settings.of(site.settings)
        self._commands = Commands(self._settings.environment, self._settings.timeout_s)

    def submit(self, job: Single) -> str:
        """Submit a script; return its job id.

        Raises
        ------
        Refused
            The scheduler will not have it; its words are quoted.
        ServiceUnavailable
            It does not answer.
        """
        on_grid_engine = self._engine == "grid_engine"
        answer = self._commands.call(*(qsub if on_grid_engine else sbatch)(job, self._settings))
        try:
            return str((grid_engine if on_grid_engine else slurm).submitted(answer))
        except Rejection as rejection:
            raise Refused(
                f"{job.name} is refused: {rejection}", hint="fix that, and submit it again"
            ) from rejection

    def rename(self, ident: str, name: str) -> Answer:
        """Give a job, running or not, another name."""
        if self._engine == "grid_engine":
            return self._commands.call("qalter", "-N", name, ident)
        return self._commands.call("scontrol", "update", f"JobId={ident}", f"JobName={name}")

    def queued(self, *names: str) -> list[Queued]:
        """Return the jobs of some names in the queue, whosever they are, oldest first.

        Raises
        ------
        ServiceUnavailable
            The scheduler does not answer.
        """
        if self._engine == "grid_engine":
            answer = self._commands.call("qstat", "-j", ",".join(names))
            if answer.status != 0 and "do not exist" in answer.err + answer.out:
                return []
            if answer.status != 0:
                raise unavailable("qstat", answer)
            return parse_details(answer.out)
        words = ("squeue", "-h", f"--name={','.join(names)}", "-o", "%A|%j|%Z")
        return parse_squeue(self._commands.ask(*words))


def qsub(job: Single, settings: Settings) -> list[str]:
    """Return Grid Engine's call; a job that is deleted or runs out of time gets a signal first."""
    return [
        "qsub", "-terse", "-N", job.name, "-r", "n", "-notify", "-S", "/bin/bash",
        "-wd", str(job.script.parent), "-j", "y", "-o", str(job.log),
        *(["-q", job.queue] if job.queue else []),
        *(["-l", f"h_rt={math.ceil(job.wall_s)}"] if job.wall_s else []),
        *settings.options,
        str(job.script),
    ]  # fmt: skip


def sbatch(job: Single, settings: Settings) -> list[str]:
    """Return Slurm's call."""
    return [
        "sbatch", "--parsable", f"--job-name={job.name}", "--no-requeue", "--open-mode=append",
        f"--chdir={job.script.parent}", f"--output={job.log}", f"--signal=B:TERM@{_WARNED_S}",
        *([f"--partition={job.queue}"] if job.queue else []),
        *([f"--time={math.ceil((job.wall_s + _WARNED_S) / 60)}"] if job.wall_s else []),
        *settings.options,
        str(job.script),
    ]  # fmt: skip


def parse_details(text: str) -> list[Queued]:
    """Read the jobs that ``qstat -j`` describes."""
    found = [dict(_DETAIL.findall(part)) for part in _HEAD.split(text)]
    return sorted(
        Queued(int(it["job_number"]), it["job_name"], Path(it["cwd"]), it.get("error reason", ""))
        for it in found
        if it.keys() >= _NEEDED and it["job_number"].isdecimal()
    )


def parse_squeue(text: str) -> list[Queued]:
    """Read the jobs that squeue lists in our format."""
    rows = [line.split("|", 2) for line in text.splitlines()]
    return sorted(
        Queued(int(row[0]), row[1], Path(row[2]))
        for row in rows
        if len(row) == 3 and row[0].isdecimal()
    )
