"""Coarse grids over an image: sums over cells, and cells interpolated to pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def cells(image: Array, size: int) -> Array:
    """Return the sums over cells of `size` pixels a side; an odd rest at the ends is left out."""
    ny, nx = (length // size for length in image.shape)
    whole = image[: ny * size, : nx * size]
    return np.asarray(whole.reshape(ny, size, nx, size).sum(axis=(1, 3)))


def stretched(grid: Array, shape: tuple[int, ...]) -> Array:
    """Return the values of cells that cover an image evenly, interpolated to its pixels."""
    for axis, size in enumerate(shape):
        count = grid.shape[axis]
        place = np.clip((np.arange(size) + 0.5) * count / size - 0.5, 0, count - 1.001)
        low = place.astype(np.int64)
        part = np.expand_dims(place - low, 1 - axis)
        grid = (1 - part) * grid.take(low, axis) + part * grid.take(low + 1, axis)
    return grid
