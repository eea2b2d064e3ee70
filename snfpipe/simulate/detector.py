"""From light on the chip to the numbers that the camera stores."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from snfpipe.simulate.instrument import DETECTORS, SATURATION, Array, Size, frame_shape
from snfpipe.simulate.layouts import Layout
from snfpipe.simulate.randomness import generator

ODD_EVEN = (0.9, -0.6)  #: ADU that odd columns stand above even ones, half each way, by amplifier
_COSMICS_PER_S = 0.055  # tracks on a reduced frame's 512 x 1152 pixels


@dataclass(frozen=True, slots=True)
class Chip:
    """What is fixed about a detector; maps are stored pixels (ny, nx).

    Attributes
    ----------
    bias : ndarray
        Structure of the bias, ADU.
    dark : ndarray
        Dark current, e-/s: a ramp towards the readout edge, and some hot pixels.
    bad_columns : tuple of (column, first row)
        Stored columns that are bright by `bad_level` from a row on.
    bad_level : float
        ADU.
    """

    bias: NDArray[np.float32]
    dark: NDArray[np.float32]
    bad_columns: tuple[tuple[int, int], ...]
    bad_level: float


@dataclass(frozen=True, slots=True)
class Levels:
    """The bias levels of one frame, ADU: amplifiers, and the drift from first to last row."""

    amplifiers: tuple[float, float]
    drift: float


@lru_cache(maxsize=4)
def make_chip(seed: int, channel: str, size: Size) -> Chip:
    """Return a channel's detector."""
    nx, ny = frame_shape(channel, size)
    chance = generator(seed, "instrument", channel, "chip")
    x = np.linspace(0, 1, nx, dtype=np.float32)[None, :]
    y = np.linspace(0, 1, ny, dtype=np.float32)[:, None]
    phase = chance.uniform(0, 2 * np.pi, 2)
    bias = 1.2 * np.sin(4 * np.pi * x + phase[0]) * np.cos(2 * np.pi * y + phase[1])
    bias += 1.5 * np.exp(-y / 0.05)
    dark = np.float32(DETECTORS[channel].dark) * (1 + 2 * np.exp(-y / 0.08) + 0 * x)
    hot = chance.integers(0, nx * ny, 40)
    dark.ravel()[hot] += chance.uniform(0.1, 1.0, hot.size)
    columns = chance.integers(nx // 16, nx - nx // 16, 2)
    rows = chance.integers(ny // 2, ny - ny // 8, 2)
    bad = tuple((int(c), int(r)) for c, r in zip(columns, rows, strict=True))
    return Chip(bias.astype(np.float32), dark.astype(np.float32), bad, 1500.0)


def make_levels(chance: np.random.Generator, night_offset: float, channel: str) -> Levels:
    """Return a frame's bias levels: a step between amplifiers, wandering by some ADU."""
    low, high = DETECTORS[channel].bias
    first, second = chance.normal(0, 2.0, 2)
    return Levels(
        (low + night_offset + float(first), high + night_offset + float(second)),
        float(chance.uniform(-3, 3)),
    )


def cosmic_rays(
    chance: np.random.Generator, shape: tuple[int, int], exptime_s: float
) -> tuple[NDArray[np.float32], int]:
    """Return the charge, e-, of cosmic rays and the number of their tracks.

    Tracks cross at any angle, few pixels to some tens long, a hundred to a few thousand e- a pixel.
    """
    ny, nx = shape
    charge = np.zeros(shape, dtype=np.float32)
    count = int(chance.poisson(_COSMICS_PER_S * exptime_s * nx * ny / (512 * 1152)))
    if not count:
        return charge, 0
    length = 1 + chance.exponential(3.0, count)
    angle = chance.uniform(0, np.pi, count)
    start_x, start_y = chance.uniform(0, nx, count), chance.uniform(0, ny, count)
    energy = np.minimum(300 * np.exp(chance.exponential(1.0, count)), 8000)
    for track in range(count):
        steps = np.arange(0, length[track], 0.25)
        x = (start_x[track] + steps * np.cos(angle[track])).astype(int)
        y = (start_y[track] + steps * np.sin(angle[track])).astype(int)
        inside = (x >= 0) & (x < nx) & (y >= 0) & (y < ny)
        np.add.at(charge, (y[inside], x[inside]), np.float32(0.25 * energy[track]))
    return charge, count


def expose(
    light: NDArray[np.float32],
    chip: Chip,
    levels: Levels,
    channel: str,
    exptime_s: float,
    chance: np.random.Generator,
    layout: Layout,
) -> tuple[list[NDArray[np.uint16]], int]:
    """Return what each amplifier reads, and the number of cosmic-ray tracks.

    An amplifier's readout has the layout's margins around its data, and its columns in the order
    in which the layout stores them.

    Parameters
    ----------
    light : ndarray, (ny, nx)
        Expected photo-electrons in the chip's orientation.
    chip, levels, channel
        The detector.
    exptime_s : float
        Time over which dark current and cosmic rays gather; 0 for a bias.
    chance : numpy.random.Generator
        The frame's own.
    layout : Layout
        How the camera stores it.
    """
    detector = DETECTORS[channel]
    ny, nx = light.shape
    charge = chance.poisson(light + chip.dark * np.float32(exptime_s)).astype(np.float32)
    rays, tracks = cosmic_rays(chance, (ny, nx), exptime_s)
    charge += rays
    charge += np.float32(detector.read_noise) * chance.standard_normal((ny, nx), np.float32)
    half = nx // 2
    held = slice(layout.prescan, layout.prescan + half)  # columns of a readout that hold data
    shape = ny + layout.overscan_rows, layout.prescan + half + layout.overscan
    drift = levels.drift * _course(ny, layout.overscan_rows)[:, None]
    parity: Array = np.where(np.arange(shape[1]) % 2, 0.5, -0.5)
    strips = []
    for amplifier in (0, 1):
        gain = detector.gains[amplifier]
        odd_even = levels.amplifiers[amplifier] + ODD_EVEN[amplifier] * parity
        level = odd_even.astype(np.float32)[None, :]
        strip = np.float32(detector.read_noise / gain) * _margin_noise(chance, shape, layout)
        strip += level + drift
        own = slice(amplifier * half, (amplifier + 1) * half)
        order = slice(None, None, -1 if layout.extensions and amplifier else 1)
        data = charge[:, own][:, order] / np.float32(gain) + level[:, held] + drift[:ny]
        strip[:ny, held] = data + chip.bias[:, own][:, order]
        for column, row in chip.bad_columns:
            if own.start <= column < own.stop:
                strip[row:ny, held][:, order][:, column - own.start] += np.float32(chip.bad_level)
        for damaged, column, junk in layout.junk:
            if damaged == amplifier:
                strip[:, held.stop + column % layout.overscan] = junk
        strips.append(np.clip(np.rint(strip), 0, SATURATION).astype(np.uint16))
    return strips, tracks


def _course(ny: int, more: int) -> NDArray[np.float32]:
    """Return how a drift goes over the rows: -0.5 to 0.5, and on over `more` rows."""
    after = np.arange(1, more + 1, dtype=np.float32) / np.float32(ny - 1)
    return np.append(np.linspace(-0.5, 0.5, ny, dtype=np.float32), after + np.float32(0.5))


def _margin_noise(
    chance: np.random.Generator, shape: tuple[int, int], layout: Layout
) -> NDArray[np.float32]:
    """Return normal noise in an amplifier's overscan, prescan and overscan rows, 0 elsewhere."""
    rows, columns = shape
    ny = rows - layout.overscan_rows
    noise = np.zeros(shape, dtype=np.float32)
    noise[:ny, -layout.overscan :] = chance.standard_normal((ny, layout.overscan), np.float32)
    noise[:ny, : layout.prescan] = chance.standard_normal((ny, layout.prescan), np.float32)
    noise[ny:] = chance.standard_normal((layout.overscan_rows, columns), np.float32)
    return noise
