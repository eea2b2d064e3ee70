"""The job script: one file that an engine starts and a person can read, and run by hand."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections import Counter
from pathlib import Path

from snfpipe.jobs.spec import AttemptFolder, JobSpec

#: Numeric libraries run on one thread: a job is one core, and sums keep their order.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")

_TEMPLATE = """\
#!/bin/bash
# Job {job}: {plan}, {unit_kind} {unit}
# {items} items; leaves {owed}
# Attempt {number}, token {token}
#
# By hand, into a folder of one's own, nothing registered:
#   SNF_BY_HAND=/some/folder bash {name}
set -u

{exports}

work={work}
results={results}
if [ -n "${{SNF_BY_HAND:-}}" ]; then
    mkdir -p "$SNF_BY_HAND" && cd "$SNF_BY_HAND" || exit 1
    {command} --worklist {worklist} --results results.jsonl
    exit
fi

update_job -s Starting || exit
mkdir -p "$work" && cd "$work" || exit 1

record_timestamp {step} begin
{command} --worklist {worklist} --results "$results"
status=$?
record_timestamp {step} end
record_outcome {step} $status

accountant || status=$?
update_job -s Ending
exit $status
"""


def job_script(spec: JobSpec) -> str:
    """Return the script of an attempt; every name in it is quoted as data."""
    folder = AttemptFolder.of(spec)
    owed = Counter(f"{product.fclass:03}_{product.xfclass:03}" for product in spec.products)
    variables = {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        **dict.fromkeys(_THREADS, "1"),
        **spec.environment,
        "SNF_ATTEMPT": spec.folder,
    }
    return _TEMPLATE.format(
        job=spec.job,
        plan=spec.plan,
        unit_kind=spec.unit_kind,
        unit=spec.unit,
        items=len(spec.items),
        owed=", ".join(f"{count} x {name}" for name, count in sorted(owed.items())) or "nothing",
        number=spec.number,
        token=spec.token,
        name=folder.script.name,
        exports="\n".join(f"export {key}={shlex.quote(value)}" for key, value in variables.items()),
        work=shlex.quote(str(folder.work)),
        results=shlex.quote(str(folder.results)),
        worklist=shlex.quote(str(folder.worklist)),
        command=shlex.join(spec.command),
        step=shlex.quote(spec.plan),
    )


def write_attempt(spec: JobSpec) -> AttemptFolder:
    """Write an attempt's folder: spec, worklist, script; again after a crash, the same files.

    The job folder gets links of the familiar names, ``<job>.sh``, ``<job>.out`` ..., to the
    current attempt.
    """
    folder = AttemptFolder.of(spec)
    folder.path.mkdir(parents=True, exist_ok=True)
    worklist = {
        "program": spec.identity["program"]["name"],
        "options": spec.options,
        "items": list(spec.items),
    }
    _write(folder.worklist, json.dumps(worklist, sort_keys=True, indent=1) + "\n")
    _write(folder.spec, spec.to_json())
    _write(folder.script, job_script(spec), mode=0o755)
    _write(folder.current, f"{spec.token}\n")
    for path in (folder.script, folder.out, folder.err, folder.ledger, folder.spec):
        _link(folder.path.parent.parent / path.name, path)
    return folder


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file whole."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text, encoding="utf-8")
    aside.chmod(mode)
    aside.replace(path)


def _link(name: Path, target: Path) -> None:
    """Point a familiar name at an attempt's file, which may come later."""
    aside = name.with_name(f".{name.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    aside.symlink_to(os.path.relpath(target, name.parent))
    aside.replace(name)
