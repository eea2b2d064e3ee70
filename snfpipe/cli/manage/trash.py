"""``manage_jobs --trash``, ``--restore``, ``--purge``, ``--finish``: what was deleted."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from snfpipe.cli.manage.call import Call
from snfpipe.cli.progress import progress
from snfpipe.cli.render import print_json, print_table
from snfpipe.deletion import trash
from snfpipe.errors import NotFound, Refused, UsageError
from snfpipe.jobs.select import find_jobs

if TYPE_CHECKING:
    from snfpipe.jobs.select import Wanted


def finish_open(call: Call) -> list[str]:
    """Finish what was interrupted; return the jobs it was done for."""
    return trash.finish(call.project, call.database)


def finish(call: Call, _words: dict[str, Any]) -> int:
    """Finish what was interrupted, and say which jobs it was."""
    for name in finish_open(call):
        click.echo(f"finished: {name}")
    return 0


def show(call: Call, _words: dict[str, Any]) -> int:
    """List what is in the trash."""
    found = _find(call, call.wanted)
    keep = timedelta(days=call.project.site.trash_days)
    if call.as_json:
        print_json([{**asdict(it), "until": it.moment + keep} for it in found])
        return 0
    if not found:
        click.echo("the trash is empty")
        return 0
    print_table(
        ("job", "deleted", "by", "processes", "files", "bytes", "kept until", ""),
        [
            (it.job, f"{it.moment:%Y-%m-%dT%H:%M:%S}", it.by, it.processes, it.files, it.bytes,
             f"{it.moment + keep:%Y-%m-%d}", "" if it.state == trash.DELETED else it.state)
            for it in found
        ],
    )  # fmt: skip
    return 0


def restore(call: Call, _words: dict[str, Any]) -> int:
    """Bring deleted jobs back; those that cannot come are named with the reason.

    Returns
    -------
    int
        The exit code: 3 where one was refused.
    """
    finished = [] if call.dry_run else finish_open(call)
    try:
        found = _find(call, call.pattern, finished)
    except NotFound:
        with call.database.read() as session:
            count = len(find_jobs(session, call.pattern))
        click.echo(f"nothing to restore: {count} such jobs stand", err=call.as_json)
        return 0
    names = list(dict.fromkeys(it.job for it in found))
    if call.dry_run:
        done = trash.would_restore(call.database, names)
    else:
        with progress("moving files back", sum(it.files for it in found)) as watch:
            done = trash.restore(call.project, call.database, names, watch)
        done += [trash.Restored(name) for name in finished if name not in names]
    for path in (path for it in done for path in it.lost):
        click.echo(f"not in the trash any more: {path}", err=True)
    if call.as_json:
        print_json([asdict(it) for it in done])
    else:
        word = "would be restored" if call.dry_run else "restored"
        rows = [(it.job, f"left: {it.refused}" if it.refused else word) for it in done]
        print_table(("job", ""), rows)
    return 3 if any(it.refused for it in done) else 0


def purge(call: Call, words: dict[str, Any]) -> int:
    """Remove what has been in the trash for long enough; there is no way back."""
    if not call.dry_run:
        finish_open(call)
    days = words["older_than"]
    limit = call.project.site.trash_days if days is None else days
    with call.database.read() as session:
        found = trash.due(session, limit)
    if call.wanted:
        meant = set(call.wanted.pick({it.job for it in found}))
        found = [it for it in found if it.job in meant]
    if call.as_json:
        print_json([asdict(it) for it in found])
    else:
        for it in found:
            click.echo(f"{it.job}: deleted {it.moment:%Y-%m-%dT%H:%M:%S}, {it.files} files")
    if not found:
        click.echo(f"nothing has been in the trash for {limit:g} days", err=True)
    if call.dry_run or not found:
        return 0
    confirm(len(found), "deleted jobs", "forget for ever", yes=words["yes"])
    with progress("removing", sum(it.files for it in found)) as watch:
        trash.purge(call.project, call.database, found, watch)
    click.echo(f"purged {len(found)} deleted jobs", err=call.as_json)
    return 0


def confirm(count: int, of: str, verb: str, *, yes: bool) -> None:
    """Ask for the count to be typed on a terminal; elsewhere, nothing goes without --yes.

    Raises
    ------
    UsageError
        There is nobody to ask.
    Refused
        Something else was typed.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            f"nothing was done: there is no terminal to ask at before it would {verb} {count} {of}",
            hint="say --yes, or --dry-run to look only",
        )
    typed = click.prompt(
        f"Type the number of {of} to {verb} them", default="", show_default=False, err=True
    )
    if typed.strip() != str(count):
        raise Refused("nothing was done: that is not the number", hint=f"it is {count}")


def _find(call: Call, wanted: Wanted | None, finished: Sequence[str] = ()) -> list[trash.Trashed]:
    """Return what is in the trash and meant; all of it where no job is named."""
    with call.database.read() as session:
        found = trash.trashed(session)
    if wanted is None:
        return found
    meant = set(wanted.pick(sorted({*finished, *(it.job for it in found)})))
    return [it for it in found if it.job in meant]
