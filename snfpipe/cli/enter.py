"""``snf enter``: a value for a unit by hand, with who, when and why."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict

import click

from snfpipe.cli.render import print_json
from snfpipe.config.hand_tables import enter as add_row
from snfpipe.config.hand_tables import table_path
from snfpipe.config.project import find_root
from snfpipe.declarations.registry import plan_names, plan_spec
from snfpipe.declarations.unit_kinds import UnitKind
from snfpipe.errors import BadName, NotFound, UsageError, shown


@click.command()
@click.argument("table")
@click.argument("unit")
@click.argument("values", nargs=-1, required=True, metavar="NAME=VALUE...")
@click.option("--why", required=True, metavar="TEXT", help="The reason; kept beside the value.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be entered.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/schemas/enter.json).")
def enter(
    table: str, unit: str, values: tuple[str, ...], why: str, dry_run: bool, as_json: bool
) -> None:
    """Enter values for a unit by hand: a row of lists/TABLE.csv, with you and the time.

    TABLE is one that an installed plan reads, UNIT one of the units it works on. The last row of
    a unit counts; the next doit makes again what was made with other values, and nothing else.

    \b
    Example:
      snf enter photometricity 06_334 photometric=0 --why "clouds from 3 h UT on"
      snf enter -n photometricity 06_334 photometric=1 --why "the guider says otherwise"
    """
    root = find_root()
    unit = _unit(unit, table, _kinds(table))
    entry = add_row(root, table, unit, _pairs(values), why, dry_run=dry_run)
    path = table_path(root, table)
    if as_json:
        told = {"table": table, "unit": unit, **asdict(entry), "path": str(path)}
        print_json({**told, "entered": not dry_run})
        return
    said = ", ".join(f"{name}={value}" for name, value in entry.values.items())
    what = "would enter" if dry_run else "entered"
    where = path.relative_to(root)
    click.echo(f"{what} {said} for {unit} in {where} ({entry.who}, {entry.when})")
    if not dry_run:
        click.echo("`doit` makes again what depends on it")


def _kinds(table: str) -> list[UnitKind]:
    """Return the kinds of units of the plans that read a table."""
    specs = [plan_spec(name) for name in plan_names()]
    kinds = [kind for spec in specs if table in spec.by_hand for kind in spec.unit_kinds]
    if not kinds:
        known = sorted({name for spec in specs for name in spec.by_hand})
        raise NotFound(
            f"no installed plan reads a table {shown(table)}",
            hint=f"tables that plans read: {', '.join(known) or 'none'}",
        )
    return list(dict.fromkeys(kinds))


def _unit(text: str, table: str, kinds: Sequence[UnitKind]) -> str:
    """Return a unit as lists write it."""
    for kind in kinds:
        with suppress(BadName):
            return kind.parse(text)
    known = ", ".join(f"a {kind.name} like {kind.example}" for kind in kinds)
    raise UsageError(f"{shown(text)} is no unit of table {table}", hint=f"expected {known}")


def _pairs(words: Sequence[str]) -> dict[str, str]:
    """Return name -> value of ``NAME=VALUE``."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"{shown(word)} is no value", hint="write NAME=VALUE")
        if name in found:
            raise UsageError(f"{shown(name)} is given twice", hint="leave one out")
        found[name] = value.strip()
    return found
