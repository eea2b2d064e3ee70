"""The job script: one file that a person can read, and run by hand.

Whatever reaches it (names, paths, options) is data: quoted, or shown in a comment without
control characters.
"""

from __future__ import annotations

import os
import shlex
import sysconfig
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from snfpipe import clock
from snfpipe.wholefile import aside, write_whole
from snfpipe.worker.spec import AttemptFolder, JobSpec

_ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "BLIS_NUM_THREADS",
)
_AT_ONCE = 4
#: A file system is slow where a folder takes longer than this [s], over so many folders.
_SLOW_S, _TURN = 1e-3, 40


def environment(version: Mapping[str, str], label: str, jobs: str) -> dict[str, str]:
    """Return all that a job's environment holds, whoever starts it.

    Parameters
    ----------
    version : mapping
        The version's own variables; they go over the others.
    label : str
        The version, ``SNF-02-03``.
    jobs : str
        JOBDIR.
    """
    return {
        "PATH": f"{sysconfig.get_path('scripts')}:/usr/local/bin:/usr/bin:/bin",
        "HOME": os.environ.get("HOME", "/"),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
        "PYTHONNOUSERSITE": "1",
        "MPLBACKEND": "Agg",
        **dict.fromkeys(_ONE_THREAD, "1"),
        "SNF_VERSION": label,
        "JOBDIR": jobs,
        **version,
    }


def script(spec: JobSpec) -> str:
    """Return the text of the job script."""
    folder = AttemptFolder.of(spec)
    quote = shlex.quote
    token = quote(spec.token)
    limits = spec.limits
    exports = "\n".join(
        f"export {name}={quote(value)}" for name, value in sorted(spec.environment.items())
    )
    files = f"--worklist {folder.worklist.name} --results {folder.results.name}"
    steps = " &&\n".join(f"{shlex.join(command)} {files}" for command in spec.commands)
    steps += f"\nrecord_outcome {quote(spec.plan)} $?"
    promised = "\n".join(f"#   {_shown(product.name)}" for product in spec.products)
    return f"""#!/bin/bash
# {_shown(spec.job)}: {_shown(spec.plan)} of {_shown(spec.version)}, {_shown(spec.unit_kind)} \
{_shown(spec.unit)}; attempt {spec.number}, token {_shown(spec.token)}.
# At most {limits["cpu_s"]} s of CPU time, {limits["memory_mb"]} MB of memory, {limits["wall_s"]} s.
# It promises ({len(spec.products)}):
{promised}
#
# By hand: `bash {_shown(folder.script.name)}` does what the engine would, and only once;
# `SNF_BY_HAND=/a/folder bash {_shown(folder.script.name)}` works in that folder as often as
# you like, and nothing of it is registered.
set -u
umask 022

# The job sees what is set here, and nothing of whoever starts it.
if [ "${{SNF_TOKEN:-}}" != {token} ]; then
    exec env -i SNF_TOKEN={token} SNF_BY_HAND="${{SNF_BY_HAND:-}}" /bin/bash "$0"
fi
{exports}
export SNF_JOB={quote(spec.job)}
export SNF_SPEC={quote(str(folder.spec))}
export SNF_LEDGER={quote(str(folder.ledger))}
work={quote(str(folder.work))}
if [ -n "$SNF_BY_HAND" ]; then
    work=$(realpath -m -- "$SNF_BY_HAND")
    export SNF_LEDGER=$work/{quote(folder.ledger.name)}
fi
mkdir -p "$work" && cd "$work" || exit 3

update_job -s Starting || exit $?
{steps}
accountant
status=$?
update_job -s Ending --exit-status $status
exit $status
"""


def write_attempts(specs: Sequence[JobSpec]) -> dict[str, str]:
    """Write the folders of many attempts; where the file system is slow, some at once.

    Returns
    -------
    dict
        Token -> why its folder cannot be written.
    """
    found: list[str] = []
    slow = False  # threads would only be in each other's way where nothing is waited for
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for start in range(0, len(specs), _TURN):
            part = specs[start : start + _TURN]
            began = clock.monotonic()
            found += (pool.map if slow else map)(_why_not_written, part)
            slow = slow or clock.monotonic() - began > _SLOW_S * len(part)
    return {spec.token: reason for spec, reason in zip(specs, found, strict=True) if reason}


def _why_not_written(spec: JobSpec) -> str:
    """Write an attempt's folder; return why that is impossible, empty where it is done."""
    try:
        write_attempt(spec)
    except OSError as error:
        return f"its folder cannot be written: {error}"
    return ""


def write_attempt(spec: JobSpec) -> AttemptFolder:
    """Write an attempt's folder: spec and script; again after a crash, the same files."""
    folder = AttemptFolder.of(spec)
    folder.path.mkdir(parents=True, exist_ok=True)
    write_whole(folder.spec, spec.to_json())
    write_whole(folder.script, script(spec))
    link_attempt(folder)
    return folder


def link_attempt(folder: AttemptFolder) -> None:
    """Point the familiar names in a job's folder, ``<job>.sh``, ``.out``, ``.err``, to an attempt.

    Links are few: a launch makes thousands, and each takes the file system longer than a file.
    """
    attempt = f"{folder.path.parent.name}/{folder.path.name}"
    for path in (folder.script, folder.out, folder.err):
        _link(folder.job_folder, path.name, f"{attempt}/{path.name}")


def _link(folder: Path, name: str, target: str) -> None:
    """Point a familiar name at an attempt's file, which may come later."""
    try:
        os.symlink(target, f"{folder}/{name}")
    except FileExistsError:  # that of the attempt before
        with aside(folder / name) as new:
            new.unlink(missing_ok=True)  # left by one who was killed
            new.symlink_to(target)


def _shown(text: str) -> str:
    """Return text as a comment may hold it: one line, printable."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else "?" for letter in text)
