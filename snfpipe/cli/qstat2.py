"""``qstat2``: the jobs that run and wait, on whatever engine."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from snfpipe.cli.main import console
from snfpipe.cli.numbers import duration
from snfpipe.cli.render import print_json, print_table
from snfpipe.config import load_project

if TYPE_CHECKING:
    from snfpipe.tasks.queue import Queue

_CLEAR = "\x1b[H\x1b[J"


@click.command("qstat2")
@click.argument("patterns", nargs=-1, metavar="[PATTERN...]")
@click.option("-w", "--watch", is_flag=True, help="Show it again and again, until interrupted.")
@click.option(
    "--every", type=duration(0.1), metavar="SECONDS",
    help="How often, with --watch; by default as often as the site looks.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/schemas/qstat2.json).")
def qstat2(patterns: tuple[str, ...], watch: bool, every: float | None, as_json: bool) -> None:
    """List the jobs in hand of all productions: state, time, CPU time used and allowed.

    All who watch share one look at the scheduler a cycle, which the database keeps. PATTERN is a
    shell pattern of job names (quoted).

    \b
    Example:
      qstat2
      qstat2 --watch 'SNF-0203-ES0203e-*'
    """
    from snfpipe.db.session import open_database
    from snfpipe.engines import make_engine
    from snfpipe.tasks.queue import queue

    site = (project := load_project()).site
    database = open_database(site.database_url, project.root)
    engine = make_engine(site)
    try:
        _show(lambda: queue(site, database, engine, patterns), as_json, watch, every or site.poll_s)
    finally:
        database.close()


def _show(look: Callable[[], Queue], as_json: bool, watch: bool, pause_s: float) -> None:
    """Print the queue, with `watch` again and again."""
    while True:
        found = look()
        if as_json:
            print_json(found.to_json())
        else:
            if watch and sys.stdout.isatty():
                click.echo(_CLEAR, nl=False)
            _print(found)
        sys.stdout.flush()
        if not watch:
            return
        time.sleep(pause_s)


def _print(found: Queue) -> None:
    """Print a line a job, then how many there are of each state."""
    print_table(
        ("Jobname", "State", "Time", "CPU (used/limit)"),
        [
            (
                job.name,
                job.state,
                _clock(job.time_s),
                f"{_clock(job.cpu_s)}/{_clock(job.cpu_limit_s)}" if job.cpu_limit_s else "",
            )
            for job in found.jobs
        ],
    )
    click.echo("---")
    for state, count in found.counts.items():
        click.echo(f"{count} {state}")
    for notice in found.notices:
        click.echo(notice)


def _clock(seconds: float | None) -> str:
    """Return seconds as hours, minutes and seconds."""
    if seconds is None:
        return ""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def main() -> None:
    """Be ``qstat2``."""
    console(lambda: qstat2, "qstat2")
