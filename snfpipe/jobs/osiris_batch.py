"""Osiris as a batch job: submitted under its name, with Anubis waiting in a job of his own.

Both run in the daemon queue: the one that the site's settings name for plan ``osiris``
(``queues.osiris``).  Whichever Anubis takes over takes the name as well, and submits the next.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from sqlalchemy.engine import make_url

from snfpipe.config import Project
from snfpipe.engines.settings import Settings
from snfpipe.engines.single import JOB_ID, Single, SingleJobs
from snfpipe.errors import Refused

OSIRIS = "Osiris"
ANUBIS = "Anubis"
LIMIT_S = 7 * 24 * 3600.0
#: How long before its limit Osiris hands over, at most: a harvest stops between two transactions.
_MARGIN_S = 120.0

_SCRIPT = """\
#!/bin/bash
# {name}, the post-mortem daemon of {project}, as a batch job.
export SNF_PROJECT={root}
{database}exec {python} -I -m snfpipe.cli.osiris {command}
"""


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
    jobs = SingleJobs(project.site)
    script = _write_script(project, name, words, limit_s)
    queue = Settings.of(project.site.settings).queue_of("osiris")
    return jobs.submit(Single(name, script, script.with_suffix(".log"), queue, limit_s))


def time_to_serve(limit_s: float) -> float:
    """Return after how long a job with a time limit hands over."""
    return limit_s - min(_MARGIN_S, limit_s / 4)


def take_the_name(project: Project) -> str:
    """Rename the job this process runs in to Osiris; return what stood in the way, if anything."""
    ident = os.environ.get(JOB_ID[project.site.engine], "")
    answer = SingleJobs(project.site).rename(ident, OSIRIS)
    return "" if answer.status == 0 else answer.said


def _database() -> str:
    """Return the line that names the database where it is not the site's."""
    url = os.environ.get("SNF_DATABASE_URL")
    if not url:
        return ""
    if make_url(url).password:
        raise Refused(
            "SNF_DATABASE_URL holds a password, which no job script may",
            hint="name the database in the site file, and put its password into ~/.pgpass",
        )
    return f"export SNF_DATABASE_URL={shlex.quote(url)}\n"


def _write_script(project: Project, name: str, words: list[str], limit_s: float) -> Path:
    """Write a daemon's job script."""
    folder = project.site.jobs.parent / ".osiris"
    folder.mkdir(parents=True, exist_ok=True)
    command = [name.lower(), "--in-batch", f"{limit_s:g}", *words]
    path = folder / f"{name}.sh"
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(
        _SCRIPT.format(
            name=name,
            project=ascii(str(project.root)),
            root=shlex.quote(str(project.root)),
            database=_database(),
            python=shlex.quote(sys.executable),
            command=shlex.join(command),
        ),
        encoding="utf-8",
    )
    aside.replace(path)
    return path
