"""``srb_cleanup``: the archive against the database, and the repairs that follow."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from snfpipe.cli.audit_output import print_reports, report_options
from snfpipe.cli.numbers import Finite, duration
from snfpipe.cli.opened import opened
from snfpipe.cli.progress import progress
from snfpipe.config.project import Project, load_project

if TYPE_CHECKING:
    from snfpipe.audit.findings import Report
    from snfpipe.db.session import Database
    from snfpipe.reconcile.reconcile import Options
    from snfpipe.reconcile.repair_apply import Result
    from snfpipe.storage.base import Place


@click.command()
@click.option("--verify", is_flag=True, help="Read every file and compare its checksum.")
@click.option("--archive", metavar="WHERE", help="Another archive than the site's: folder or URL.")
@click.option(
    "--copy", "copies", multiple=True, metavar="WHERE", help="Where good bytes may come from."
)
@click.option("--compare", metavar="WHERE", help="Compare with another archive, not the database.")
@click.option(
    "--min-age", type=duration(unit_s=60), default=60, show_default=True, metavar="MINUTES",
    help="What has no row counts only if it was left alone so long.",
)  # fmt: skip
@click.option(
    "--max-wrong", type=Finite(0, 1), default=0.02, show_default=True, metavar="FRACTION",
    help="Stop where more than this part of the files looks wrong.",
)  # fmt: skip
@click.option("--plan", type=click.Path(path_type=Path), help="Where to write the plan of repairs.")
@click.option("--apply", type=click.Path(path_type=Path), metavar="PLAN", help="Do the repairs.")
@click.option("--undo", type=click.Path(path_type=Path), metavar="JOURNAL", help="Take them back.")
@click.option("-n", "--dry-run", is_flag=True, help="Write and change nothing, only say what.")
@report_options
def srb_cleanup(
    verify: bool,
    archive: str | None,
    copies: tuple[str, ...],
    compare: str | None,
    min_age: float,
    max_wrong: float,
    plan: Path | None,
    apply: Path | None,
    undo: Path | None,
    dry_run: bool,
    as_json: bool,
    as_csv: bool,
    only_findings: bool,
) -> int:
    """Hold the archive against the database, file by file, and plan what mends it.

    What is found comes with a plan of repairs, a line each, to be read (and cut) before --apply
    does them. PLAN.journal, beside it, is what --undo takes back. A file that no row knows counts
    once two scans have seen it.

    \b
    Example:
      srb_cleanup --verify
      srb_cleanup --apply work/repairs/20061130T120000-1a2b3c.plan
      srb_cleanup --undo work/repairs/20061130T120000-1a2b3c.plan.journal
      srb_cleanup --compare sftp://mirror/archive
    """
    if sum(it is not None for it in (compare, apply, undo)) > 1:
        raise click.UsageError("--compare, --apply and --undo are three different things")
    from snfpipe.storage.opening import open_place

    place = open_place(archive or str(load_project().site.archive))
    if compare is not None:
        report = _compare(place, open_place(compare), verify)
    else:
        with opened() as (project, database):
            if apply is not None:
                report = _apply(database, place, apply, dry_run)
            elif undo is not None:
                report = _undo(database, place, undo, dry_run)
            else:
                from snfpipe.reconcile.reconcile import Options

                given = tuple(open_place(it) for it in copies)
                options = Options(verify, min_age * 60, max_wrong, given, remember=not dry_run)
                report = _look(project, database, place, options, plan)
    return print_reports([report], as_json=as_json, as_csv=as_csv, only_findings=only_findings)


def _compare(place: Place, other: Place, verify: bool) -> Report:
    """Hold two archives against each other."""
    from snfpipe.reconcile.compare import compare

    with progress("files") as step:
        return compare(place, other, verify=verify, progress=step)


def _look(
    project: Project, database: Database, place: Place, options: Options, path: Path | None
) -> Report:
    """Reconcile, and write the plan."""
    from snfpipe.reconcile.reconcile import folder_of, reconcile, registered_count
    from snfpipe.reconcile.repair import write_plan

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


def _apply(database: Database, place: Place, path: Path, dry_run: bool) -> Report:
    """Do the repairs of a plan."""
    from snfpipe.reconcile.repair import read_plan
    from snfpipe.reconcile.repair_apply import apply, journal_of

    plan = read_plan(path)
    journal = journal_of(path)
    with progress("repairs", len(plan.repairs)) as step:
        results = apply(database, place, plan, journal, dry_run=dry_run, watch=step)
    note = f"`srb_cleanup --undo {journal}` takes back what was done"
    return _report(f"{'would do' if dry_run else 'did'} {path}", results, note)


def _undo(database: Database, place: Place, path: Path, dry_run: bool) -> Report:
    """Take the repairs of a journal back."""
    from snfpipe.reconcile.repair_apply import undo

    with progress("repairs") as step:
        results = undo(database, place, path, dry_run=dry_run, watch=step)
    return _report(f"{'would take' if dry_run else 'took'} back {path}", results, "")


def _report(title: str, results: list[Result], note: str) -> Report:
    """Return what became of repairs as a report; those that were refused are its findings."""
    from snfpipe.audit.findings import Finding, Kind, Report
    from snfpipe.reconcile.repair_apply import REFUSED

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
