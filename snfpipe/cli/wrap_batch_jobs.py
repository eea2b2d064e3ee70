"""``wrap_batch_jobs``: a long list in sub-lists, created and submitted side by side."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from snfpipe.cli.batch_jobs import batch_jobs, check_retry, print_counts
from snfpipe.cli.opened import opened
from snfpipe.cli.render import print_json, print_table
from snfpipe.config.project import load_project

if TYPE_CHECKING:
    from snfpipe.launch.order import Ordered
    from snfpipe.launch.portions import Part, PartDone

_FARM_JOBS = 20


@click.command("wrap_batch_jobs")
@click.option("-b", "--batch", "options", required=True, metavar="TEXT", help="For batch_jobs.")
@click.option("-l", "--list", "path", required=True, metavar="LIST", help="The list of units.")
@click.option("-a", "--autosubmit", is_flag=True, help="Submit what is created.")
@click.option("--farm", is_flag=True, help="Create by jobs on the farm, not by processes here.")
@click.option(
    "--parts", type=click.IntRange(1, 200), metavar="N",
    help=f"Sub-lists at most; by default a core each, or {_FARM_JOBS} with --farm.",
)  # fmt: skip
@click.option("-D", "-n", "--dry-run", is_flag=True, help="Only print what would be run.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON (docs/schemas/wrap_batch_jobs.json)."
)
def wrap_batch_jobs(
    options: str,
    path: str,
    autosubmit: bool,
    farm: bool,
    parts: int | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Split LIST, and run a batch_jobs over each part, side by side.

    \b
    Example:
      wrap_batch_jobs -b '-p ES0203 -m e' -l lists/sample_nights.list -a
      wrap_batch_jobs -b '-p ES0203 -m e' -l lists/sample_nights.list -a --farm
    """
    from snfpipe.launch import portions
    from snfpipe.launch.arguments import split

    words = [*split(options), *(["-s"] if autosubmit else [])]
    ordered = _understood(words, path)
    at_once = parts or (_FARM_JOBS if farm else len(os.sched_getaffinity(0)))
    pieces = portions.split_up(ordered, words, at_once)
    if dry_run:
        _print_parts(ordered, pieces, as_json)
        return 0
    portions.write_lists(pieces)
    if farm:
        jobs = portions.run_on_farm(ordered, pieces)
        if as_json:
            print_json({"production": ordered.step.production, "jobs": [asdict(it) for it in jobs]})
        else:
            print_table(("job", "id", "output"), [(it.name, it.engine_id, it.log) for it in jobs])
        return 0
    return _print_done(ordered, portions.run_here(pieces), as_json)


def _understood(words: list[str], path: str) -> Ordered:
    """Check options, list and productions as each part would, before anything is started."""
    from snfpipe.launch.arguments import split
    from snfpipe.launch.launch import check
    from snfpipe.launch.order import Order, understand

    with batch_jobs.make_context("batch_jobs", [*words, path]) as context:
        given = context.params
    if given["units"] != (path,) or given["dry_run"] or given["as_json"]:
        raise click.UsageError("-b takes no units, -D or --json: units go to -l, the others here")
    check_retry(retry=given["retry"], submit=given["submit"], nodb=given["nodb"])
    order = Order(
        given["mode"], given["prefix"], given["units"], tuple(split(given["arguments"])),
        given["meta_prefix"], given["outver"],
    )  # fmt: skip
    ordered = understand(load_project(), order)
    with opened() as (_project, database), database.read() as session:
        check(session, ordered, registered=not given["nodb"])
    return ordered


def _print_parts(ordered: Ordered, parts: list[Part], as_json: bool) -> None:
    """Print what would be run."""
    import shlex

    if as_json:
        told = [{"units": len(it.units), "command": list(it.command)} for it in parts]
        print_json({"production": ordered.step.production, "would_run": told})
        return
    for part in parts:
        click.echo(f"would run, over {len(part.units)} units: {shlex.join(part.command)}")


def _print_done(ordered: Ordered, done: list[PartDone], as_json: bool) -> int:
    """Print what became of the parts; return the worst exit code of theirs."""
    actions: Counter[tuple[str, str, str]] = Counter()
    for it in done:
        actions.update(it.actions)
    failed = [it for it in done if it.error]
    submitted = sum(it.submitted for it in done)
    if as_json:
        print_json(
            {
                "production": ordered.step.production,
                "parts": len(done),
                "actions": [
                    {"action": action, "state": state, "reason": reason, "units": count}
                    for (action, state, reason), count in sorted(actions.items())
                ],
                "submitted": submitted,
                "errors": {str(it.part.path): it.error for it in failed},
            }
        )
    else:
        nothing = "" if actions else ", nothing done"
        click.echo(f"{ordered.step.production}: {len(done)} parts{nothing}")
        print_counts(actions, submitted)
    for it in failed:
        click.echo(f"{it.part.path}: {it.error}", err=True)
    if failed:
        click.echo("next: fix the cause; the same command goes on", err=True)
    return max((it.code if it.code in (2, 3, 4) else 3 for it in failed), default=0)
