"""From spectra of lenses to light on the detector: traces, dispersion, profiles, stray light."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.special import ndtr

from snfpipe.simulate.instrument import LENSES, SETUPS, Array, Setup, Size, dichroic
from snfpipe.simulate.randomness import generator

WING_FRACTION = 0.04
WING_SCALE = 2.2
STRAY_FRACTION = 0.025  #: of a frame's light, spread smoothly over the chip
_STRAY_CELL = 16  # pixels


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where a night's spectra of one channel fall; rows are those of a lens's block.

    Attributes
    ----------
    setup : Setup
        The nominal format.
    first_row, rows : tuple of int
        Where each block starts in the assembled image, and its height.
    first_column : ndarray of int, (225,)
        First column of each lens's window.
    profile : ndarray, (225, rows, window)
        Part of a row's light that falls into each column of the window.
    centre : ndarray, (225, rows)
        Column of the trace, 0-based.
    edges : ndarray, (225, rows + 1)
        Wavelength at the edges of the rows, Angstrom.
    shift : float
        The night's common shift of the dispersion, rows.
    """

    setup: Setup
    first_row: tuple[int, ...]
    rows: int
    first_column: NDArray[np.int64]
    profile: NDArray[np.float32]
    centre: Array
    edges: Array
    shift: float

    @property
    def wavelength(self) -> Array:
        """Wavelength at the middle of the rows, Angstrom, (225, rows)."""
        middle: Array = 0.5 * (self.edges[:, 1:] + self.edges[:, :-1])
        return middle


@dataclass(frozen=True, slots=True)
class Flat:
    """How each lens's throughput differs from the mean lens's; fixed for an instrument.

    Attributes
    ----------
    level, tilt : ndarray, (225,)
        Throughput is ``level * (1 + tilt * u)``, u in -1..1 over the channel's range.
    edge_shift : ndarray, (225,)
        Shift of the dichroic's edge, Angstrom.
    grid, mean : ndarray
        Efficiency of the mean lens, dichroic included, over wavelength.
    """

    setup: Setup
    level: Array
    tilt: Array
    edge_shift: Array
    grid: Array
    mean: Array

    def mean_response(self, wavelength: Array) -> Array:
        """Return the efficiency of the mean lens; any shape."""
        return np.interp(wavelength, self.grid, self.mean)

    def relative(self, wavelength: Array) -> Array:
        """Return throughput over that of the mean lens; `wavelength` is (225, n)."""
        own = _response(self.setup, self.level, self.tilt, self.edge_shift, wavelength)
        return own / self.mean_response(wavelength)


def _response(
    setup: Setup, level: Array, tilt: Array, edge_shift: Array, wavelength: Array
) -> Array:
    """Return each lens's efficiency, dichroic included, at (225, n) or (1, n) wavelengths."""
    middle, half = 0.5 * (setup.first + setup.last), 0.5 * (setup.last - setup.first)
    grey = level[:, None] * (1 + tilt[:, None] * (wavelength - middle) / half)
    return grey * dichroic(setup.channel, wavelength, edge_shift[:, None])


@lru_cache(maxsize=4)
def make_flat(seed: int, channel: str, size: Size) -> Flat:
    """Return the throughput of an instrument's lenses."""
    setup = SETUPS[channel, size]
    chance = generator(seed, "instrument", channel, "flat")
    level = 1 + 0.04 * np.clip(chance.standard_normal(LENSES), -2.5, 2.5)
    tilt = 0.012 * np.clip(chance.standard_normal(LENSES), -2.5, 2.5)
    # The edge moves with the angle of incidence: a slope over the array, and some of its own.
    edge_shift = np.linspace(-9, 9, LENSES) + chance.uniform(-6, 6, LENSES)
    grid = np.arange(setup.first - 400.0, setup.last + 400.0, 4.0)
    mean = _response(setup, level, tilt, edge_shift, grid[None, :]).mean(axis=0)
    return Flat(setup, level, tilt, edge_shift, grid, mean)


@lru_cache(maxsize=2)
def make_geometry(seed: int, night: str, channel: str, size: Size) -> Geometry:
    """Return the geometry of a night: nominal format plus the night's departures from it."""
    setup = SETUPS[channel, size]
    chance = generator(seed, night, channel, "geometry")
    block_edges = [b * setup.ny // setup.blocks for b in range(setup.blocks + 1)]
    rows = min(high - low for low, high in pairwise(block_edges))
    number = np.arange(LENSES)
    block, slot = number % setup.blocks, number // setup.blocks

    # Dispersion: wavelength is a cubic of the row, edges are half a row from the row's middle.
    length = (setup.last - setup.first) / setup.step
    shift = float(chance.uniform(-1.3, 1.3))
    own_shift = np.clip(0.08 * chance.standard_normal(LENSES), -0.2, 0.2)
    bend, twist = chance.uniform(-0.25, 0.25, 2)
    start = np.array([(b * setup.ny / setup.blocks) - block_edges[b] for b in block])
    margin = 0.5 * (setup.ny / setup.blocks - length)
    row_edges = np.arange(rows + 1) - 0.5
    along = row_edges[None, :] - (start + margin + shift + own_shift)[:, None]
    u = 2 * along / length - 1
    bent = bend * (u**2 - 1 / 3) + twist * (u**3 - 0.6 * u)
    edges = setup.first + setup.step * (along - bent)

    # Traces: a wiggle common to all spectra, and a small tilt and offset of each.
    y = np.array(block_edges)[block][:, None] + np.arange(rows)[None, :]
    phase, amplitude, slope = chance.uniform(0, 2 * np.pi), chance.uniform(0.3, 0.5), 0.25
    wiggle = amplitude * np.sin(2 * np.pi * 1.3 * y / setup.ny + phase)
    wiggle += chance.uniform(-slope, slope) * (2 * y / setup.ny - 1)
    own = np.clip(0.05 * chance.standard_normal((2, LENSES, 1)), -0.1, 0.1)
    wiggle += own[0] + own[1] * (2 * np.arange(rows) / rows - 1)
    pitch = setup.nx / setup.slots
    nominal = (slot + 0.5 + 0.12 * (block - (setup.blocks - 1) / 2)) * pitch
    centre = nominal[:, None] + wiggle

    sigma = setup.profile_sigma * (1 + chance.uniform(-0.02, 0.02))
    half = int(np.ceil(3.6 * WING_SCALE * sigma))
    first_column = np.round(nominal).astype(np.int64) - half
    pixel_edges = first_column[:, None, None] + np.arange(2 * half + 2) - 0.5
    offset = (pixel_edges - centre[:, :, None]) / sigma
    below = (1 - WING_FRACTION) * ndtr(offset) + WING_FRACTION * ndtr(offset / WING_SCALE)
    profile = np.diff(below, axis=2).astype(np.float32)
    return Geometry(
        setup, tuple(block_edges[:-1]), rows, first_column, profile, centre, edges, shift
    )


def spread_lines(setup: Setup, grid: Array, density: Array) -> Array:
    """Return a spectrum on an even grid as the line spread function blurs it."""
    step = grid[1] - grid[0]
    blurred: Array = gaussian_filter1d(
        density, setup.line_sigma * setup.step / step, axis=-1, mode="nearest", truncate=5
    )
    return blurred


def light_between(grid: Array, density: Array, edges: Array) -> Array:
    """Return the light of a spectrum between successive edges, along the last axis.

    Parameters
    ----------
    grid : ndarray
        Even grid of wavelengths, Angstrom.
    density : ndarray
        Light an Angstrom, even over each cell of `grid`.
    edges : ndarray, (..., n + 1)
        Wavelengths, Angstrom; the result is (..., n).
    """
    step = grid[1] - grid[0]
    below = np.concatenate([[0.0], np.cumsum(density) * step])
    cells = np.append(grid - step / 2, grid[-1] + step / 2)
    return np.diff(np.interp(edges, cells, below), axis=-1)


def project(geometry: Geometry, light: Array) -> NDArray[np.float32]:
    """Return the assembled image, (ny, nx), of the light (225, rows) of all lenses."""
    setup = geometry.setup
    image = np.zeros((setup.ny, setup.nx), dtype=np.float32)
    bright = light.astype(np.float32)
    width = geometry.profile.shape[2]
    for lens in range(LENSES):
        row = geometry.first_row[lens % setup.blocks]
        left = int(geometry.first_column[lens])
        low, high = max(left, 0), min(left + width, setup.nx)
        part = geometry.profile[lens, :, low - left : high - left]
        image[row : row + geometry.rows, low:high] += bright[lens, :, None] * part
    return image


def stray_light(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the smooth light that the optics scatter over the whole chip."""
    ny, nx = image.shape
    cell = _STRAY_CELL
    coarse = image.reshape(ny // cell, cell, nx // cell, cell).mean(axis=(1, 3))
    smooth = gaussian_filter(coarse, (ny / cell / 8, nx / cell / 8), mode="nearest")
    return _stretched(_stretched(np.float32(STRAY_FRACTION) * smooth).T).T


def _stretched(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return cell means interpolated to pixels along the first axis."""
    place = (np.arange(cells.shape[0] * _STRAY_CELL, dtype=np.float32) + 0.5) / _STRAY_CELL - 0.5
    place = np.clip(place, 0, cells.shape[0] - 1.001)
    low = place.astype(np.int64)
    part = (place - low).astype(np.float32)[:, None]
    stretched: NDArray[np.float32] = cells[low] * (1 - part) + cells[low + 1] * part
    return stretched
