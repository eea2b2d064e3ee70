"""``snf ingest``: take raw nights into the database."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from snfpipe.cli.render import print_json
from snfpipe.config.project import load_project
from snfpipe.names import Night

if TYPE_CHECKING:
    from snfpipe.ingest.report import NightReport

_LINES = 20  # that are printed of many; JSON and the audit have all


@click.command()
@click.argument("nights", nargs=-1)
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be taken in.")
@click.option("-v", "--verbose", is_flag=True, help="Print notes on odd headers, and all problems.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/schemas/ingest.json).")
def ingest(nights: tuple[str, ...], dry_run: bool, verbose: bool, as_json: bool) -> int:
    """Take new and changed raw frames into the database; all nights, or the NIGHTS given.

    What was not taken is named with the reason, and what frames and logs disagree on or lack; the
    rest goes on. The exit status is 1 as long as any of it stands, whenever it was found.

    \b
    Example:
      snf ingest
      snf ingest 06_334 06_336
    """
    wanted = [Night.parse(night) for night in nights]
    from snfpipe.db.session import open_database
    from snfpipe.ingest.refresh import refresh
    from snfpipe.ingest.standing import standing

    project = load_project()
    database = open_database(project.site.database_url, project.root, create=not dry_run)
    reports = []
    for report in refresh(project, database, wanted, dry_run=dry_run):
        reports.append(report)
        if not as_json:
            _print(report, "would take" if dry_run else "took", verbose)
    with database.read() as session:
        left = standing(session, project.site.raw, [str(night) for night in wanted] or None)
    found = [problem for report in reports for problem in report.all_problems]
    problems = list(dict.fromkeys([*found, *left]))
    if as_json:
        nights_told = [asdict(report) for report in reports]
        print_json({"nights": nights_told, "problems": [asdict(it) for it in problems]})
    else:
        if not reports:
            click.echo("nothing new")
        if problems:
            click.echo(f"{len(problems)} problem{'s' if len(problems) > 1 else ''}:")
        _print_lines("", [str(problem) for problem in problems], verbose)
    return int(bool(problems))


def _print(report: NightReport, took: str, verbose: bool) -> None:
    """Print what was new in a night."""
    if report.night:
        click.echo(
            f"{report.night}: {took} {len(report.taken)} frames, {len(report.changed)} changed, "
            f"{len(report.unreadable)} not taken, {len(report.problems)} problems, "
            f"{len(report.warnings)} notes"
        )
    _print_lines("changed: ", report.changed, verbose)
    _print_lines("gone: ", report.gone, verbose)
    if verbose:
        for text in report.warnings:
            click.echo(f"  note: {text}", file=sys.stderr)


def _print_lines(title: str, lines: Sequence[str], everything: bool) -> None:
    """Print a line each, of many the first."""
    shown = lines if everything else lines[:_LINES]
    for line in shown:
        click.echo(f"  {title}{line}")
    if len(lines) > len(shown):
        click.echo(f"  ... and {len(lines) - len(shown)} more (all with -v)")
