"""The overscan of an amplifier: its level row by row, read noise, and odd against even columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snfpipe.reduce.detector.frames import Amplifier, Image
from snfpipe.reduce.errors import BadInput

#: The first columns after the data hold charge that was left behind: they are not used.
SKIPPED = 11

_NORMAL = 1.4826  # standard deviation of a normal distribution over its median deviation


@dataclass(frozen=True)
class Overscan:
    """What an overscan tells, ADU.

    Attributes
    ----------
    level : ndarray, shape (rows,)
        The bias level.
    noise : float
        Read noise.
    odd_even : float
        How far even columns, counted from 0, stand above odd ones.
    """

    level: Image
    noise: float
    odd_even: float

    def comb(self, columns: NDArray[np.int64]) -> Image:
        """Return how far columns of the stored image stand off the level."""
        return np.asarray(self.odd_even * (0.5 - columns % 2), dtype=np.float32)


def measure_overscan(amplifier: Amplifier, number: int, rows: int) -> Overscan:
    """Measure the overscan of an amplifier.

    The level of a row is the median of its pixels and those of its neighbours, `rows` in all.
    Left out are the first columns after the data, and columns that stand off the others by more
    than the noise of a pixel: cameras write some that hold no overscan.

    Parameters
    ----------
    amplifier : Amplifier
        As read.
    number : int
        0 or 1, for messages.
    rows : int
        Rows of which the level is the median.

    Raises
    ------
    BadInput
        The overscan is no measurement: it holds no number, or one value only.
    """
    over, columns = _usable(amplifier, number)
    even, odd = (columns % 2 == parity for parity in (0, 1))
    flat = _clipped(over - np.median(over, axis=1, keepdims=True))
    odd_even = float(np.nanmean(flat[:, even]) - np.nanmean(flat[:, odd]))
    comb = odd_even * (0.5 - columns % 2)
    level = _running_median(over - comb, rows)
    rest = _clipped(over - comb - level[:, None])
    # the level was taken from the same pixels: a median of n takes 0.43/n off their variance
    noise = float(np.nanstd(rest)) / np.sqrt(1 - 0.43 / (max(rows, 1) * columns.size))
    return Overscan(level.astype(np.float32), noise, odd_even)


def _usable(amplifier: Amplifier, number: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the pixels and numbers of the columns that tell the level."""
    skipped = min(SKIPPED, amplifier.overscan.shape[1] // 2)
    over = amplifier.overscan[:, skipped:].astype(np.float64)
    columns = amplifier.overscan_columns[skipped:]
    there = np.isfinite(over)
    if not there.any():
        raise BadInput(f"the overscan of amplifier {number} holds no number")
    over = np.where(there, over, np.median(over[there]))
    middle = np.median(over)
    noise = _NORMAL * np.median(np.abs(over - middle))
    if not noise > 0:
        raise BadInput(f"most of the overscan of amplifier {number} is {middle:g}: it was not read")
    typical = np.median(over, axis=0)
    usual = np.abs(typical - np.median(typical)) <= noise
    if len(set(columns[usual] % 2)) < 2:
        raise BadInput(f"the columns of amplifier {number}'s overscan contradict each other")
    return over[:, usual], columns[usual]


def _clipped(flat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values without those that stand far off, which become NaN."""
    return np.where(np.abs(flat) < 5 * _NORMAL * np.median(np.abs(flat)), flat, np.nan)


def _running_median(values: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
    """Return the median of each row and its neighbours, `rows` in all; the ends are repeated."""
    rows = max(rows, 1)
    padded = np.pad(values, ((rows // 2, rows // 2), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, rows, axis=0)[: values.shape[0]]
    return np.asarray(np.median(windows.reshape(values.shape[0], -1), axis=1))
