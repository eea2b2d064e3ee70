"""Single scripts, run by the site's engine under their real names: no jobs of a production.

What is submitted is a small script that sets the environment of the version (nothing is inherited),
goes where it was asked for, and runs what was asked for.  It holds no password.
"""

from __future__ import annotations

import getpass
import os
import re
import secrets
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url

from snfpipe.config.project import Project
from snfpipe.config.site import Site
from snfpipe.engines.settings import Settings
from snfpipe.engines.single import Single, SingleJobs
from snfpipe.errors import BadName, NotFound, Refused, shown
from snfpipe.worker import processes
from snfpipe.worker.script import environment

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]{0,99}", re.ASCII)

_KEPT = (
    "JOB_ID", "SGE_ROOT", "SGE_CELL", "SGE_QMASTER_PORT", "SGE_EXECD_PORT", "SLURM_CONF",
    "SLURM_JOB_ID",
)  # fmt: skip

_SCRIPT = """\
#!/bin/bash
# {name}: asked for by {by} in {place}.
if [ "${{SNF_SINGLE:-}}" != {mark} ]; then
    # an environment of its own, and of the scheduler's what names the job and the scheduler
    kept=()
    for name in {kept}; do
        [ -z "${{!name:-}}" ] || kept+=("$name=${{!name}}")
    done
    exec env -i SNF_SINGLE={mark} "${{kept[@]}}" /bin/bash {path}
fi
{exports}
cd -- {place_quoted} || exit 3
exec {command}
"""


@dataclass(frozen=True, slots=True)
class Submitted:
    """A script that was handed over: its name, the engine's id, and where its output goes."""

    name: str
    engine_id: str
    log: Path


def submit_command(
    project: Project,
    name: str,
    command: Sequence[str],
    *,
    log: Path,
    queue: str = "",
    wall_s: float | None = None,
) -> Submitted:
    """Run a command once, by the site's engine, in the present folder.

    Parameters
    ----------
    project : Project
        Whose site and version.
    name : str
        What the scheduler is to call it.
    command : sequence of str
        Program and arguments.
    log : Path
        What it prints is appended here.
    queue : str
        The queue, or partition; the site's by default.
    wall_s : float, optional
        Its time limit.

    Raises
    ------
    BadName
        No scheduler takes a job of that name.
    Refused
        The database is named in a way that no script may hold.
    Refused, ServiceUnavailable
        The scheduler does not take it, or does not answer.
    """
    check_name(name)
    if not os.access(log.parent, os.W_OK):
        raise Refused(
            f"{log} cannot be written, where the output of {name} would go",
            hint="call it in a folder of your own",
        )
    script = _write(project, name, command)
    if project.site.engine == "local":
        return Submitted(name, _start(script, log), log)
    queue = queue or Settings.of(project.site.settings).queue
    ident = SingleJobs(project.site).submit(Single(name, script, log, queue, wall_s))
    return Submitted(name, ident, log)


def command_of(script: Path, arguments: Sequence[str]) -> list[str]:
    """Return how a script is run: by itself where it can be, by bash otherwise.

    Raises
    ------
    NotFound
        There is no such file.
    """
    if not script.is_file():
        raise NotFound(f"there is no script {shown(script)}", hint="name a file")
    by = [] if os.access(script, os.X_OK) else ["/bin/bash"]
    return [*by, str(script.absolute()), *arguments]


def check_name(name: str) -> str:
    """Return a name that every scheduler takes, or refuse it."""
    if not _NAME.fullmatch(name):
        raise BadName(
            f"{shown(name)} is no job's name",
            hint="a letter, then letters, digits and _.+-; name it by -N",
        )
    return name


def scripts_of(site: Site) -> Path:
    """Return where the scripts of a site's single jobs lie, each in a folder of its own."""
    return site.jobs.parent / ".single"


def database_variable() -> dict[str, str]:
    """Return SNF_DATABASE_URL as a script may hold it.

    Raises
    ------
    Refused
        It holds a password.
    """
    url = os.environ.get("SNF_DATABASE_URL")
    if not url:
        return {}
    if make_url(url).password:
        raise Refused(
            "SNF_DATABASE_URL holds a password, which no job script may",
            hint="name the database in the site file, and put its password into ~/.pgpass",
        )
    return {"SNF_DATABASE_URL": url}


def _write(project: Project, name: str, command: Sequence[str]) -> Path:
    """Write what is submitted, in a folder of its own."""
    mark = secrets.token_hex(8)
    folder = scripts_of(project.site) / f"{name}.{mark}"
    folder.mkdir(parents=True)
    path = folder / f"{name}.sh"
    variables = environment(
        {
            **project.version.environment,
            "SNF_VERSION_LITE": project.version.lite,
            "SNF_TASKS": str(project.root),
            "SNF_PROJECT": str(project.root),
            **database_variable(),
        },
        project.version.label,
        str(project.site.jobs),
    )
    text = _SCRIPT.format(
        name=name,
        by=ascii(getpass.getuser()),
        place=ascii(str(Path.cwd())),
        mark=mark,
        kept=" ".join(_KEPT),
        path=shlex.quote(str(path)),
        exports="\n".join(f"export {key}={shlex.quote(it)}" for key, it in variables.items()),
        place_quoted=shlex.quote(str(Path.cwd())),
        command=shlex.join(command),
    )
    path.write_text(text, encoding="utf-8")
    return path


def _start(script: Path, log: Path) -> str:
    """Start a script on this machine, to outlive this process."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            ["/bin/bash", str(script)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return processes.identity(child.pid)
