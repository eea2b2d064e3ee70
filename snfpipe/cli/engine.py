"""``snf engine``: private schedulers and databases for development and tests."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from snfpipe.cli.render import print_json, print_table
from snfpipe.config.project import find_root
from snfpipe.errors import UsageError, printable
from snfpipe.services import NAMES
from snfpipe.services.folders import check_free, check_ours, is_ours

if TYPE_CHECKING:
    from snfpipe.services.base import Service

_KIND = click.Choice([*NAMES, "all"])
_FOLDER = click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    help="Where they live (default: work/engines of the project).",
)
_DRY_RUN = click.option("-n", "--dry-run", is_flag=True, help="Only say what would be done.")


@click.group()
def engine() -> None:
    """Start and end a private Grid Engine, Slurm or PostgreSQL on this machine.

    They listen on this machine only and leave the system's own alone. Schedulers need root.

    \b
    Example:
      snf engine up grid_engine postgresql
      eval "$(snf engine env)"
      snf engine down
    """


@engine.command()
@click.argument("kinds", nargs=-1, type=_KIND)
@_FOLDER
@_DRY_RUN
def up(kinds: tuple[str, ...], folder: Path | None, dry_run: bool) -> None:
    """Start services (all without a name); those that run are left as they are.

    Prints the variables by which they are reached.

    \b
    Example:
      snf engine up grid_engine
    """
    for service in _services(kinds, folder):
        if dry_run and not service.is_up():
            check_free(service.folder)
            click.echo(f"# would start {service.name} in {service.folder}")
            continue
        started = not dry_run and service.up()
        click.echo(f"# {service.name} {'started' if started else 'runs'} in {service.folder}")
        _print_environment(service)


@engine.command()
@click.argument("kinds", nargs=-1, type=_KIND)
@_FOLDER
@_DRY_RUN
def down(kinds: tuple[str, ...], folder: Path | None, dry_run: bool) -> None:
    """End services (all without a name), with the jobs they run, and remove their folders.

    \b
    Example:
      snf engine down grid_engine
    """
    services = [it for it in _services(kinds, folder) if it.folder.exists()]
    for service in services:
        if is_ours(service.folder) and dry_run:
            click.echo(f"would end {service.name} and remove {service.folder}")
        elif is_ours(service.folder):
            service.down()
            click.echo(f"{service.name} ended, {service.folder} removed")
    check_ours(*(it.folder for it in services))


@engine.command()
@click.argument("kinds", nargs=-1, type=_KIND)
@_FOLDER
def env(kinds: tuple[str, ...], folder: Path | None) -> None:
    """Print the variables by which running services are reached, for a shell to evaluate.

    \b
    Example:
      eval "$(snf engine env)"
    """
    for service in _services(kinds, folder):
        if service.is_up():
            _print_environment(service)


@engine.command()
@_FOLDER
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON (docs/schemas/engine_status.json)."
)
def status(folder: Path | None, as_json: bool) -> None:
    """Say which services run.

    \b
    Example:
      snf engine status
    """
    services = [(it.name, it.is_up(), str(it.folder)) for it in _services((), folder)]
    if as_json:
        keys = ("name", "up", "folder")
        print_json({"services": [dict(zip(keys, it, strict=True)) for it in services]})
    else:
        print_table(
            ("service", "state", "folder"),
            [(name, "up" if is_up else "down", place) for name, is_up, place in services],
        )


def _services(kinds: tuple[str, ...], folder: Path | None) -> list[Service]:
    """Return the services named, in a fixed order; all of them where none is."""
    from snfpipe.services import make_service

    place = folder or find_root() / "work" / "engines"
    if any(letter.isspace() for letter in str(place)):  # the schedulers' own tools cut it there
        raise UsageError(
            f"{printable(place)} has a blank in it, and schedulers cannot live there",
            hint="name another folder with --folder",
        )
    wanted = NAMES if not kinds or "all" in kinds else kinds
    return [make_service(name, (place / name).resolve()) for name in NAMES if name in wanted]


def _print_environment(service: Service) -> None:
    """Print a service's variables as a shell sets them."""
    for name, value in service.environment.items():
        click.echo(f"export {name}={shlex.quote(value)}")
