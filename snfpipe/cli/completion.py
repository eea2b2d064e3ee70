"""``snf completion``: what makes a shell complete snf's commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from snfpipe.cli.main import snf


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion of a SHELL.

    \b
    Example:
      eval "$(snf completion bash)"
    """
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - the choice above has only known shells
    click.echo(kind(snf, {}, "snf", "_SNF_COMPLETE").source())
