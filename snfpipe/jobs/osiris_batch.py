"""Osiris as a batch job: submitted under its name, with Anubis waiting in a job of his own.

Both run in the daemon queue: the one that the site's settings name for plan ``osiris``
(``queues.osiris``).  Whichever Anubis takes over takes the name as well, and submits the next.
"""

from __future__ import annotations

import os
import sys

from snfpipe.config import Project
from snfpipe.engines.settings import Settings
from snfpipe.engines.single import JOB_ID, SingleJobs
from snfpipe.errors import SnfError
from snfpipe.jobs.single import submit_command

OSIRIS = "Osiris"
ANUBIS = "Anubis"
LIMIT_S = 7 * 24 * 3600.0
#: How long before its limit Osiris hands over, at most: a harvest stops between two transactions.
_MARGIN_S = 120.0


def submit(project: Project, name: str, words: list[str], limit_s: float = LIMIT_S) -> str:
    """Submit Osiris or Anubis; return the job id.

    Parameters
    ----------
    project : Project
        Whose jobs it looks after.
    name : str
        :data:`OSIRIS` or :data:`ANUBIS`.
    words : list of str
        Options of the command that the job runs.
    limit_s : float
        The job's time limit.

    Raises
    ------
    Refused
        The site has no batch queue, or the database is named in a way that no file may hold.
    ServiceUnavailable
        The scheduler does not take it.
    """
    SingleJobs(project.site)  # a site without a queue is refused
    folder = project.site.jobs.parent / ".osiris"
    folder.mkdir(parents=True, exist_ok=True)
    daemon = [sys.executable, "-I", "-m", "snfpipe.cli.osiris", name.lower()]
    return submit_command(
        project, name, [*daemon, "--in-batch", f"{limit_s:g}", *words],
        log=folder / f"{name}.log",
        queue=Settings.of(project.site.settings).queue_of("osiris"),
        wall_s=limit_s,
    ).engine_id  # fmt: skip


def time_to_serve(limit_s: float) -> float:
    """Return after how long a job with a time limit hands over."""
    return limit_s - min(_MARGIN_S, limit_s / 4)


def time_to_wait(limit_s: float) -> float:
    """Return after how long a job with a time limit leaves the wait to a fresh Anubis.

    Osiris and Anubis are submitted together: one who waited as long as Osiris may serve would take
    over at the end of his own time.
    """
    return 0.6 * time_to_serve(limit_s)


def take_the_name(project: Project) -> str:
    """Rename the job this process runs in to Osiris; return what stood in the way, if anything."""
    ident = os.environ.get(JOB_ID[project.site.engine], "")
    try:
        answer = SingleJobs(project.site).rename(ident, OSIRIS)
    except SnfError as error:  # a name is no reason not to serve
        return error.message
    return "" if answer.status == 0 else answer.said
