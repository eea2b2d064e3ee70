"""The start of a job on its worker: the unit is taken, once, and its program asked who it is.

Standard library only.
"""

from __future__ import annotations

import getpass
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from snfpipe.wholefile import write_whole
from snfpipe.worker import ledger, processes
from snfpipe.worker.spec import SUPERSEDED, AttemptFolder, JobSpec

_REFUSED = 3

#: The number of what a worklist and the results hold (docs/jobs.md), which programs of all
#: versions understand: another meaning of a key is another number.
CONTRACT = 1


def start(spec: JobSpec, place: Path, records: Path) -> int:
    """Take the job's unit, write its worklist here, and hold its program against the version.

    Parameters
    ----------
    spec : JobSpec
        What is to be done.
    place : Path
        The file the spec was read from, in the attempt's folder.
    records : Path
        The ledger.

    Returns
    -------
    int
        0 to go on; else what the script ends with.

    Raises
    ------
    OSError
        A file could not be written, or the program not be started.
    """
    folder = AttemptFolder(place.parent, spec.job)
    if not os.environ.get("SNF_BY_HAND") and not take(folder, "job"):
        print(
            f"update_job: {spec.unit} of {spec.production} was taken before, see {folder.taken};\n"
            f"to run it for yourself: SNF_BY_HAND=/a/folder bash {folder.script}",
            file=sys.stderr,
        )
        return SUPERSEDED
    worklist = {
        "contract": CONTRACT,
        "program": spec.identity["program"]["name"],
        "options": spec.options,
        "items": spec.worklist(),
    }
    text = json.dumps(worklist, sort_keys=True, indent=1)
    write_whole(Path(folder.worklist.name), f"{text}\n")
    ledger.append(records, "starting", **_seen(spec))
    reason = _why_refused(spec, records)
    if reason:
        ledger.append(records, "refused", reason=reason)
        print(f"update_job: {reason}", file=sys.stderr)
        return _REFUSED
    return 0


def take(folder: AttemptFolder, by: str) -> bool:
    """Create the file that only one can create; tell whether it was this caller."""
    try:
        handle = os.open(folder.taken, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w", encoding="ascii") as file:
        json.dump({"by": by, "host": socket.gethostname(), "pid": os.getppid()}, file)
        file.flush()
        os.fsync(file.fileno())
    return True


def close(folder: AttemptFolder, by: str) -> bool:
    """Keep an attempt from starting; tell whether it never will, as it had not begun."""
    try:
        return take(folder, by)
    except OSError:  # its folder is gone or closed: no script takes anything there either
        return True


#: Variables that change what a program does; recorded whether or not the version sets them.
_TELLING = ("LANG", "LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONHOME", "PYTHONPATH", "TMPDIR")


def _seen(spec: JobSpec) -> dict[str, Any]:
    """Return where the job runs: host, script process, and the variables that may be told.

    These are the ones that its version gave to it and an allow-list, never all there are.
    """
    return {
        "host": socket.gethostname(),
        "user": getpass.getuser(),
        "process": processes.identity(os.getppid()),
        "system": f"{platform.system()} {platform.release()}",
        "variables": {
            name: os.environ.get(name) for name in sorted({*spec.environment, *_TELLING})
        },
    }


def _why_refused(spec: JobSpec, records: Path) -> str:
    """Ask the program who it is; return why it may not run, empty if it may."""
    pinned = spec.identity["program"]
    wanted = f"{pinned['name']} {pinned['version']}"
    command = spec.commands[0]  # the first speaks for all
    program = shutil.which(command[0])
    if program is None:
        return f"program {command[0]} is not installed here; {wanted} is wanted"
    done = subprocess.run(
        [program, *command[1:], "--version"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    said = done.stdout.strip()
    ledger.append(records, "program", said=said[:200], command=list(command))
    if done.returncode != 0:
        return f"program {command[0]} --version ended with {done.returncode}"
    if pinned["version"] != "*" and said != wanted:
        return f"program says it is {said[:80]!a}, {spec.version} runs {wanted!r}"
    return ""
