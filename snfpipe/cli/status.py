"""``snf status``, ``why``, ``summary``: how the configured production stands."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from snfpipe.cli.render import print_json, print_table
from snfpipe.config.project import load_project

if TYPE_CHECKING:
    from snfpipe.units.status import Status


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool) -> int:
    """Count the units of each step by state, and list those that failed.

    Ends with 1 while failures stand.

    \b
    Example:
      snf status
      snf status --json
    """
    from snfpipe.units.status import status as look

    found = look(load_project())
    if as_json:
        print_json(found.to_json())
    else:
        _print_status(found)
    return int(found.failing)


def _print_status(found: Status) -> None:
    """Print a row a step, a column a state, and what is not as it should be."""
    states = list(found.totals)
    click.echo(f"{found.production} {found.version}: {found.attempts} attempts so far")
    print_table(
        ("step", "units", *states),
        [
            *((s.key, s.units, *(s.states.get(name, 0) for name in states)) for s in found.steps),
            ("all", sum(s.units for s in found.steps), *found.totals.values()),
        ],
    )
    if found.problems:
        click.echo()
        print_table(
            ("unit", "state", "reason"), [(t.task, t.state, t.reason) for t in found.problems]
        )


@click.command()
@click.argument("units", nargs=-1, required=True, metavar="UNIT...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def why(units: tuple[str, ...], as_json: bool) -> None:
    """Say why a unit would run again, or why not: exactly what differs.

    UNIT is [STEP:]UNIT as in `doit list --all`; it may hold * ? [] (quoted).

    \b
    Example:
      snf why extract_star:06_334
      snf why 'cube_generation:06_3*'
    """
    from snfpipe.units.why import why as explain

    found = explain(load_project(), units)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    for one in found:
        click.echo(f"{one.task} ({one.state}): {one.verdict}")
        for difference in one.differences:
            click.echo(f"  {difference}")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def summary(as_json: bool) -> int:
    """Tell the whole production in a few lines, and where to look next.

    Ends with 1 where a unit failed or the audit found something.

    \b
    Example:
      snf summary
    """
    from snfpipe.tasks.summary import summarize

    found = summarize(load_project())
    if as_json:
        print_json(asdict(found))
    else:
        for line in found.lines():
            click.echo(line)
    return int(not found.clean)
