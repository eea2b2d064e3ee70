"""From light on the chip to the numbers that the camera stores."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from snfpipe.simulate.instrument import DETECTORS, OVERSCAN, SATURATION, Array, Size, frame_shape
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
) -> tuple[NDArray[np.uint16], int]:
    """Return the stored frame, overscans to the right, and the number of cosmic-ray tracks.

    Parameters
    ----------
    light : ndarray, (ny, nx)
        Expected photo-electrons in the stored orientation.
    chip, levels, channel
        The detector.
    exptime_s : float
        Time over which dark current and cosmic rays gather; 0 for a bias.
    chance : numpy.random.Generator
        The frame's own.
    """
    detector = DETECTORS[channel]
    ny, nx = light.shape
    charge = chance.poisson(light + chip.dark * np.float32(exptime_s)).astype(np.float32)
    rays, tracks = cosmic_rays(chance, (ny, nx), exptime_s)
    charge += rays
    charge += np.float32(detector.read_noise) * chance.standard_normal((ny, nx), np.float32)
    half = nx // 2
    stored = np.empty((ny, nx + 2 * OVERSCAN), dtype=np.float32)
    drift = (levels.drift * np.linspace(-0.5, 0.5, ny, dtype=np.float32))[:, None]
    parity: Array = np.where(np.arange(max(half, OVERSCAN)) % 2, 0.5, -0.5)
    for amplifier in (0, 1):
        gain, level = detector.gains[amplifier], levels.amplifiers[amplifier]
        data = slice(amplifier * half, (amplifier + 1) * half)
        scan = slice(nx + amplifier * OVERSCAN, nx + (amplifier + 1) * OVERSCAN)
        comb = (level + ODD_EVEN[amplifier] * parity).astype(np.float32)[None, :]
        stored[:, data] = charge[:, data] / np.float32(gain) + comb[:, :half] + drift
        noise = chance.standard_normal((ny, OVERSCAN), np.float32)
        stored[:, scan] = noise * np.float32(detector.read_noise / gain)
        stored[:, scan] += comb[:, :OVERSCAN] + drift
    stored[:, :nx] += chip.bias
    for column, row in chip.bad_columns:
        stored[row:, column] += np.float32(chip.bad_level)
    return np.clip(np.rint(stored), 0, SATURATION).astype(np.uint16), tracks
