"""``snf``: a table of subcommands, each loaded when it is called."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from snfpipe.errors import SnfError, did_you_mean, printable

#: Subcommand -> where it is, and its line in the list.
COMMANDS: dict[str, tuple[str, str]] = {
    "simulate": ("snfpipe.simulate.cli:simulate", "Write simulated nights with known truth."),
    "ingest": ("snfpipe.cli.ingest:ingest", "Take new and changed raw frames into the database."),
    "status": ("snfpipe.cli.status:status", "How many units of each step are in which state."),
    "why": ("snfpipe.cli.status:why", "Why a unit would run again, or why not."),
    "summary": ("snfpipe.cli.status:summary", "The whole production in a few lines."),
    "retry": ("snfpipe.cli.control:retry", "Let failed units be tried again."),
    "cancel": ("snfpipe.cli.control:cancel", "End jobs that run."),
    "manage_jobs": (
        "snfpipe.cli.manage.jobs:manage_jobs",
        "List, validate, cancel, resubmit, delete, restore jobs.",
    ),
    "plans": ("snfpipe.cli.plans:plans", "What the installed plans read and write."),
    "plan": ("snfpipe.cli.plan:plan", "What a plan selects for units, and would make of it."),
    "qstat2": ("snfpipe.cli.qstat2:qstat2", "The jobs that run and wait."),
    "batch_jobs": ("snfpipe.cli.batch_jobs:batch_jobs", "Create jobs for many units; submit them."),
    "wrap_batch_jobs": ("snfpipe.cli.wrap_batch_jobs:wrap_batch_jobs", "The same for a long list."),
    "snf_qsub": ("snfpipe.cli.snf_qsub:snf_qsub", "Run one script by the site's engine."),
    "audit": ("snfpipe.cli.audit:audit", "What is missing, unexpected or wrong."),
    "check_job_output": (
        "snfpipe.cli.audit_jobs:check_job_output",
        "What is expected of jobs and registered, by class.",
    ),
    "job_attrition": (
        "snfpipe.cli.audit_jobs:job_attrition",
        "Units by state, and where they stop.",
    ),
    "jobErrors": ("snfpipe.cli.audit_jobs:job_errors", "Errors of jobs, what they mean."),
    "job_env_check": (
        "snfpipe.cli.audit_jobs:job_env_check",
        "Compare what workers saw of versions.",
    ),
    "provenance": ("snfpipe.cli.audit:provenance", "What a file was made from, and what from it."),
    "osiris": ("snfpipe.cli.osiris:osiris", "Finish jobs that ended, until stopped."),
    "anubis": ("snfpipe.cli.osiris:anubis", "Wait for Osiris to stop, then take its place."),
    "update_sge_job": ("snfpipe.cli.osiris:update_sge_job", "Finish one job by hand."),
    "srb_cleanup": (
        "snfpipe.cli.srb_cleanup:srb_cleanup",
        "The archive against the database; repairs.",
    ),
    "version": ("snfpipe.cli.version:version", "List or switch the code version."),
    "engine": ("snfpipe.cli.engine:engine", "Start and end private schedulers and databases."),
    "db": ("snfpipe.cli.db:db", "Create the database, or bring its schema up to date."),
    "completion": ("snfpipe.cli.completion:completion", "Print what makes a shell complete."),
}

#: Earlier names of subcommands, understood for one more version.
FORMER = {"arrive": "ingest"}


def _load(name: str) -> click.Command:
    """Return a command of the table."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    command: click.Command = getattr(importlib.import_module(module), attribute)
    return command


class _Lazy(click.Group):
    """A group whose subcommands are imported only when they are called."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        name = FORMER.get(name, name)
        return _load(name) if name in COMMANDS else None

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Say which commands are close to a wrong one."""
        try:
            return super().resolve_command(context, args)
        except click.UsageError as error:
            hint = did_you_mean(args[0], COMMANDS).strip() or "see snf --help"
            raise click.UsageError(f"there is no command {args[0]!r}: {hint}", context) from error

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--project",
    metavar="FOLDER",
    help="The project's folder (default: the nearest one with configs/production.toml).",
)
def snf(project: str | None) -> None:
    """Run and look after the data productions of a supernova survey.

    \b
    Example:
      snf status

    Exit codes: 0 clean, 1 findings, 2 usage, 3 error, 4 a service is unavailable.
    """
    if project:
        os.environ["SNF_PROJECT"] = project


def run_command(command: click.Command, name: str) -> int:
    """Run a command; print errors as a line and what to do next, never as a traceback.

    Returns
    -------
    int
        The exit code.
    """
    try:
        code: Any = command.main(prog_name=name, standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context else name
        click.echo(f"{path}: {_plain(error.format_message())}", err=True)
        click.echo(f"  next: {path} --help", err=True)
        return 2
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        _forget_output()  # whoever read it has gone
        return 0
    except SnfError as error:
        click.echo(f"{name}: {error}", err=True)
        return error.exit_code
    except OSError as error:  # a disk that is full, a folder that is closed
        path = f"{printable(error.filename)}: " if error.filename else ""
        click.echo(f"{name}: {path}{error.strerror or printable(error)}", err=True)
        click.echo("  next: fix that, and call it again", err=True)
        _forget_output()  # it may be what cannot be written
        return 3
    return code if isinstance(code, int) else 0


def _forget_output() -> None:
    """Keep Python from trying once more, and complaining, at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _plain(message: str) -> str:
    """Return click's message in the form of our own: one line, nothing of a terminal in it."""
    text = " ".join(message.split()).rstrip(".")
    return printable(text[:1].lower() + text[1:])


def console(command: Callable[[], click.Command], name: str) -> None:
    """Be the console script of a command, then end."""
    sys.exit(run_command(command(), name))


def main() -> None:
    """Be ``snf``, or the subcommand that this program has the name of (perhaps behind ``snf_``)."""
    called = Path(sys.argv[0]).name
    name = called if called in COMMANDS else called.removeprefix("snf_")
    if name in COMMANDS:
        console(lambda: _load(name), called)
    console(lambda: snf, "snf")
