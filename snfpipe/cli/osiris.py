"""``osiris``, ``anubis`` and ``update_sge_job``: the post-mortem of jobs."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snfpipe.cli.numbers import duration
from snfpipe.cli.opened import opened
from snfpipe.cli.render import print_json, print_table
from snfpipe.errors import UsageError, shown

if TYPE_CHECKING:
    from snfpipe.config.project import Project
    from snfpipe.daemon.osiris import Event, Osiris

#: Digits of a day, 20261120; epoch seconds have had more since 1973.
_DAY_DIGITS = 8
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def _moment(_context: click.Context, _option: click.Parameter, text: str | None) -> datetime | None:
    """Return the moment that --since names, as the database keeps times."""
    if text is None:
        return None
    try:
        if text.isdigit() and len(text) > _DAY_DIGITS:
            moment = datetime.fromtimestamp(int(text), UTC)
        else:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(
            f"--since {shown(text)} is no time",
            hint="write 2026-11-20, 20261120, 2026-11-20T12:00, or epoch seconds",
        ) from error


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that Osiris and Anubis share."""
    for option in (
        click.option("--in-batch", "job_limit_s", type=duration(1), hidden=True,
                     help="The batch job's own time limit [s]; its script says it."),
        click.option("-n", "--dry-run", is_flag=True,
                     help="Only say what would be finished now; with --submit, what submitted."),
        click.option("--submit", is_flag=True,
                     help="Submit it to the daemon queue, where it is not there yet, and end."),
        click.option("--for", "limit_s", type=duration(1), metavar="SECONDS",
                     help="Hand over after so long; with --submit, the job's time limit (7 days)."),
        click.option("--heartbeat", "heartbeat_s", type=duration(1), default=60.0,
                     metavar="SECONDS", show_default=True,
                     help="For how long Osiris may be silent before Anubis takes over."),
        click.option("--since", metavar="TIME", callback=_moment,
                     help="Look again at jobs given up as lost since TIME (2026-11-20, 20261120, "
                          "2026-11-20T12:00 UTC, or epoch seconds); a week ago by default."),
        click.option("--json", "as_json", is_flag=True, help="A JSON object a line an event."),
        click.option("--log-level", "level", envvar="SNF_LOG_LEVEL", default="info",
                     type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
                     show_default=True, help="What is logged, from this level on "
                     "(SNF_LOG_LEVEL); debug tells of each turn."),
    ):  # fmt: skip
        command = option(command)
    return command


@click.command()
@_options
@click.option("--once", is_flag=True, help="Finish what is over now, and end.")
def osiris(once: bool, **given: Any) -> int:
    """Finish jobs that ended, of all productions of the database, until stopped.

    Outcome, logs and products of every job of the site's engine are taken care of as long as this
    runs; doit then leaves that to it. Only one serves at a time; `anubis` waits for the next turn.
    SIGTERM or Ctrl-C: hands over after what is being written.

    \b
    Example:
      osiris -n
      osiris --since 2026-11-20 >> osiris.log
      osiris --submit
    """
    if given["submit"]:
        return _submit(given, "Osiris", "Anubis")
    with _osiris(given) as (_project, one):
        if given["dry_run"]:
            return _preview(one, given["as_json"])
        one.begin()
        if once:
            one.once()
        else:
            one.serve()
    return 0


@click.command()
@_options
def anubis(**given: Any) -> int:
    """Wait until no Osiris serves, then be Osiris.

    Started on a second machine, or as a job, it takes over when the heartbeat of Osiris stops or
    when Osiris hands over. With no Osiris at all it begins at once: what systemd should start.

    \b
    Example:
      anubis
      anubis --submit
    """
    if given["submit"]:
        return _submit(given, "Anubis")
    with _osiris(given) as (project, one):
        if given["dry_run"]:
            return _preview(one, given["as_json"])
        if given["job_limit_s"]:
            from snfpipe.daemon.osiris_batch import wait_in_batch

            wait_in_batch(project, one, _words(given), given["job_limit_s"], given["heartbeat_s"])
        elif one.wait():
            one.serve()
    return 0


@click.command()
@click.argument("out", metavar="FILE.out", type=click.Path(path_type=Path))
@click.argument("err", metavar="FILE.err", type=click.Path(path_type=Path))
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would become of it.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON (docs/schemas/update_sge_job.json)."
)
def update_sge_job(out: Path, err: Path, dry_run: bool, as_json: bool) -> int:
    """Finish one job by hand, known by its output and its errors.

    Does at once what Osiris would do for this job, without waiting for the grace; a job that still
    runs is left alone. Ends with 1 where the job failed.

    \b
    Example:
      update_sge_job -n SNF-0203-SAMPLEc-06334.out SNF-0203-SAMPLEc-06334.err
    """
    from snfpipe.daemon.by_hand import settle_by_hand
    from snfpipe.engines import make_engine
    from snfpipe.states import FAILURES

    with opened() as (project, database):
        engine = make_engine(project.site)
        verdict = settle_by_hand(project, database, engine, out, err, dry_run=dry_run)
    new, reason = verdict.outcome.state, verdict.outcome.reason
    if as_json:
        print_json({"job": verdict.job, "unit": verdict.unit, "old": verdict.old, "new": new,
                    "reason": reason, "dry_run": dry_run})  # fmt: skip
    else:
        header = ("job", "is", "would be", "reason") if dry_run else ("job", "was", "is", "reason")
        print_table(header, [(verdict.job, verdict.old, new, reason)])
    return int(new in FAILURES)


# --- the daemon ----------------------------------------------------------------------------


@contextmanager
def _osiris(given: dict[str, Any]) -> Iterator[tuple[Project, Osiris]]:
    """Give project and daemon, which hears signals; however it ends, it keeps no lease."""
    from snfpipe.daemon import log
    from snfpipe.daemon.osiris import Osiris
    from snfpipe.engines import make_engine

    log.start(given["level"], as_json=given["as_json"])
    limit_s = given["limit_s"]
    if given["job_limit_s"]:
        from snfpipe.daemon.osiris_batch import time_to_serve

        limit_s = time_to_serve(given["job_limit_s"])
    with opened() as (project, database):
        one = Osiris(
            project, database, make_engine(project.site), log.say,
            heartbeat_s=given["heartbeat_s"], limit_s=limit_s, since=given["since"],
        )  # fmt: skip
        try:
            for number in _STOPPING:
                signal.signal(number, lambda _number, _frame: one.stop())
            yield project, one
        finally:
            one.end()


def _printer(as_json: bool) -> Callable[[Event], None]:
    """Return what prints the events that were asked for, whatever the level of the log."""
    from snfpipe.daemon import log

    line_of = log.json_of if as_json else log.text_of
    return lambda event: click.echo(line_of(event))


def _preview(one: Osiris, as_json: bool) -> int:
    """Print what would be finished now."""
    from snfpipe.daemon.osiris import Event

    found = one.preview()
    if as_json:
        say = _printer(as_json)
        for job, ended in found:
            end = ended.outcome
            say(Event("would finish", f"is {job.state}", job=job.name, production=job.production,
                      unit=job.unit, state=end.state.value, reason=end.reason))  # fmt: skip
    elif found:
        print_table(("job", "is", "would be", "reason"),
                    [(job.name, job.state, ended.outcome.state, ended.outcome.reason)
                     for job, ended in found])  # fmt: skip
    else:
        click.echo("no active job has ended: nothing to finish")
    return 0


# --- as batch jobs -------------------------------------------------------------------------


def _submit(given: dict[str, Any], *names: str) -> int:
    """Submit those of the daemons that are not there yet to the daemon queue."""
    from snfpipe.daemon.osiris import Event
    from snfpipe.daemon.osiris_batch import LIMIT_S, alone, standing, submit

    say = _printer(given["as_json"])
    limit_s = given["limit_s"] or LIMIT_S
    with opened() as (project, database), ExitStack() as at_end:
        if not given["dry_run"]:
            at_end.enter_context(alone(project, database))
        there, in_error = standing(project, database)
        for it in in_error:
            say(Event("in error", f"job {it.ident} never started: delete it", job=it.name,
                      reason=it.error))  # fmt: skip
        for name in names:
            if name in there:
                say(Event("stands already", there[name], job=name))
            elif given["dry_run"]:
                say(Event("would submit", f"for {limit_s:g} s", job=name))
            else:
                ident = submit(project, name, _words(given), limit_s)
                say(Event("submitted", f"job {ident}, for {limit_s:g} s", job=name))
    return 0


def _words(given: dict[str, Any]) -> list[str]:
    """Return the options that the job's command is to have, and those of the next one."""
    from snfpipe.daemon.log import utc_text

    words = ["--heartbeat", f"{given['heartbeat_s']:g}"]
    if given["since"]:
        words += ["--since", utc_text(given["since"])]
    if given["level"] != "info":
        words += ["--log-level", given["level"]]
    if given["as_json"]:
        words.append("--json")
    return words
