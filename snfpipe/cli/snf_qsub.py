"""``snf_qsub``: run one script by the site's engine, under its real name."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from snfpipe.cli.numbers import duration
from snfpipe.cli.render import print_json
from snfpipe.config.project import load_project


@click.command("snf_qsub", context_settings={"allow_interspersed_args": False})
@click.argument("script", type=click.Path(path_type=Path))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option("-N", "--name", help="What the engine is to call it; the script's name by default.")
@click.option("-q", "--queue", default="", help="The queue or partition; the site's by default.")
@click.option("-t", "--time", "wall_s", type=duration(1), metavar="SECONDS", help="A time limit.")
@click.option("-D", "-n", "--dry-run", is_flag=True, help="Only print what would be run.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/schemas/snf_qsub.json).")
def snf_qsub(
    script: Path,
    arguments: tuple[str, ...],
    name: str | None,
    queue: str,
    wall_s: float | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Submit SCRIPT with ARGUMENTS: it runs here, in the configured version's environment.

    Options stand before SCRIPT; all that follows it is the script's own, as with `qsub`.
    What it prints goes to NAME.log in this folder. `qdel NAME` or `scancel -n NAME` ends it.

    \b
    Example:
      snf_qsub remove_bad_nights.sh
      snf_qsub -N cleanup -t 3600 cleanup.sh --really 06_334
    """
    import shlex

    from snfpipe.daemon.single import check_name, command_of, submit_command

    name = check_name(name or script.name.removesuffix(script.suffix))
    command = command_of(script, arguments)
    log = Path.cwd() / f"{name}.log"
    if dry_run and as_json:
        print_json({"name": name, "log": log, "would_run": command})
        return
    if dry_run:
        click.echo(f"would run as {name}, with output to {log}:")
        click.echo(f"  {shlex.join(command)}")
        return
    found = submit_command(load_project(), name, command, log=log, queue=queue, wall_s=wall_s)
    if as_json:
        print_json(asdict(found))
    else:
        click.echo(f"{found.name} {found.engine_id}, output in {found.log}")
