"""The commands a job script calls; they write the ledger and never open the database.

Standard library only.  The attempt's folder comes from SNF_ATTEMPT, as the script sets it.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from snfpipe.jobs import ledger
from snfpipe.jobs.spec import AttemptFolder, JobSpec, Product

SUPERSEDED = 75  # an exit status apart from those of programs (EX_TEMPFAIL of sysexits.h)

#: What of a job's environment is recorded, besides what the version file sets.
_RECORDED = ("LANG", "LC_ALL", "PATH", "OMP_NUM_THREADS", "PYTHONHASHSEED", "TMPDIR")


def _parser(name: str, about: str, example: str) -> argparse.ArgumentParser:
    """Return a parser whose help ends with an example."""
    return argparse.ArgumentParser(
        prog=name,
        description=about,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _attempt() -> AttemptFolder:
    """Return the attempt this command is called in, or end with usage."""
    named = os.environ.get("SNF_ATTEMPT", "")
    folder = Path(named)
    if not named or not folder.is_dir():
        print(
            "this command is called by a job script (SNF_ATTEMPT names no attempt folder)\n"
            "  next: run the script, or set SNF_ATTEMPT to its folder",
            file=sys.stderr,
        )
        raise SystemExit(2)
    return AttemptFolder.find(folder)


def record_timestamp_main(words: Sequence[str] | None = None) -> int:
    """Record that something began or ended now."""
    parser = _parser(
        "record_timestamp", "Record a moment in the job's ledger.", "record_timestamp psf begin"
    )
    parser.add_argument("step")
    parser.add_argument("event", choices=("begin", "end"))
    told = parser.parse_args(words)
    ledger.append(_attempt().ledger, "timestamp", step=told.step, event=told.event)
    return 0


def record_outcome_main(words: Sequence[str] | None = None) -> int:
    """Record how a step ended."""
    parser = _parser(
        "record_outcome",
        "Record a step's exit status in the job's ledger.",
        "record_outcome extract_star 0",
    )
    parser.add_argument("step")
    parser.add_argument("exit_status", type=int)
    parser.add_argument("--reason", default="")
    told = parser.parse_args(words)
    ledger.append(
        _attempt().ledger,
        "outcome",
        step=told.step,
        exit_status=told.exit_status,
        reason=told.reason[:400],
    )
    return 0


def record_quality_main(words: Sequence[str] | None = None) -> int:
    """Record the quality and the flags of an item's products."""
    parser = _parser(
        "record_quality",
        "Record the quality (1 good, 2 bad) and flags of an item.",
        "record_quality 63340010034 1 ES_PRIOR_SEEING",
    )
    parser.add_argument("item")
    parser.add_argument("quality", type=int, choices=(1, 2))
    parser.add_argument("flags", nargs="*")
    told = parser.parse_args(words)
    result = {"item": told.item, "ok": True, "quality": told.quality, "flags": told.flags}
    ledger.append(_attempt().ledger, "quality", **result)
    return 0


def record_processing_main(words: Sequence[str] | None = None) -> int:
    """Record what became of one item, for programs that write no results file."""
    parser = _parser(
        "record_processing",
        "Record that an item was worked on, and which of its outputs were left.",
        "record_processing 63340010034 --left cube --left quick",
    )
    parser.add_argument("item")
    parser.add_argument("--left", action="append", default=[], metavar="ROLE")
    parser.add_argument("--failed", default="", metavar="REASON")
    told = parser.parse_args(words)
    result = {
        "item": told.item,
        "ok": not told.failed,
        "reason": told.failed,
        "outputs": told.left,
    }
    with _attempt().results.open("a", encoding="utf-8") as results:
        results.write(json.dumps(result) + "\n")
    return 0


def update_job_main(words: Sequence[str] | None = None) -> int:
    """Record that the script starts (which takes the unit) or ends."""
    parser = _parser(
        "update_job",
        "Record that the job starts or ends. Starting takes the unit: whoever comes second, or\n"
        f"belongs to an older attempt, ends with {SUPERSEDED}.",
        "update_job -s Starting",
    )
    parser.add_argument("-s", "--status", required=True, choices=("Starting", "Ending"))
    told = parser.parse_args(words)
    folder = _attempt()
    if told.status == "Ending":
        ledger.append(folder.ledger, "ending")
        return 0
    spec = folder.load()
    reason = _take(folder, spec.token)
    if reason:
        print(f"{spec.job}: superseded: {reason}", file=sys.stderr)
        return SUPERSEDED
    seen = {name: os.environ[name] for name in (*_RECORDED, *spec.environment)
            if name in os.environ}  # fmt: skip
    ledger.append(
        folder.ledger,
        "starting",
        host=platform.node(),
        environment=seen,
        system=platform.platform(),
        python=platform.python_version(),
    )
    return 0


def _take(folder: AttemptFolder, token: str) -> str:
    """Take the unit for this start of this attempt; return why not, or nothing."""
    try:
        current = folder.current.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        current = token
    if current != token:
        return f"attempt {current} has replaced this one ({token})"
    try:
        handle = os.open(folder.taken, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return f"this attempt has run already, see {folder.ledger}"
    os.write(handle, f"{token} {platform.node()} {os.getpid()}\n".encode())
    os.fsync(handle)
    os.close(handle)
    return ""


def accountant_main(words: Sequence[str] | None = None) -> int:
    """Hash what the steps left and copy it to the archive's incoming area."""
    parser = _parser(
        "accountant",
        "Check, hash and copy the products that the steps left to the archive's incoming area,\n"
        "under their final names, and record them. Ends with 1 where some cannot be taken.",
        "accountant",
    )
    parser.parse_args(words)
    folder = _attempt()
    spec = folder.load()
    results = {str(entry.get("item")): entry for entry in _results(folder.results)}
    for entry in results.values():
        ledger.append(folder.ledger, "item", **entry)
    try:
        spec.incoming.mkdir(parents=True, exist_ok=True)
        for product in spec.products:
            result = results.get(product.item, {})
            if result.get("ok") and product.role in result.get("outputs", ()):
                _deliver(folder, spec, product, set(result["outputs"]))
        _sync_folder(spec.incoming)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "no space left on the archive's device" if full else str(error)
        ledger.append(folder.ledger, "outcome", step="accountant", exit_status=1, reason=reason)
        shutil.rmtree(spec.incoming, ignore_errors=True)
        print(f"accountant: {reason}", file=sys.stderr)
        return 1
    ledger.append(folder.ledger, "outcome", step="accountant", exit_status=0, reason="")
    return 0


def _results(path: Path) -> Iterator[dict[str, Any]]:
    """Yield what a program reported, a torn last line left out."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and "item" in entry:
            yield entry


def _deliver(folder: AttemptFolder, spec: JobSpec, product: Product, left: set[str]) -> None:
    """Copy one product's files and record them together, so that it is there whole or not."""
    files = []
    for role, name in product.files.items():
        source = folder.work / name
        if role in left and source.is_file() and not source.is_symlink():
            digest, size = _copy(source, spec.incoming / name)
            if not size:
                break
            main = role == product.role
            files.append({"name": name, "role": "main" if main else role, "sha256": digest,
                          "size": size})  # fmt: skip
        elif role == product.role:
            break
    if files and files[0]["role"] == "main":
        ledger.append(folder.ledger, "product", id_process=product.id_process, files=files)


def _copy(source: Path, target: Path) -> tuple[str, int]:
    """Copy a file onto the archive's disk; return its SHA-256 and size."""
    digest = hashlib.sha256()
    size = 0
    with source.open("rb") as given, target.open("wb") as copy:
        while block := given.read(1 << 20):
            digest.update(block)
            copy.write(block)
            size += len(block)
        copy.flush()
        os.fsync(copy.fileno())
    return digest.hexdigest(), size


def _sync_folder(folder: Path) -> None:
    """Put the folder's entries on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
