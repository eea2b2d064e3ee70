"""What ``srb_cleanup`` does: each returns the report that is printed."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path, PurePosixPath

from snfpipe.audit.findings import Finding, Kind, Report
from snfpipe.cli.progress import progress
from snfpipe.config.project import Project
from snfpipe.db.session import Database
from snfpipe.reconcile.compare import compare as compare_places
from snfpipe.reconcile.reconcile import Options, folder_of, reconcile, registered_count
from snfpipe.reconcile.repair import read_plan, write_plan
from snfpipe.reconcile.repair_apply import REFUSED, Result, journal_of
from snfpipe.reconcile.repair_apply import apply as apply_plan
from snfpipe.reconcile.repair_apply import undo as undo_journal
from snfpipe.storage.base import Place


def compare(place: Place, other: Place, verify: bool) -> Report:
    """Hold two archives against each other."""
    with progress("files") as step:
        return compare_places(place, other, verify=verify, progress=step)


def look(
    project: Project, database: Database, place: Place, options: Options, path: Path | None
) -> Report:
    """Reconcile, and write the plan."""
    shown = sys.stderr.isatty()
    with progress("files", registered_count(database) if shown else None) as step:
        report, plan = reconcile(project, database, place, options, step)
    if not plan.repairs:
        return report
    if not options.remember:
        return replace(report, notes=(*report.notes, f"{len(plan.repairs)} repairs, not written"))
    path = path or folder_of(project) / f"{plan.id}.plan"
    write_plan(path, plan)
    told = f"{len(plan.repairs)} repairs are planned: read them, then `srb_cleanup --apply {path}`"
    return replace(report, notes=(*report.notes, told))


def apply(database: Database, place: Place, path: Path, dry_run: bool) -> Report:
    """Do the repairs of a plan."""
    plan = read_plan(path)
    journal = journal_of(path)
    with progress("repairs", len(plan.repairs)) as step:
        results = apply_plan(database, place, plan, journal, dry_run=dry_run, watch=step)
    note = f"`srb_cleanup --undo {journal}` takes back what was done"
    return _report(f"{'would do' if dry_run else 'did'} {path}", results, note)


def undo(database: Database, place: Place, path: Path, dry_run: bool) -> Report:
    """Take the repairs of a journal back."""
    with progress("repairs") as step:
        results = undo_journal(database, place, path, dry_run=dry_run, watch=step)
    return _report(f"{'would take' if dry_run else 'took'} back {path}", results, "")


def _report(title: str, results: list[Result], note: str) -> Report:
    """Return what became of repairs as a report; those that were refused are its findings."""
    counts = Counter((it.repair.repair, it.outcome) for it in results)
    findings = (
        Finding(
            "srb_cleanup", Kind.FAILED, PurePosixPath(it.repair.path).name, it.repair.path,
            f"{it.repair.repair} refused: {it.why}", "`srb_cleanup` looks again",
        )
        for it in results
        if it.outcome == REFUSED
    )  # fmt: skip
    return Report(
        audit="srb_cleanup",
        title=title,
        columns=("repair", "outcome", "count"),
        rows=tuple((*key, count) for key, count in sorted(counts.items())),
        findings=tuple(findings),
        notes=(note,) if note else (),
    )
