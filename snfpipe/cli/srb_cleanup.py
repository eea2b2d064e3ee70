"""``srb_cleanup``: the archive against the database, and the repairs that follow."""

from __future__ import annotations

from pathlib import Path

import click

from snfpipe.cli.audit_output import print_reports, report_options
from snfpipe.cli.numbers import Finite, duration
from snfpipe.cli.opened import opened
from snfpipe.config.project import load_project


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
    """Hold the archive against the database, file by file, and plan what fixes it.

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
    from snfpipe.cli import repairs
    from snfpipe.reconcile.reconcile import Options
    from snfpipe.storage.opening import open_place

    place = open_place(archive or str(load_project().site.archive))
    if compare is not None:
        report = repairs.compare(place, open_place(compare), verify)
    else:
        with opened() as (project, database):
            if apply is not None:
                report = repairs.apply(database, place, apply, dry_run)
            elif undo is not None:
                report = repairs.undo(database, place, undo, dry_run)
            else:
                given = tuple(open_place(it) for it in copies)
                options = Options(verify, min_age * 60, max_wrong, given, remember=not dry_run)
                report = repairs.look(project, database, place, options, plan)
    return print_reports([report], as_json=as_json, as_csv=as_csv, only_findings=only_findings)
