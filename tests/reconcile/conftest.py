"""A small finished production, and ways to look at it as srb_cleanup does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snfpipe.reconcile.reconcile import Options, Reconciled, reconcile
from snfpipe.reconcile.repair import Plan, write_plan
from snfpipe.reconcile.repair_apply import Result, apply, journal_of, undo
from snfpipe.storage.local import LocalPlace
from tests.audit.conftest import Case, case, produced

__all__ = ["case", "produced"]

CUBE = "06_334_001_003_4_022_000_02-03_000.fits"
FOLDER = "Prod/02-03/06/334"

#: Files by their path, and rows by their table.
State = tuple[dict[str, bytes], dict[str, Any]]


def scan(case: Case, **options: Any) -> Reconciled:
    """Look once; what has no row need not be old."""
    chosen = {"min_age_s": 0.0, "max_wrong": 1.0} | options
    return reconcile(case.project, case.database, options=Options(**chosen))


def scan_twice(case: Case, **options: Any) -> Reconciled:
    scan(case, **options)
    return scan(case, **options)


def problems(found: Reconciled) -> dict[str, str]:
    """Return file name -> problem."""
    return {it.object: it.what.partition(":")[0] for it in found.report.findings}


def words(found: Reconciled) -> dict[str, str]:
    """Return file name -> what the plan does."""
    return {Path(it.path).name: it.repair for it in found.plan.repairs}


def fix(case: Case, plan: Plan, **options: Any) -> list[Result]:
    """Apply a plan, as --apply does."""
    path = case.driven.root / "fix.plan"
    write_plan(path, plan)
    place = LocalPlace(case.archive)
    return apply(case.database, place, plan, journal_of(path), **options)


def take_back(case: Case, **options: Any) -> list[Result]:
    """Undo what fix did."""
    journal = journal_of(case.driven.root / "fix.plan")
    return undo(case.database, LocalPlace(case.archive), journal, **options)


def state_of(case: Case) -> State:
    """Return all files and all rows that repairs may change."""
    files = {
        str(path.relative_to(case.archive)): path.read_bytes()
        for path in case.archive.glob("Prod/**/*")
        if path.is_file()
    }
    queries = {
        "file": "SELECT id, name, area, path, size, checksum, id_process, role FROM file",
        "process": "SELECT id_process, state FROM process",
        "job": "SELECT id, state, inputs_digest, reason FROM job",
    }
    return files, {name: sorted(case.driven.query(text)) for name, text in queries.items()}


def flip(path: Path) -> None:
    """Change one bit, and neither size nor time."""
    import os

    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-2880] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
