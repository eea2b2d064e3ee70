"""Progress on a terminal, and nothing of it anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

_EVERY = 100  # steps between two words where it is not known how many there will be


@contextmanager
def progress(label: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """Give a function to be called after each step, or with the number of steps.

    A bar where it is known how many there will be, a count elsewhere.
    """
    if not sys.stderr.isatty():
        yield lambda _count=1: None
    elif total:
        with click.progressbar(
            length=total, label=label, file=sys.stderr, update_min_steps=max(1, total // 200)
        ) as bar:
            yield lambda count=1: bar.update(count)
    else:
        seen = 0

        def step(count: int = 1) -> None:
            nonlocal seen
            seen += count
            if seen % _EVERY < count:
                click.echo(f"\r{label}: {seen}", nl=False, err=True)

        yield step
        if seen:
            click.echo(f"\r{label}: {seen}", err=True)
