"""``manage_jobs``: list, validate, waive, cancel, resubmit, delete and restore jobs."""

from __future__ import annotations

import getpass
from typing import Any

import click

from snfpipe.cli.numbers import duration
from snfpipe.cli.opened import opened


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
    from snfpipe.cli.manage.actions import action_of
    from snfpipe.cli.manage.call import Call
    from snfpipe.jobs.select import Wanted

    action = action_of(words)
    with opened() as (project, database):
        wanted = Wanted.of(project, patterns, regex=regex) if patterns else None
        call = Call(project, database, wanted, by or getpass.getuser(), dry_run, as_json)
        return action(call, words)
