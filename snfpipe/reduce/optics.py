"""The nominal optics: where each spaxel's spectrum should lie on a detector, and how it disperses.

Frames are assembled: wavelength increases with the row.  The 225 spectra lie in blocks of rows;
within a block they stand side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SPAXELS = 225
SIDE = 15
STEP_ARCSEC = 0.43

#: Channel -> (first wavelength, last wavelength, cube start, cube end) [Angstrom].
_RANGES = {"B": (3150.0, 5650.0, 3200.0, 5600.0), "R": (5000.0, 10000.0, 5000.0, 9950.0)}

#: Number of data columns -> (blocks, dispersion by channel, profile sigma, line sigma).
_SIZES = {
    512: (5, {"B": 16.0, "R": 29.0}, 0.95, 1.1),
    2048: (2, {"B": 2.38, "R": 2.93}, 2.0, 1.3),
}


@dataclass(frozen=True)
class Optics:
    """The nominal layout of one channel at one size of frame.

    Attributes
    ----------
    nx, ny : int
        Data columns and rows of the assembled frame.
    blocks : int
        Blocks of rows.
    dispersion : float
        Angstrom a row.
    profile_sigma, line_sigma : float
        Widths across and along the dispersion, pixels.
    """

    channel: str
    nx: int
    ny: int
    blocks: int
    dispersion: float
    profile_sigma: float
    line_sigma: float

    @classmethod
    def of(cls, channel: str, nx: int, ny: int) -> Optics:
        """Return the layout of a channel.

        Raises
        ------
        ValueError
            There is none for this size.
        """
        if nx not in _SIZES or channel not in _RANGES:
            raise ValueError(f"no optics for channel {channel} with {nx} x {ny} pixels")
        blocks, dispersion, profile_sigma, line_sigma = _SIZES[nx]
        return cls(channel, nx, ny, blocks, dispersion[channel], profile_sigma, line_sigma)

    @cached_property
    def block(self) -> NDArray[np.int64]:
        """Block of each spaxel, shape (225,)."""
        return np.arange(SPAXELS) % self.blocks

    @cached_property
    def column(self) -> Array:
        """Nominal centre column of each spaxel, shape (225,), from 0."""
        slots = -(-SPAXELS // self.blocks)
        slot = np.arange(SPAXELS) // self.blocks
        lean = 0.12 * (self.block - (self.blocks - 1) / 2)
        return (slot + 0.5 + lean) * self.nx / slots

    def rows(self, block: int) -> tuple[int, int]:
        """Return first row and end of a block."""
        return block * self.ny // self.blocks, (block + 1) * self.ny // self.blocks

    @cached_property
    def height(self) -> int:
        """Rows that every block has at least."""
        return self.ny // self.blocks

    @cached_property
    def margin(self) -> float:
        """Rows of a block before the first wavelength."""
        first, last, _start, _end = _RANGES[self.channel]
        return (self.ny / self.blocks - (last - first) / self.dispersion) / 2

    @property
    def first_wavelength(self) -> float:
        """Nominal wavelength at the margin, Angstrom."""
        return _RANGES[self.channel][0]

    def wavelength(self, row: Array, block: int) -> Array:
        """Return nominal wavelengths of rows counted from the block's first whole row."""
        start = self.rows(block)[0] - block * self.ny / self.blocks
        return self.first_wavelength + self.dispersion * (row + start - self.margin)

    @cached_property
    def grid(self) -> Array:
        """Wavelengths of a cube's bins, Angstrom."""
        _first, _last, start, end = _RANGES[self.channel]
        return np.arange(start, end + 1e-6, self.dispersion)

    @cached_property
    def lens(self) -> NDArray[np.int64]:
        """Lens coordinates i, j of each spaxel, shape (225, 2), -7 to 7."""
        number = np.arange(SPAXELS)
        return np.stack([number // SIDE - 7, number % SIDE - 7], axis=1)
