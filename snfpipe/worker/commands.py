"""The light commands of a job script: each writes to the job's ledger, none opens the database.

A script names its files by the environment: SNF_SPEC, SNF_LEDGER, SNF_TOKEN; SNF_BY_HAND is
the folder of a run by hand, of which nothing is registered.  Standard library only; a job calls
four of them, so each loads what it needs and no more.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snfpipe.worker import ledger

if TYPE_CHECKING:
    from snfpipe.worker.spec import JobSpec

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
    from snfpipe.worker.spec import JobSpec

    return JobSpec.from_json(_path("SNF_SPEC").read_text(encoding="utf-8"))


def _record(kind: str, **fields: Any) -> int:
    """Append a record to the job's ledger; return the exit status."""
    ledger.append(_path("SNF_LEDGER"), kind, **fields)
    return 0


def _run(
    parser: argparse.ArgumentParser,
    work: Callable[[argparse.Namespace], int],
    words: Sequence[str] | None,
) -> int:
    """Parse, work, and say in one line what went wrong."""
    try:
        return work(parser.parse_args(words))
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
        "Ends with 75 where the unit was taken before.",
        "update_job -s Starting",
    )
    parser.add_argument("-s", "--status", choices=["Starting", "Ending"], required=True)
    parser.add_argument("--exit-status", type=int, default=0, help="the script's, with Ending")
    return _run(parser, _update_job, words)


def _update_job(given: argparse.Namespace) -> int:
    """Start or end."""
    if given.status == "Ending":
        return _record("ending", exit_status=given.exit_status)
    from snfpipe.worker.starting import start

    return start(_spec(), _path("SNF_SPEC"), _path("SNF_LEDGER"))


# --- records -------------------------------------------------------------------------------


def record_timestamp_main(words: Sequence[str] | None = None) -> int:
    """Record that a point of the script was reached."""
    parser = _parser(
        "record_timestamp", "Record the time under a label.", "record_timestamp 'fit begins'"
    )
    parser.add_argument("label")
    return _run(parser, lambda given: _record("timestamp", **vars(given)), words)


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
    return _run(parser, lambda given: _record("outcome", **vars(given)), words)


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
    parser.add_argument("outputs", nargs="+", metavar="FILE:XFCLASS", type=_output)
    parser.add_argument("--program-version", dest="version", default="")
    return _run(parser, lambda given: _record("processing", **vars(given)), words)


def _output(word: str) -> dict[str, Any]:
    """Return an output of record_processing as the ledger has it."""
    name, _, xfclass = word.rpartition(":")
    if not name or not xfclass.isdigit():
        raise argparse.ArgumentTypeError(f"{word!r} is no output: write FILE:XFCLASS")
    return {"name": Path(name).name, "xfclass": int(xfclass)}


def record_quality_main(words: Sequence[str] | None = None) -> int:
    """Record the quality of products."""
    parser = _parser(
        "record_quality",
        "Record quality (1 good, 2 bad) and flags of products, by file name.",
        "record_quality 2 --flag ES_MIS-CENTERED 06_334_001_003_4_038_100_02-03_000.fits",
    )
    parser.add_argument("quality", type=int, choices=[1, 2])
    parser.add_argument("names", nargs="+", metavar="FILE", type=os.path.basename)
    parser.add_argument("--flag", dest="flags", action="append", default=[])
    return _run(parser, lambda given: _record("quality", **vars(given)), words)


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


def _accountant(_given: argparse.Namespace) -> int:
    from snfpipe.storage import archive
    from snfpipe.worker.accountant import account

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
