"""The one place that prints results: as a text table, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import click

from snfpipe.errors import printable


def print_json(content: Any) -> None:
    """Print a result as JSON, as ``--json`` asks."""
    click.echo(json.dumps(content, indent=1, default=str))


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table in columns; numbers to the right, nothing of a terminal in it."""
    cells = [["" if value is None else printable(value) for value in row] for row in rows]
    right = [
        bool(cells) and all(row[n].replace(".", "", 1).isdigit() or row[n] == "" for row in cells)
        for n in range(len(header))
    ]
    widths = [max(len(row[n]) for row in [list(header), *cells]) for n in range(len(header))]
    for row in [list(header), *cells]:
        parts = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ]
        click.echo("  ".join(parts).rstrip())
