"""``snf audit`` and ``snf provenance``: all audits at once, and the chain of one file."""

from __future__ import annotations

import csv
import sys
from typing import TYPE_CHECKING

import click

from snfpipe.cli.audit_output import print_reports, report_options
from snfpipe.cli.opened import opened
from snfpipe.cli.progress import progress
from snfpipe.cli.render import print_json, print_table

if TYPE_CHECKING:
    from snfpipe.audit.provenance import Node, Provenance


@click.command()
@click.option("--verify", is_flag=True, help="Read every file: checksum, structure of FITS files.")
@click.option("--page", is_flag=True, help="Also a page with plots, in the folder of the jobs.")
@click.option("--only", type=click.Choice(["products"]), help="One audit, not all.")
@report_options
def audit(
    verify: bool, page: bool, only: str | None, as_json: bool, as_csv: bool, only_findings: bool
) -> int:
    """Run all audits over the configured production.

    First of all what is expected (what follows from raw exposures and the plans' rules) against
    what is declared, registered and archived; then check_job_output, job_attrition, jobErrors and
    job_env_check. The exit status is 1 where something is missing, unexpected or wrong.

    \b
    Example:
      snf audit --page
      snf audit --verify
      snf audit --csv --findings > findings.csv
    """
    from snfpipe.audit.products import audit_products
    from snfpipe.tasks.audits import run_audits

    with opened() as (project, database), progress("files looked at") as watch:
        if only:
            reports = [audit_products(project, database, verify=verify, watch=watch)]
        else:
            reports = list(run_audits(project, database, verify=verify, watch=watch))
    code = print_reports(reports, as_json=as_json, as_csv=as_csv, only_findings=only_findings)
    if page:
        from snfpipe.audit.page import write_page

        title = f"{project.title} {project.version.label}"
        written = write_page(project.site.jobs / "audit", title, reports)
        click.echo(f"page: {written}", err=as_json or as_csv)
    return code


@click.command()
@click.argument("word", metavar="FILE|ID")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/audit.md).")
def provenance(word: str, as_csv: bool, as_json: bool) -> None:
    """Show the whole chain of a file: what it was made from, what was made from it.

    Each process with its job, attempt, host, program, version and flags; of the file itself also
    the options. FILE is a name or a path, of a main or an auxiliary file; ID a process id.

    \b
    Example:
      snf provenance 06_334_001_003_4_038_100_02-03_000.fits
    """
    from snfpipe.audit.provenance import provenance as chain

    with opened() as (_project, database):
        found = chain(database, word)
    if as_json:
        print_json(found.to_json())
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(_rows(found))
    else:
        _print_chain(found)


_COLUMNS = (
    "direction", "depth", "file", "class", "meaning", "state", "quality", "flags", "job", "attempt",
    "host", "program", "version",
)  # fmt: skip


def _rows(found: Provenance) -> list[tuple[object, ...]]:
    """Return a row a process of the chain."""
    chain = [
        ("this", 0, found.nodes[found.process]),
        *(("up", depth, node) for depth, node in found.walk(found.parents)),
        *(("down", depth, node) for depth, node in found.walk(found.children)),
    ]
    rows: list[tuple[object, ...]] = []
    for direction, depth, node in chain:
        made = node.made_by
        by = (made.job, made.attempt, made.host, made.program, made.version) if made else ("",) * 5
        rows.append(
            (direction, depth, node.name, f"{node.fclass:03}_{node.xfclass:03}", node.meaning,
             node.state, node.quality, " ".join(node.flags), *by)
        )  # fmt: skip
    return rows


def _print_chain(found: Provenance) -> None:
    """Print the process itself in full, then a line a process upwards and downwards."""
    print_table(("", ""), _facts(found.nodes[found.process]))
    for title, links in (("made from", found.parents), ("used for", found.children)):
        click.echo(f"\n{title}:")
        rows = [
            (f"{'  ' * (depth - 1)}{one.name}", one.meaning, one.state, " ".join(one.flags),
             f"{one.made_by.job} {one.made_by.attempt} on {one.made_by.host}"
             if one.made_by else "")
            for depth, one in found.walk(links)
        ]  # fmt: skip
        if rows:
            print_table(("file", "meaning", "state", "flags", "made by"), rows)
        else:
            click.echo("nothing")


def _facts(node: Node) -> list[tuple[str, object]]:
    """Return what is known of one process."""
    made = node.made_by
    facts: list[tuple[str, object]] = [
        ("file", node.name),
        ("process", node.id_process),
        ("meaning", f"{node.meaning} ({node.fclass:03}_{node.xfclass:03})"),
        ("state", f"{node.state}, status {node.status}, quality {node.quality}"),
        ("flags", ", ".join(node.flags) or "none"),
        *(("at", path) for path in node.files),
    ]
    if made is None:
        return [*facts, ("made by", "no job: it came from outside")]
    engine = f"{made.engine} {made.engine_id or ''}".strip()
    return [
        *facts,
        ("made by", f"{made.job}, attempt {made.attempt} ({made.token})"),
        ("version", f"{made.version}, program {made.program or 'unknown'}"),
        ("ran", f"{made.started} to {made.ended} on {made.host or 'unknown'} ({engine})"),
        ("exit status", made.exit_status),
        *((f"option {name}", value) for name, value in sorted(made.options.items())),
    ]
