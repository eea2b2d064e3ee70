"""``snf arrive``: take raw nights into the database."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from snfpipe.cli.render import print_json
from snfpipe.config.project import load_project
from snfpipe.names import Night


@click.command()
@click.argument("nights", nargs=-1)
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be taken in.")
@click.option("-v", "--verbose", is_flag=True, help="Print warnings about odd headers, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/schemas/arrive.json).")
def arrive(nights: tuple[str, ...], dry_run: bool, verbose: bool, as_json: bool) -> int:
    """Take new and changed raw frames into the database; all nights, or the NIGHTS given.

    A frame that cannot be read is named with its reason, and the rest of its night goes on.
    Ends with 1 where there was one.

    \b
    Example:
      snf arrive
      snf arrive 06_334 06_336
    """
    wanted = [Night.parse(night) for night in nights]
    from snfpipe.db.session import open_database
    from snfpipe.ingest.refresh import refresh

    project = load_project()
    database = open_database(project.site.database_url, project.root, create=not dry_run)
    reports = []
    for report in refresh(project, database, wanted, dry_run=dry_run):
        reports.append(report)
        if as_json:
            continue
        would = "would take" if dry_run else "took"
        click.echo(
            f"{report.night}: {would} {len(report.taken)} frames, {len(report.changed)} changed, "
            f"{len(report.unreadable)} unreadable, {len(report.warnings)} warnings"
        )
        for name in report.changed:
            click.echo(f"  changed: {name}")
        for path, reason in report.unreadable.items():
            click.echo(f"  unreadable: {path}: {reason}")
        for path in report.gone:
            click.echo(f"  gone: {path}")
        if verbose:
            for text in report.warnings:
                click.echo(f"  warning: {text}", file=sys.stderr)
    if as_json:
        print_json({"nights": [asdict(report) for report in reports]})
    elif not reports:
        click.echo("nothing new")
    return int(any(report.unreadable for report in reports))
