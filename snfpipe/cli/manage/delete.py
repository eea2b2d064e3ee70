"""``manage_jobs -d``: show what would go, ask, and let it go; or write it down for later."""

from __future__ import annotations

import json
import os
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from snfpipe.cli.manage.call import Call
from snfpipe.cli.manage.trash import confirm, finish_open
from snfpipe.cli.progress import progress
from snfpipe.cli.render import print_json, print_table
from snfpipe.deletion import trash
from snfpipe.deletion.plan import Descendants, Plan
from snfpipe.deletion.remove import check, plan_deletion
from snfpipe.deletion.remove import delete as delete_jobs
from snfpipe.errors import ConfigError, NotFound, Place, UsageError
from snfpipe.jobs.select import find_jobs

_FORMAT = 1


def delete(call: Call, words: dict[str, Any]) -> int:
    """Show what would go; then, if that is wanted, let it go.

    Returns
    -------
    int
        The exit code.
    """
    finished = [] if call.dry_run else finish_open(call)
    written = _read_plan(Path(words["plan_file"])) if words["plan_file"] else None
    if written:
        names, descendants, force = written["named"], written["descendants"], written["force"]
    else:
        names, descendants, force = _named(call), _descendants(words), bool(words["force"])
    gone = _in_trash(call, names)
    if gone:
        told = "finished what was interrupted" if finished else "nothing to delete"
        click.echo(f"{told}: {len(gone)} such jobs are in the trash", err=call.as_json)
        return 0
    plan = plan_deletion(call.database, names, Descendants(descendants), force=force)
    if written and written["digest"] != plan.digest:
        check(plan)
        raise UsageError(
            "what would go is not what the plan says any more; nothing was deleted",
            hint="make a new plan with -d -b, and look at it",
        )
    goes_now = not (words["batch"] or call.dry_run or plan.refusals)
    if not (call.as_json and goes_now):
        _show(call, plan)
    check(plan)
    if call.dry_run:
        return 0
    if words["batch"]:
        _write(call, plan, Path(words["output"]))
        return 0
    confirm(plan.totals["jobs"], "jobs", "delete", yes=words["yes"])
    with progress("moving files into the trash", plan.totals["files"]) as watch:
        lost = delete_jobs(call.project, call.database, plan, call.by, watch)
    if call.as_json:
        print_json({**plan.to_json(), "deleted": True, "lost": lost})
        return 0
    for path in lost:
        click.echo(f"was registered, and not in the archive: {path}", err=True)
    days = call.project.site.trash_days
    click.echo(
        f"deleted {plan.totals['jobs']} jobs; `manage_jobs --restore` brings them back, "
        f"`manage_jobs --purge` forgets them after {days:g} days"
    )
    return 0


def _named(call: Call) -> list[str]:
    """Return the jobs that the patterns name; if there are none, those of them in the trash."""
    call.pattern.refuse_everything()
    with call.database.read() as session:
        try:
            return [job.name for job in find_jobs(session, call.pattern)]
        except NotFound:
            with suppress(NotFound):
                return call.pattern.pick([it.job for it in trash.trashed(session)])
            raise


def _in_trash(call: Call, names: list[str]) -> list[str]:
    """Return `names` if all of them are in the trash and none of them stands."""
    with call.database.read() as session:
        deleted = {it.job for it in trash.trashed(session)}
        all_there = deleted.issuperset(names) and not trash.standing(session, names)
    return names if all_there else []


def _descendants(words: dict[str, Any]) -> Descendants:
    """Return what is to become of descendants."""
    if words["with_descendants"] and words["keep_descendants"]:
        raise click.UsageError("descendants cannot go and stay")
    kept = Descendants.KEEP if words["keep_descendants"] else Descendants.REFUSE
    return Descendants.DELETE if words["with_descendants"] else kept


def _show(call: Call, plan: Plan) -> None:
    """Print what would go."""
    if call.as_json:
        print_json({**plan.to_json(), "deleted": False, "lost": []})
        return
    click.echo("to be deleted:")
    print_table(
        ("job", "state", "rows", "processes", "files", "bytes", ""),
        [
            (it.job, it.state, it.rows, it.processes, it.files, it.bytes,
             "a descendant" if it.descends else "")
            for it in plan.goes
        ],
    )  # fmt: skip
    totals = plan.totals
    click.echo(
        f"in all {totals['jobs']} jobs, {totals['rows']} rows, {totals['processes']} processes, "
        f"{totals['files']} files, {totals['bytes']} bytes"
    )
    if plan.descends:
        kept = plan.descendants is Descendants.KEEP
        click.echo(f"\ndescendants{', which stay' if kept else ''}:")
        print_table(
            ("job", "state", "products", ""),
            [
                (it.job, it.state, it.products, "reads them, not registered yet" if it.planned
                 else "") for it in plan.descends
            ],
        )  # fmt: skip
    click.echo()


# --- for later -----------------------------------------------------------------------------


def _write(call: Call, plan: Plan, folder: Path) -> None:
    """Write the plan and a script that does what it says."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"delete-{plan.digest[:12]}"
    path, script = folder.absolute() / f"{stem}.json", folder.absolute() / f"{stem}.sh"
    content = {"format": _FORMAT, "by": call.by, "named": plan.names, **plan.to_json()}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    program = Path(sys.executable).with_name("manage_jobs")
    totals = plan.totals
    script.write_text(
        "#!/bin/bash\n"
        f"# Deletes {totals['jobs']} jobs, {totals['processes']} processes, {totals['files']} files"
        f" as {path.name} lists them; refuses where anything has changed since.\n"
        f"cd {shlex.quote(str(call.project.root))} || exit 3\n"
        f"exec {shlex.quote(str(program))} -d --yes --by {shlex.quote(call.by)}"
        f" --plan {shlex.quote(str(path))}\n",
        encoding="utf-8",
    )
    os.chmod(script, 0o755)  # noqa: S103 - a script that others may read and run
    click.echo(f"plan: {path}\nscript: {script}", err=call.as_json)


def _read_plan(path: Path) -> dict[str, Any]:
    """Read what :func:`_write` wrote."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise ValueError(f"it is of format {content['format']}, not {_FORMAT}")
        names = content["named"]
        if not names or not all(isinstance(name, str) for name in names):
            raise ValueError("it names no jobs")
        return {
            "named": names,
            "descendants": str(Descendants(content["descendants"])),
            "force": bool(content["force"]),
            "digest": str(content["digest"]),
        }
    except OSError as error:
        raise UsageError(f"plan {path} cannot be read: {error.strerror}") from error
    except (ValueError, LookupError, TypeError) as error:
        raise ConfigError(
            f"this is no plan of a deletion: {error}", hint="make one with `manage_jobs -d -b`",
            place=Place(str(path)),
        ) from error  # fmt: skip
