"""What ``manage_jobs`` does: each action takes the call and the command's other options."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from snfpipe.cli.manage.call import Call
from snfpipe.cli.manage.delete import delete
from snfpipe.cli.manage.trash import finish, purge, restore, show
from snfpipe.cli.render import print_json, print_table
from snfpipe.jobs.select import Listed, find_jobs
from snfpipe.jobs.validate import Word, set_status
from snfpipe.jobs.validate import waive as waive_jobs
from snfpipe.states import ACTIVE, State
from snfpipe.units.control import Change, cancel_jobs, retry_jobs

Action = Callable[[Call, dict[str, Any]], int]

_NOT_ALL = 3  # exit code where something that was asked for was refused


def show_list(call: Call, words: dict[str, Any]) -> int:
    """List jobs."""
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
    return "ReadOnly" if job.state is State.VALIDATED else job.state.replace(" ", "_")


def _plain(job: Listed) -> dict[str, Any]:
    """Return a job as JSON has it."""
    plain = asdict(job)
    del plain["id"]
    return {**plain, "status": _status(job), "created": f"{job.created:%Y-%m-%dT%H:%M:%S}"}


def validate(call: Call, words: dict[str, Any]) -> int:
    """Validate or reopen."""
    ids = [job.id for job in call.find()]
    return _print_words(call, call.database.transact(
        lambda session: set_status(session, ids, words["status"], call.by, dry_run=call.dry_run)
    ))  # fmt: skip


def waive(call: Call, words: dict[str, Any]) -> int:
    """Waive jobs."""
    ids = [job.id for job in call.find()]
    return _print_words(call, call.database.transact(
        lambda session: waive_jobs(session, ids, words["waive"], call.by, dry_run=call.dry_run)
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


def cancel(call: Call, _words: dict[str, Any]) -> int:
    """Cancel jobs."""
    names = [job.name for job in call.find() if job.state in ACTIVE]
    changes = cancel_jobs(call.project, names, dry_run=call.dry_run) if names else []
    _print_changes(call, changes, "none of these jobs is active: nothing to end")
    return 0


def resubmit(call: Call, words: dict[str, Any]) -> int:
    """Reopen failed jobs and those they depend on, and let doit run them."""
    changes = retry_jobs(call.project, [job.name for job in call.find()], dry_run=call.dry_run)
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


#: Option that asks for it -> what is done; lists jobs where none does.
ACTIONS: dict[str, Action] = {
    "": show_list,
    "status": validate,
    "waive": waive,
    "cancel": cancel,
    "resubmit": resubmit,
    "delete": delete,
    "restore": restore,
    "show_trash": show,
    "purge": purge,
    "finish": finish,
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


def action_of(words: dict[str, Any]) -> Action:
    """Return the one action that the options ask for.

    Raises
    ------
    click.UsageError
        They ask for two, or an option stands where it means nothing.
    """
    asked = [name for name in ACTIONS if name and words[name] not in (None, False)]
    if len(asked) > 1:
        raise click.UsageError(f"one thing at a time: --{asked[0]} or --{asked[1]}")
    name = asked[0] if asked else ""
    for option, (actions, default) in _BELONGS.items():
        if words[option] != default and name not in actions:
            which = " or ".join(f"--{it.replace('show_', '')}" for it in actions if it)
            raise click.UsageError(
                f"--{option.replace('_file', '').replace('_', '-')} goes with {which or 'the list'}"
            )
    return ACTIONS[name]
