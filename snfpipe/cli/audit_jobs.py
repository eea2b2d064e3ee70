"""``check_job_output``, ``job_attrition``, ``jobErrors``, ``job_env_check``: audits of jobs.

Each is a subcommand of ``snf`` and a command of its old name.
"""

from __future__ import annotations

from pathlib import Path

import click

from snfpipe.cli.audit_output import print_reports, report_options
from snfpipe.cli.opened import opened
from snfpipe.cli.progress import progress
from snfpipe.garbage import uncollected


@click.command()
@click.argument("jobs", nargs=-1, metavar="[JOB|PATTERN|FILE]...")
@click.option("--verify", is_flag=True, help="Read every file: size, checksum, FITS structure.")
@report_options
def check_job_output(
    jobs: tuple[str, ...], verify: bool, as_json: bool, as_csv: bool, only_findings: bool
) -> int:
    """Count what is expected of jobs and what is registered for them, by class of file.

    JOB is a job's name, STEP:UNIT, a step or a production; names may hold * ? [] (quoted). FILE
    is a job's file, or one that lists jobs. Without any: all jobs of the configured production.
    Ends with 1 where products are missing or unexpected.

    \b
    Example:
      check_job_output cube_generation
      check_job_output --verify 'SNF-0203-SAMPLEc-063*'
    """
    from snfpipe.audit.outputs import check_job_output as check

    with opened() as (project, database), progress("files read") as watch:
        report = check(project, database, jobs, verify=verify, watch=watch)
    return print_reports([report], as_json=as_json, as_csv=as_csv, only_findings=only_findings)


@click.command()
@click.argument("where", default="", metavar="[FOLDER|STEP|PRODUCTION]")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Also a PNG file.")
@report_options
def job_attrition(
    where: str, plot: Path | None, as_json: bool, as_csv: bool, only_findings: bool
) -> int:
    """Count the units of each step by state, and say where along the chain they stop.

    Every unit of a list is in exactly one state. Without a step, nights, targets and exposures
    are followed through the whole production. Ends with 1 where units failed or are not finished.

    \b
    Example:
      job_attrition
      job_attrition PCG --plot states.png
    """
    from snfpipe.audit.attrition import job_attrition as count
    from snfpipe.units.freshness import check
    from snfpipe.units.status import unit_states

    with opened() as (project, database), uncollected():
        reports = count(project, database, unit_states(check(project)), where)
    if plot is not None:
        from snfpipe.audit.plots import plot_attrition

        plot_attrition(reports, plot)
    return print_reports(reports, as_json=as_json, as_csv=as_csv, only_findings=only_findings)


@click.command(name="jobErrors")
@click.argument("jobs", nargs=-1, metavar="JOB...")
@click.option("--groups", is_flag=True, help="Put the problems of many jobs into groups.")
@report_options
def job_errors(
    jobs: tuple[str, ...], groups: bool, as_json: bool, as_csv: bool, only_findings: bool
) -> int:
    """Show results and errors of jobs: what each error means, what to do about it.

    The patterns stand in configs/errors.toml. JOB is a job's name, STEP:UNIT, a step, or one of a
    job's files. Without any, or with --groups, problems are put into groups over the production.
    Ends with 1 where errors are found.

    \b
    Example:
      jobErrors work/jobs/SNF-02-03/PCG/06/334/SNF-0203-SAMPLEc-06334.sh
      jobErrors --groups cube_generation
    """
    from snfpipe.audit.errors import error_groups
    from snfpipe.audit.errors import job_errors as read

    with opened() as (project, database):
        report = (error_groups if groups or not jobs else read)(project, database, jobs)
    return print_reports([report], as_json=as_json, as_csv=as_csv, only_findings=only_findings)


@click.command()
@click.argument("jobs", nargs=-1, metavar="[JOB [JOB]]")
@report_options
def job_env_check(jobs: tuple[str, ...], as_json: bool, as_csv: bool, only_findings: bool) -> int:
    """Compare environment and program versions as workers saw them.

    One job is held against its version's file, two are compared; without any, the jobs of each
    configured production are compared with each other: one production must not mix versions.
    Ends with 1 where they differ.

    \b
    Example:
      job_env_check cube_generation:06_334
      job_env_check SNF-0203-SAMPLEc-06334 SNF-0203-SAMPLEc-06336
    """
    from snfpipe.audit.environment import job_env_check as compare

    with opened() as (project, database):
        report = compare(project, database, jobs)
    return print_reports([report], as_json=as_json, as_csv=as_csv, only_findings=only_findings)
