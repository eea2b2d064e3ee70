"""``snf retry`` and ``snf cancel``: an operator's word on units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from snfpipe.cli.render import print_table
from snfpipe.config.project import load_project

if TYPE_CHECKING:
    from snfpipe.units.control import Change


@click.command()
@click.argument("units", nargs=-1, required=True, metavar="UNIT...")
@click.option("-n", "--dry-run", is_flag=True, help="Only say which would be tried again.")
def retry(units: tuple[str, ...], dry_run: bool) -> None:
    """Let failed units be tried again by the next doit.

    UNIT is [STEP:]UNIT as in `doit list --all`; it may hold * ? [] (quoted). Units that did not
    fail are left alone.

    \b
    Example:
      snf retry cube_generation:06_336
      snf retry -n '*'
    """
    from snfpipe.units.control import retry as reopen

    changes = reopen(load_project(), units, dry_run=dry_run)
    _print(changes, dry_run, "none of these units failed: nothing to try again")
    if changes and not dry_run:
        click.echo("`doit` tries them")


@click.command()
@click.argument("units", nargs=-1, metavar="UNIT...")
@click.option("--all", "everything", is_flag=True, help="Whatever is active.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say which would be ended.")
def cancel(units: tuple[str, ...], everything: bool, dry_run: bool) -> None:
    """End the jobs of units that run or wait for a slot.

    UNIT is [STEP:]UNIT as in `doit list --all`; it may hold * ? [] (quoted).

    \b
    Example:
      snf cancel extract_star:06_334
      snf cancel -n --all
    """
    from snfpipe.units.control import cancel as end

    if bool(units) == everything:
        raise click.UsageError("name units, or say --all")
    changes = end(load_project(), units or ("*",), dry_run=dry_run)
    _print(changes, dry_run, "none of these units is active: nothing to end")


def _print(changes: list[Change], dry_run: bool, nothing: str) -> None:
    """Print a line a unit, or why there is none."""
    if not changes:
        click.echo(nothing)
        return
    print_table(
        ("unit", "is", "would be") if dry_run else ("unit", "was", "is"),
        [(one.task, one.old, one.new) for one in changes],
    )
