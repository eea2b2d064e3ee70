"""``snf plans``: what the plans that are installed say of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from snfpipe import fclass
from snfpipe.cli.render import print_json
from snfpipe.declarations.registry import plan_names, plan_spec
from snfpipe.declarations.spec import Input, Output, PlanSpec, Scope
from snfpipe.names import channel_text


@click.command()
@click.argument("names", nargs=-1, metavar="[PLAN]...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/schemas/plans.json).")
def plans(names: tuple[str, ...], as_json: bool) -> None:
    """Say what plans read and write, and what they work on; of all that are installed by default.

    \b
    Example:
      snf plans
      snf plans extract_star --json
    """
    specs = [plan_spec(name) for name in names or plan_names()]
    if as_json:
        print_json([plain(spec) for spec in specs])
        return
    for spec in specs:
        for line in lines(spec):
            click.echo(line)


def lines(spec: PlanSpec) -> Iterator[str]:
    """Yield what a plan says of itself, a line an input and an output."""
    yield f"{spec.name} ({spec.letter or '-'}): {spec.title}"
    yield f"  works on a {' or '.join(it.name for it in spec.unit_kinds)}, in {spec.folder}"
    for it in spec.inputs:
        yield f"  reads {it.role}: {_input(it)}"
    for table in spec.by_hand:
        yield f"  reads lists/{table}.csv: values entered by hand"
    for output in spec.outputs:
        yield f"  writes {output.role}: {_output(output)}"


def _input(it: Input) -> str:
    """Describe an input."""
    if it.raw:
        return f"{_classes(it.classes)}, the raw frame itself"
    where = f"nights within {it.days} days" if it.scope is Scope.NEARBY else it.scope.value
    return f"{_classes(it.classes)}, of {where}; without it: {it.lacking.value}"


def _output(output: Output) -> str:
    """Describe an output."""
    extension = "" if output.extension == "fits" else f" .{output.extension}"
    channel = f" ({channel_text(output.channel)})" if output.channel else ""
    optional = ", may be left out" if output.optional else ""
    return f"{_classes(output.classes)}{extension}, one a {output.per}{channel}{optional}"


def _classes(pairs: tuple[fclass.Pair, ...]) -> str:
    """Write classes as file names have them."""
    return " ".join(fclass.code(*pair) for pair in pairs)


def plain(spec: PlanSpec) -> dict[str, Any]:
    """Return a declaration as plain values."""
    return {
        "name": spec.name,
        "letter": spec.letter,
        "folder": spec.folder,
        "title": spec.title,
        "units": [it.name for it in spec.unit_kinds],
        "observed": list(spec.observed),
        "by_hand": list(spec.by_hand),
        "inputs": [
            {
                "role": it.role,
                "named": None if it.raw else it.named,
                "classes": [fclass.code(*pair) for pair in it.classes],
                "scope": it.scope.value,
                "days": it.days,
                "many": it.many,
                "lacking": it.lacking.value,
                "values": list(it.values),
            }
            for it in spec.inputs
        ],
        "outputs": [
            {
                "role": it.role,
                "classes": [fclass.code(*pair) for pair in it.classes],
                "per": str(it.per),
                "channel": it.channel,
                "extension": it.extension,
                "auxiliary": dict(it.auxiliary),
                "main": it.main,
                "optional": it.optional,
            }
            for it in spec.outputs
        ],
    }
