"""What the audits' commands share: ``--json``, ``--csv``, and how a report is printed."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from snfpipe.audit.findings import Report, distinct, findings_table, verdict
from snfpipe.cli.render import print_json, print_table

F = TypeVar("F", bound=Callable[..., Any])


def report_options(command: F) -> F:
    """Add ``--json``, ``--csv`` and ``--findings`` to a command."""
    for option in (
        click.option("--findings", "only_findings", is_flag=True, help="Findings, no tables."),
        click.option("--csv", "as_csv", is_flag=True, help="CSV; with --findings, theirs."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/audit.md)."),
    ):
        command = option(command)
    return command


def print_reports(
    reports: Sequence[Report], *, as_json: bool, as_csv: bool, only_findings: bool
) -> int:
    """Print reports as asked.

    Returns
    -------
    int
        The exit code: 1 where anything was found.
    """
    if as_json:
        plain = [report.to_json() for report in reports]
        print_json(plain[0] if len(plain) == 1 else plain)
    elif as_csv:
        _print_csv(reports, only_findings)
    else:
        _print_text(reports, only_findings)
    return int(not all(report.clean for report in reports))


def _print_csv(reports: Sequence[Report], only_findings: bool) -> None:
    """Print one table of all findings, or the tables, with an empty line between them.

    By the standard library: pandas takes half a second to load.
    """
    tables = (
        [findings_table(distinct(reports))]
        if only_findings
        else [(report.columns, report.rows) for report in reports]
    )
    writer = csv.writer(sys.stdout, lineterminator="\n")
    for number, (columns, rows) in enumerate(tables):
        if number:
            sys.stdout.write("\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _print_text(reports: Sequence[Report], only_findings: bool) -> None:
    """Print tables, findings with their next steps, and a last line that says how many."""
    if not only_findings:
        for report in reports:
            click.echo(f"{report.audit}: {report.title}")
            if report.rows:
                print_table(report.columns, report.rows)
            for note in report.notes:
                click.echo(note)
            click.echo()
    found = distinct(reports)
    if found:
        print_table(
            ("kind", "object", "where", "what", "next"),
            [(it.kind, it.object, it.place, it.what, it.next_step) for it in found],
        )
        click.echo()
    click.echo(f"audit: {verdict(found)}")
