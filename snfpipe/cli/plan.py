"""``plan_extract_star`` and the like: what a plan selects for units, and would do about them."""

from __future__ import annotations

import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from snfpipe.cli.batch_jobs import order_options, print_units
from snfpipe.cli.main import console
from snfpipe.cli.render import print_json
from snfpipe.config.project import load_project

_SETTINGS = {"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]}


@click.command(context_settings=_SETTINGS)
@click.argument("mode", metavar="PLAN")
@click.argument("words", nargs=-1, metavar="[OPTIONS OF THE PLAN] LIST|UNIT...", required=True)
@order_options(prefix="PLAN")
@click.option("-i", "--items", is_flag=True, help="Print each piece of work, inputs and products.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/schemas/plan.json).")
def plan(
    mode: str,
    words: tuple[str, ...],
    prefix: str,
    meta_prefix: str,
    outver: int | None,
    items: bool,
    as_json: bool,
) -> None:
    """Say what a plan selects for units and would make of it; nothing is changed.

    Options are those of configs/plans (--truncate-r 5100,9700, --no-flat), and -j PRODUCTION to
    read from; without -j, a unit reads what the configured step of the plan reads.

    \b
    Example:
      plan_extract_star -j SNF-0203-SAMPLEc 06_334
      snf plan extract_star --truncate-r 5100,9700 -i lists/sample_nights.list
    """
    _show(mode, words, prefix, meta_prefix, outver, items, as_json)


def _show(
    mode: str,
    words: tuple[str, ...],
    prefix: str,
    meta_prefix: str,
    outver: int | None,
    items: bool,
    as_json: bool,
) -> None:
    """Print what a plan would do."""
    from snfpipe.db.session import open_database
    from snfpipe.launch.launch import foresee
    from snfpipe.launch.order import Order, understand

    project = load_project()
    ordered = understand(project, Order(mode, prefix, (), words, meta_prefix, outver))
    database = open_database(project.site.database_url, project.root)
    try:
        found, work = foresee(ordered, database)
    finally:
        database.close()
    if as_json:
        print_json({**found.to_json(), "work": [asdict(it) for it in work]})
        return
    print_units(found)
    for it in work if items else ():
        click.echo(f"\n{it.unit} {it.item}")
        for role, names in it.inputs.items():
            click.echo(f"  reads {role}: {' '.join(names)}")
        for name in it.products:
            click.echo(f"  makes {name}")


def main() -> None:
    """Be the command of one plan, by the name it is called by: ``plan_extract_star``.

    A package that brings a plan names this function as ``plan_<name>`` among its own scripts.
    """
    called = Path(sys.argv[0]).name
    command = click.Command(
        name=called,
        params=[param for param in plan.params if param.name != "mode"],
        callback=partial(_show, called.removeprefix("plan_")),
        context_settings=_SETTINGS,
        help=plan.help,
    )
    console(lambda: command, called)
