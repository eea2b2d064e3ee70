"""``batch_jobs``: create the jobs of a plan for many units, and submit them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snfpipe.cli.main import console
from snfpipe.cli.render import print_json, print_table
from snfpipe.config.project import load_project

if TYPE_CHECKING:
    from snfpipe.launch.order import Order
    from snfpipe.launch.result import Launch

_DONE = {
    "create": "created", "submit": "submitted", "finish": "finished", "nothing": "left alone",
    "refuse": "refused",
}  # fmt: skip


def order_options(prefix: str | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return what gives a command the options that name a production."""
    options = (
        click.option("--outver", type=click.IntRange(0, 9999), help="A person's production id."),
        click.option(
            "--meta_prefix", "--meta-prefix", default="SNF-", show_default=True, metavar="TEXT",
            help="What the names of jobs begin with.",
        ),
        click.option(
            "-p", "--prefix", default=prefix, required=prefix is None,
            help="The production's prefix; the plan's letter is put behind it.",
        ),
    )  # fmt: skip

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in options:
            command = option(command)
        return command

    return decorate


@click.command("batch_jobs")
@click.argument("units", nargs=-1, metavar="LIST|UNIT...")
@order_options()
@click.option("-m", "--mode", required=True, metavar="PLAN", help="The plan: its name or letter.")
@click.option(
    "-a", "--args", "arguments", default="", metavar="TEXT",
    help="Arguments for the plan: its options, and -j PRODUCTION to read from.",
)  # fmt: skip
@click.option(
    "-s", "--submit", "--autosubmit", "submit", is_flag=True,
    help="Submit what was created, now or before.",
)  # fmt: skip
@click.option("--retry", is_flag=True, help="With -s: try failed jobs again, too.")
@click.option(
    "-L", "--nodb", is_flag=True,
    help="Register nothing: run here, in the submit folder, and leave the products here.",
)  # fmt: skip
@click.option("-k", "--keep", is_flag=True, help="Leave products in the jobs' work folders, too.")
@click.option("-D", "-n", "--dry-run", is_flag=True, help="Only print what would be done.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/schemas/launch.json).")
def batch_jobs(
    units: tuple[str, ...],
    prefix: str,
    mode: str,
    meta_prefix: str,
    outver: int | None,
    arguments: str,
    submit: bool,
    retry: bool,
    nodb: bool,
    keep: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Create the jobs of a plan for units, or for the units of a list; with -s submit them.

    Jobs are created in folders by night or target below $JOBDIR. A job that is on its way, or
    that is finished and whose inputs are the same, is left alone. doit takes over what it finds.

    \b
    Example:
      batch_jobs -p ES0203 -m e -a "--truncateR 5100,9700 -R" lists/sample_nights.list
      batch_jobs -s -p ES0203 -m e -a "--truncateR 5100,9700 -R" lists/sample_nights.list
      batch_jobs -L -s -p TRY -m extract_star -a "-j SNF-0203-SAMPLEc" 06_334
    """
    from snfpipe.launch.arguments import split
    from snfpipe.launch.order import Order

    check_retry(retry=retry, submit=submit, nodb=nodb)
    order = Order(mode, prefix, units, tuple(split(arguments)), meta_prefix, outver)
    found = run_order(
        order, submit=submit, retry=retry, nodb=nodb, keep=keep, dry_run=dry_run
    )  # fmt: skip
    if as_json:
        print_json(found.to_json())
    elif dry_run:
        print_units(found)
    else:
        print_actions(found)
    return tell_refused(found)


def check_retry(*, retry: bool, submit: bool, nodb: bool) -> None:
    """Refuse --retry where it means nothing.

    Raises
    ------
    click.UsageError
        It stands without -s, or beside -L.
    """
    if retry and (nodb or not submit):
        raise click.UsageError("--retry goes with -s, and without -L, which is always new")


def run_order(
    order: Order, *, submit: bool, retry: bool, nodb: bool, keep: bool, dry_run: bool
) -> Launch:
    """Do what an order says; keep the command line that said it."""
    from snfpipe.db.session import open_database
    from snfpipe.launch import launch
    from snfpipe.launch.order import understand
    from snfpipe.launch.registered import Registered
    from snfpipe.launch.unregistered import InFolder

    project = load_project()
    ordered = understand(project, order)
    database = open_database(project.site.database_url, project.root)
    place: launch.Destination = (
        InFolder(ordered.project, ordered.step, Path.cwd(), keep)
        if nodb
        else Registered(ordered.project, database, ordered.step, retry, keep)
    )
    try:
        if not dry_run:
            with database.read() as session:
                launch.check(session, ordered, registered=place.registered)
            launch.note_command(place.folder, [Path(sys.argv[0]).name, *sys.argv[1:]], project)
        until = launch.Stage.SUBMIT if submit else launch.Stage.CREATE
        found = launch.launch(
            ordered, database, place, until, dry_run=dry_run, progress=show_progress
        )
    finally:
        database.close()
    return found


def show_progress(taken: int, total: int) -> None:
    """Tell on a terminal how many jobs have found a slot."""
    if sys.stderr.isatty():
        click.echo(
            f"\r{taken} of {total} have started, the others wait for slots ", err=True, nl=False
        )


def print_units(found: Launch) -> None:
    """Print a line a unit: what would be done, and what it reads and makes."""
    click.echo(f"{found.production}: {found.plan} of {found.version}, in {found.folder}")
    for note in found.notes:
        click.echo(f"note: {note}")
    print_table(
        ("unit", "job", "is", "would", "inputs", "items", "products", "because"),
        [
            (it.unit, it.job, it.state, it.action, it.inputs, it.items, it.products, it.reason)
            for it in found.units
        ],
    )


def print_actions(found: Launch) -> None:
    """Print how many units had what done about them, and why the others had not."""
    click.echo(f"{found.production}: {found.plan} of {found.version}, in {found.folder}")
    for note in found.notes:
        click.echo(f"note: {note}")
    print_counts(found.actions, found.submitted)


def print_counts(actions: Counter[tuple[str, str, str]], submitted: int) -> None:
    """Print how many units had what done about them, by state and reason."""
    for (action, state, reason), count in sorted(actions.items()):
        left = f" ({state})" if action == "nothing" else ""
        click.echo(f"{count:6} {_DONE[action]}{left}{': ' if reason else ''}{reason}")
    if submitted:
        click.echo(f"{submitted:6} handed to the engine")


def tell_refused(found: Launch) -> int:
    """Say why jobs could not be submitted; return the exit code."""
    for reason, count in Counter(found.refused.values()).items():
        click.echo(f"{count} not submitted: {reason}", err=True)
    if found.refused:
        again = "the same with --retry" if found.registered else "the same"
        click.echo(f"  next: fix that; {again} tries them again", err=True)
    return 3 if found.refused else 0


def main() -> None:
    """Be ``batch_jobs``."""
    console(lambda: batch_jobs, "batch_jobs")
