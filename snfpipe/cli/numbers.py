"""Numbers that options take: finite, and in a range."""

from __future__ import annotations

import math
from typing import Any

import click

_LONGEST_S = 36_500 * 86_400  # a century: what is longer is a slip, and beyond many a clock


class Finite(click.FloatRange):
    """A number in a range; ``nan``, which no range keeps out, and ``inf`` are none."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number, or refuse it."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no finite number.", param, ctx)
        return number


def duration(least: float = 0, *, unit_s: int = 1) -> Finite:
    """Return the type of an option that is a time, at most a century.

    Parameters
    ----------
    least : float
        The shortest it may be.
    unit_s : int
        The seconds in the option's unit: 60 where it is given in minutes.
    """
    return Finite(least, _LONGEST_S // unit_s)
