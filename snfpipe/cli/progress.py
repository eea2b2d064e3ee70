"""Progress on a terminal, and nothing of it anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[], None]]:
    """Give a function to be called after each of `total` steps."""
    bar = click.progressbar(
        length=total, label=label, file=sys.stderr, hidden=not sys.stderr.isatty(),
        update_min_steps=max(1, total // 200),
    )  # fmt: skip
    with bar:
        yield lambda: bar.update(1)
