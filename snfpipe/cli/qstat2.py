"""``qstat2``: the jobs that run and wait, on whatever engine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import cache
from typing import TYPE_CHECKING

import click

from snfpipe import clock
from snfpipe.cli.numbers import duration
from snfpipe.cli.render import print_json, print_table
from snfpipe.config.project import load_project
from snfpipe.errors import ServiceUnavailable

if TYPE_CHECKING:
    from snfpipe.db.session import Database
    from snfpipe.jobs.queue import Queue

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
    """List the active jobs of all productions: state, time, CPU time used and allowed.

    All who watch share one look at the scheduler a cycle, which the database keeps. PATTERN is a
    shell pattern of job names (quoted). With --watch, a scheduler or a database that is away
    is told once, and waited for.

    \b
    Example:
      qstat2
      qstat2 --watch 'SNF-0203-ES0203e-*'
    """
    from snfpipe.db.session import open_database
    from snfpipe.engines import make_engine
    from snfpipe.jobs.queue import queue

    site = (project := load_project()).site
    engine = make_engine(site)
    with ExitStack() as stack:

        @cache  # opened once, as soon as it answers
        def database() -> Database:
            return stack.enter_context(closing(open_database(site.database_url, project.root)))

        def look() -> Queue:
            return queue(site, database(), engine, patterns)

        _show(look, as_json, watch, every or site.poll_s)


def _show(look: Callable[[], Queue], as_json: bool, watch: bool, pause_s: float) -> None:
    """Print the queue, with `watch` again and again; a problem once, until it is over."""
    problem = ""
    while True:
        try:
            found = look()
        except ServiceUnavailable as error:
            if not watch:
                raise
            problem = _complain(error, problem)
        else:
            problem = ""
            _print(found, as_json, clear=watch and sys.stdout.isatty())
        if not watch:
            return
        clock.sleep(pause_s)


def _complain(error: ServiceUnavailable, last: str) -> str:
    """Say in a line who is away, unless that was the last thing said; return the line."""
    line = " ".join(f"qstat2: {error}".replace("\n  next:", "; next:").split())
    if line != last:
        click.echo(line, err=True)
    return line


def _print(found: Queue, as_json: bool, *, clear: bool) -> None:
    """Print the queue, at once, where somebody may be waiting for it."""
    if as_json:
        print_json(found.to_json())
    else:
        if clear:
            click.echo(_CLEAR, nl=False)
        _print_jobs(found)
    sys.stdout.flush()


def _print_jobs(found: Queue) -> None:
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
