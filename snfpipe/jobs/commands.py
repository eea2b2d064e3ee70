"""The light commands of a job script: each writes to the job's ledger, none opens the database.

A script names its files by the environment: SNF_SPEC, SNF_LEDGER, SNF_TOKEN; SNF_BY_HAND is
the folder of a run by hand, of which nothing is registered.  Standard library only.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from snfpipe.engines import processes
from snfpipe.jobs import ledger
from snfpipe.jobs.spec import AttemptFolder, JobSpec
from snfpipe.jobs.wrapper import SUPERSEDED

_NOT_A_JOB = 2
_REFUSED = 3


class NotInAJob(Exception):
    """A command was called outside a job script."""


def _path(name: str) -> Path:
    """Return the path an environment variable holds."""
    value = os.environ.get(name)
    if not value:
        raise NotInAJob(f"{name} is not set: this command is for job scripts")
    return Path(value)


def _spec() -> JobSpec:
    """Read the job's spec."""
    return JobSpec.from_json(_path("SNF_SPEC").read_text(encoding="utf-8"))


def _record(kind: str, **fields: Any) -> None:
    """Append a record to the job's ledger."""
    ledger.append(_path("SNF_LEDGER"), kind, **fields)


def _run(
    parser: argparse.ArgumentParser,
    work: Callable[[argparse.Namespace], int],
    words: Sequence[str] | None,
) -> int:
    """Parse, work, and say in one line what went wrong."""
    arguments = parser.parse_args(words)
    try:
        return work(arguments)
    except NotInAJob as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return _NOT_A_JOB
    except (OSError, ValueError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return _REFUSED


def _parser(name: str, text: str, example: str) -> argparse.ArgumentParser:
    """Make a parser whose help ends with an example."""
    return argparse.ArgumentParser(prog=name, description=text, epilog=f"example: {example}")


# --- update_job ----------------------------------------------------------------------------


def update_job_main(words: Sequence[str] | None = None) -> int:
    """Say that a job starts or ends."""
    parser = _parser(
        "update_job",
        "Take the job's unit and check its program (Starting), or say how it ended (Ending). "
        f"Ends with {SUPERSEDED} where the unit was taken before.",
        "update_job -s Starting",
    )
    parser.add_argument("-s", "--status", choices=["Starting", "Ending"], required=True)
    parser.add_argument("--exit-status", type=int, default=0, help="the script's, with Ending")
    return _run(parser, _update_job, words)


def _update_job(arguments: argparse.Namespace) -> int:
    """Start or end."""
    if arguments.status == "Ending":
        _record("ending", exit_status=arguments.exit_status)
        return 0
    spec = _spec()
    folder = AttemptFolder(_path("SNF_SPEC").parent, spec.job)
    if not os.environ.get("SNF_BY_HAND") and not take(folder, "job"):
        print(
            f"update_job: {spec.unit} of {spec.production} was taken before, see {folder.taken};\n"
            f"to run it for yourself: SNF_BY_HAND=/a/folder bash {folder.script}",
            file=sys.stderr,
        )
        return SUPERSEDED
    _write_aside(Path(folder.worklist.name), _worklist(spec))
    _record("starting", **_seen(spec))
    return _check_program(spec)


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


def _worklist(spec: JobSpec) -> str:
    """Return the program's worklist."""
    content = {
        "program": spec.identity["program"]["name"],
        "options": spec.options,
        "items": spec.worklist(),
    }
    return json.dumps(content, sort_keys=True, indent=1) + "\n"


def _write_aside(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    aside = path.with_name(path.name + ".new")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


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


def _check_program(spec: JobSpec) -> int:
    """Ask the program who it is; refuse one that is not the version's."""
    pinned = spec.identity["program"]
    wanted = f"{pinned['name']} {pinned['version']}"
    program = shutil.which(spec.command[0])
    if program is None:
        return _refuse(f"program {spec.command[0]} is not installed here; {wanted} is wanted")
    done = subprocess.run(
        [program, *spec.command[1:], "--version"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    said = done.stdout.strip()
    _record("program", said=said[:200], command=list(spec.command))
    if done.returncode != 0:
        return _refuse(f"program {spec.command[0]} --version ended with {done.returncode}")
    if pinned["version"] != "*" and said != wanted:
        return _refuse(f"program says it is {said[:80]!a}, {spec.version} runs {wanted!r}")
    return 0


def _refuse(reason: str) -> int:
    """Say why the job does not go on."""
    _record("refused", reason=reason)
    print(f"update_job: {reason}", file=sys.stderr)
    return _REFUSED


# --- records -------------------------------------------------------------------------------


def record_timestamp_main(words: Sequence[str] | None = None) -> int:
    """Record that a point of the script was reached."""
    parser = _parser(
        "record_timestamp", "Record the time under a label.", "record_timestamp 'fit begins'"
    )
    parser.add_argument("label")
    return _run(parser, _timestamp, words)


def _timestamp(arguments: argparse.Namespace) -> int:
    _record("timestamp", label=arguments.label)
    return 0


def record_outcome_main(words: Sequence[str] | None = None) -> int:
    """Record how a program ended."""
    parser = _parser(
        "record_outcome",
        "Record the exit status of a program: 0 all is well, 1 some items failed, else an error.",
        "record_outcome cube_generation $?",
    )
    parser.add_argument("program")
    parser.add_argument("exit_status", type=int)
    parser.add_argument("--reason", default="")
    return _run(parser, _outcome, words)


def _outcome(arguments: argparse.Namespace) -> int:
    _record(
        "outcome",
        program=arguments.program,
        exit_status=arguments.exit_status,
        reason=arguments.reason,
    )
    return 0


def record_processing_main(words: Sequence[str] | None = None) -> int:
    """Record a processing whose program writes no results file."""
    parser = _parser(
        "record_processing",
        "Record that a program made products (files in the work folder, under the names the job "
        "promises) from a main input.",
        "record_processing 38 22_frame.fits 06_334_001_003_4_038_100_02-03_000.fits:100",
    )
    parser.add_argument("fclass", type=int)
    parser.add_argument("main_input")
    parser.add_argument("outputs", nargs="+", metavar="FILE:XFCLASS")
    parser.add_argument("--program-version", default="")
    return _run(parser, _processing, words)


def _processing(arguments: argparse.Namespace) -> int:
    outputs = []
    for word in arguments.outputs:
        name, colon, xfclass = word.rpartition(":")
        if not colon or not xfclass.isdigit():
            raise ValueError(f"{word!r} is no output: write FILE:XFCLASS")
        outputs.append({"name": Path(name).name, "xfclass": int(xfclass)})
    _record(
        "processing",
        fclass=arguments.fclass,
        version=arguments.program_version,
        main_input=arguments.main_input,
        outputs=outputs,
    )
    return 0


def record_quality_main(words: Sequence[str] | None = None) -> int:
    """Record the quality of products."""
    parser = _parser(
        "record_quality",
        "Record quality (1 good, 2 bad) and flags of products, by file name.",
        "record_quality 2 --flag ES_MIS-CENTERED 06_334_001_003_4_038_100_02-03_000.fits",
    )
    parser.add_argument("quality", type=int, choices=[1, 2])
    parser.add_argument("names", nargs="+", metavar="FILE")
    parser.add_argument("--flag", dest="flags", action="append", default=[])
    return _run(parser, _quality, words)


def _quality(arguments: argparse.Namespace) -> int:
    names = [Path(name).name for name in arguments.names]
    _record("quality", quality=arguments.quality, names=names, flags=arguments.flags)
    return 0


# --- accountant ----------------------------------------------------------------------------


def accountant_main(words: Sequence[str] | None = None) -> int:
    """Account for what the job left."""
    parser = _parser(
        "accountant",
        "Hash every promised product that is there, bring it to the archive's incoming area, and "
        "name what is missing. Ends with 1 where something is.",
        "accountant",
    )
    return _run(parser, _accountant, words)


def _accountant(arguments: argparse.Namespace) -> int:
    from snfpipe import archive
    from snfpipe.jobs.accountant import account

    spec = _spec()
    path = _path("SNF_LEDGER")
    by_hand = os.environ.get("SNF_BY_HAND")
    into = None if by_hand else spec.incoming
    try:
        records = account(spec, Path(), ledger.read(path), into)
        ledger.append_all(path, records)
    except OSError as error:
        archive.drop_incoming(Path(spec.archive), spec.token)
        _record("refused", reason=f"the products could not be brought to the archive: {error}")
        raise
    missing: dict[str, str] = records[-1]["missing"]
    for name, reason in missing.items():
        print(f"missing: {name}: {reason}")
    made = len(spec.products) - len(missing)
    end = f"; run by hand in {by_hand}, nothing is registered" if by_hand else ""
    if spec.stays_in and not by_hand:
        end = f"; they stay in {spec.stays_in}, nothing is registered"
    print(f"accountant: {made} of {len(spec.products)} products{end}")
    return 1 if missing else 0
