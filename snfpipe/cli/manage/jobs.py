"""``manage_jobs``: list, validate, waive, cancel, resubmit, delete and restore jobs."""

from __future__ import annotations

import getpass
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snfpipe.cli.manage.call import Call
from snfpipe.cli.numbers import duration
from snfpipe.cli.opened import opened
from snfpipe.cli.render import print_json, print_table

if TYPE_CHECKING:
    from snfpipe.jobs.select import Listed
    from snfpipe.jobs.validate import Word
    from snfpipe.units.control import Change

_NOT_ALL = 3  # exit code where something that was asked for was refused


@click.command()
@click.option("-j", "--job", "patterns", multiple=True, metavar="PATTERN",
              help="Names, with * ? [89] [!89]; may be given more than once.")  # fmt: skip
@click.option("-E", "--regex", is_flag=True, help="PATTERN is a regular expression.")
@click.option("-n", "--no-processes", is_flag=True, help="List only jobs without processes.")
@click.option("-s", "--status", type=int, metavar="N",
              help="2 validates jobs and all they made, 1 reopens them.")  # fmt: skip
@click.option("--waive", metavar="REASON", help="Expect nothing more of jobs, for a reason.")
@click.option("--by", metavar="NAME", help="Who says so (default: you).")
@click.option("-k", "--cancel", is_flag=True, help="End jobs that run or wait for a slot.")
@click.option("-r", "--resubmit", is_flag=True,
              help="Try failed jobs again, and the failed ones they depend on.")  # fmt: skip
@click.option("--later", is_flag=True, help="With -r: leave that to the next doit.")
@click.option("-d", "--delete", is_flag=True, help="Delete jobs, processes, files.")
@click.option("--with-descendants", is_flag=True,
              help="With -d: and the jobs that made something from them.")  # fmt: skip
@click.option("--keep-descendants", is_flag=True,
              help="With -d: leave those, marked as having a deleted parent.")  # fmt: skip
@click.option("--force", is_flag=True, help="With -d: validated jobs, too.")
@click.option("-b", "--batch", is_flag=True,
              help="With -d: write the plan and a script that does it.")  # fmt: skip
@click.option("-o", "--output", metavar="FOLDER", default=".", help="With -b: where (default: .).")
@click.option("--plan", "plan_file", metavar="FILE", help="With -d: as a plan of -b has it.")
@click.option("--restore", is_flag=True, help="Bring deleted jobs back from the trash.")
@click.option("--trash", "show_trash", is_flag=True, help="List what is in the trash.")
@click.option("--purge", is_flag=True, help="Empty the trash of what is too old.")
@click.option("--older-than", type=duration(unit_s=86_400), metavar="DAYS",
              help="With --purge: too old (default: trash_days of the site).")  # fmt: skip
@click.option("--finish", is_flag=True, help="Finish what was interrupted.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/manage_jobs.md).")
def manage_jobs(
    patterns: tuple[str, ...],
    regex: bool,
    by: str | None,
    dry_run: bool,
    as_json: bool,
    **words: Any,
) -> int:
    """List jobs, or validate, waive, cancel, resubmit, delete and restore them.

    Nothing is deleted before it was shown, and confirmed by typing the number of jobs, or by
    --yes. Deleted jobs stay in the trash and can be restored.

    \b
    Example:
      manage_jobs -j 'SNF-0203-SAMPLEe-*'
      manage_jobs -j SNF-0203-SAMPLEe-06334 -s 2
      manage_jobs -j 'SAMPLEe-0633[46]' -d --dry-run
      manage_jobs -j 'SAMPLEe-0633[46]' --restore
    """
    from snfpipe.jobs.select import Wanted

    action = _action(words)
    with opened() as (project, database):
        wanted = Wanted.of(project, patterns, regex=regex) if patterns else None
        call = Call(project, database, wanted, by or getpass.getuser(), dry_run, as_json)
        code: int = action(call, words)
        return code


# --- what is asked for ---------------------------------------------------------------------


def _action(words: dict[str, Any]) -> Any:
    """Return the one action that the options ask for.

    Raises
    ------
    click.UsageError
        They ask for two, or an option stands where it means nothing.
    """
    asked = [name for name in _ACTIONS if words[name] not in (None, False)]
    if len(asked) > 1:
        raise click.UsageError(f"one thing at a time: --{asked[0]} or --{asked[1]}")
    name = asked[0] if asked else ""
    for option, (actions, default) in _BELONGS.items():
        if words[option] != default and name not in actions:
            which = " or ".join(f"--{it.replace('show_', '')}" for it in actions if it)
            raise click.UsageError(
                f"--{option.replace('_file', '').replace('_', '-')} goes with {which or 'the list'}"
            )
    return _ACTIONS.get(name, _list)


def _list(call: Call, words: dict[str, Any]) -> int:
    """List jobs."""
    from snfpipe.jobs.select import find_jobs

    with call.database.read() as session:
        jobs = find_jobs(session, call.pattern)
    if words["no_processes"]:
        jobs = [job for job in jobs if not job.processes]
    if call.as_json:
        print_json([_plain(job) for job in jobs])
        return 0
    for job in jobs:
        click.echo(
            f"{job.name}: Status={_status(job)} Created={job.created:%Y-%m-%dT%H:%M:%S} "
            f"Version={job.number} nprocs={job.processes}"
        )
    return 0


def _status(job: Listed) -> str:
    """Return a state as the original's list calls it: ours, but ReadOnly for a validated job."""
    from snfpipe.states import State

    return "ReadOnly" if job.state is State.VALIDATED else job.state.replace(" ", "_")


def _plain(job: Listed) -> dict[str, Any]:
    """Return a job as JSON has it."""
    plain = asdict(job)
    del plain["id"]
    return {**plain, "status": _status(job), "created": f"{job.created:%Y-%m-%dT%H:%M:%S}"}


def _set_status(call: Call, words: dict[str, Any]) -> int:
    """Validate or reopen."""
    from snfpipe.jobs.validate import set_status

    ids = [job.id for job in call.find()]
    return _print_words(call, call.database.transact(
        lambda session: set_status(session, ids, words["status"], call.by, dry_run=call.dry_run)
    ))  # fmt: skip


def _waive(call: Call, words: dict[str, Any]) -> int:
    """Waive."""
    from snfpipe.jobs.validate import waive

    ids = [job.id for job in call.find()]
    return _print_words(call, call.database.transact(
        lambda session: waive(session, ids, words["waive"], call.by, dry_run=call.dry_run)
    ))  # fmt: skip


def _print_words(call: Call, said: list[Word]) -> int:
    """Print what was done about each job; return the exit code."""
    if call.as_json:
        print_json([asdict(word) for word in said])
    elif said:
        print_table(
            ("job", "is" if call.dry_run else "was", "would be" if call.dry_run else "is", ""),
            [(w.job, w.old, w.new, f"left: {w.refused}" if w.refused else "") for w in said],
        )
    else:
        click.echo("nothing to do: these jobs are like that already")
    return _NOT_ALL if any(word.refused for word in said) else 0


def _cancel(call: Call, _words: dict[str, Any]) -> int:
    """Cancel."""
    from snfpipe.states import IN_HAND
    from snfpipe.units.control import cancel_jobs

    names = [job.name for job in call.find() if job.state in IN_HAND]
    changes = cancel_jobs(call.project, names, dry_run=call.dry_run) if names else []
    _print_changes(call, changes, "none of these jobs is in hand: nothing to end")
    return 0


def _resubmit(call: Call, words: dict[str, Any]) -> int:
    """Reopen failed jobs and those they depend on, and let doit run them."""
    from snfpipe.units.control import retry_jobs

    names = [job.name for job in call.find()]
    changes = retry_jobs(call.project, names, dry_run=call.dry_run)
    _print_changes(call, changes, "none of these jobs failed, nor any they depend on")
    if not changes or call.dry_run:
        return 0
    if words["later"]:
        click.echo("`doit` tries them", err=True)
        return 0
    doit = Path(sys.executable).with_name("doit")
    done = subprocess.run(
        [doit, *(change.task for change in changes)], cwd=call.project.root, check=False,
        stdout=sys.stderr if call.as_json else None,
    )  # fmt: skip
    return done.returncode


def _print_changes(call: Call, changes: list[Change], nothing: str) -> None:
    """Print a line a unit, or why there is none."""
    if call.as_json:
        print_json([asdict(change) for change in changes])
    elif changes:
        print_table(
            ("unit", "is", "would be") if call.dry_run else ("unit", "was", "is"),
            [(it.task, it.old, it.new) for it in changes],
        )
    else:
        click.echo(nothing)


def _delete(call: Call, words: dict[str, Any]) -> int:
    """Delete."""
    from snfpipe.cli.manage.delete import delete

    return delete(call, words)


def _restore(call: Call, _words: dict[str, Any]) -> int:
    """Restore."""
    from snfpipe.cli.manage.trash import restore

    return restore(call)


def _show_trash(call: Call, _words: dict[str, Any]) -> int:
    """List the trash."""
    from snfpipe.cli.manage.trash import show

    return show(call)


def _purge(call: Call, words: dict[str, Any]) -> int:
    """Purge."""
    from snfpipe.cli.manage.trash import purge

    return purge(call, words["older_than"], yes=words["yes"])


def _finish(call: Call, _words: dict[str, Any]) -> int:
    """Finish."""
    from snfpipe.cli.manage.trash import finish_open

    for name in finish_open(call):
        click.echo(f"finished: {name}")
    return 0


_ACTIONS = {
    "status": _set_status,
    "waive": _waive,
    "cancel": _cancel,
    "resubmit": _resubmit,
    "delete": _delete,
    "restore": _restore,
    "show_trash": _show_trash,
    "purge": _purge,
    "finish": _finish,
}
#: Option -> the actions it goes with ("" is the list), and what it is when it was not given.
_BELONGS: dict[str, tuple[tuple[str, ...], Any]] = {
    "no_processes": (("",), False),
    "later": (("resubmit",), False),
    "with_descendants": (("delete",), False),
    "keep_descendants": (("delete",), False),
    "force": (("delete",), False),
    "batch": (("delete",), False),
    "output": (("delete",), "."),
    "plan_file": (("delete",), None),
    "older_than": (("purge",), None),
    "yes": (("delete", "purge"), False),
}
