"""What SNIFS is like: sizes, spectral formats, detectors and throughput of each channel.

The spectral formats are the nominal ones; :mod:`snfpipe.simulate.optics` adds how a night departs
from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Channel = Literal["B", "R", "P"]
Size = Literal["reduced", "full"]

SIDE = 15  #: lenses on a side of the array
LENSES = SIDE * SIDE
SPAXEL = 0.43  #: side of a lens on the sky, arcsec
REFERENCE = 5000.0  #: wavelength of positions and of the PSF's parameters, Angstrom
COLLECTING_AREA = 3.3e4  #: UH 2.2 m less its obstruction, cm2
SATURATION = 65535  #: ADU


@dataclass(frozen=True, slots=True)
class Detector:
    """A detector's constants."""

    gains: tuple[float, float]  # e-/ADU of the two amplifiers
    read_noise: float  # e-
    dark: float  # e-/s a pixel, away from the readout edge
    temperature: float  # deg C
    bias: tuple[float, float]  # ADU


DETECTORS: dict[str, Detector] = {
    "B": Detector((0.773, 0.744), 4.5, 6e-4, -122.0, (3010.0, 2975.0)),
    "R": Detector((0.757, 0.770), 4.5, 9e-4, -115.0, (2990.0, 3040.0)),
    "P": Detector((1.618, 1.576), 4.5, 3e-4, -115.0, (3000.0, 3025.0)),
}


@dataclass(frozen=True, slots=True)
class Setup:
    """The spectral format of one channel at one size (wavelengths in Angstrom)."""

    channel: str
    nx: int
    ny: int
    blocks: int
    first: float
    last: float
    step: float  # dispersion a row, also the bin of cubes
    cube_first: float
    cube_last: float
    profile_sigma: float  # across the dispersion, columns
    line_sigma: float  # along the dispersion, rows

    @property
    def slots(self) -> int:
        """Spectra side by side in a block."""
        return -(-LENSES // self.blocks)

    @property
    def turned(self) -> bool:
        """Whether stored frames are turned by 180 degrees against the assembled image."""
        return self.channel == "R"

    def bins(self) -> Array:
        """Return the centres of a cube's wavelength bins."""
        count = int((self.cube_last - self.cube_first) / self.step + 1e-6) + 1
        centres: Array = self.cube_first + self.step * np.arange(count, dtype=np.float64)
        return centres


SETUPS: dict[tuple[str, str], Setup] = {
    ("B", "reduced"): Setup("B", 512, 1152, 5, 3150, 5650, 16.0, 3200, 5600, 0.95, 1.1),
    ("R", "reduced"): Setup("R", 512, 1152, 5, 5000, 10000, 29.0, 5100, 9950, 0.95, 1.1),
    ("B", "full"): Setup("B", 2048, 4096, 2, 3150, 5650, 2.38, 3200, 5600, 2.0, 1.3),
    ("R", "full"): Setup("R", 2048, 4096, 2, 5000, 10000, 2.93, 5100, 9950, 2.0, 1.3),
}

#: Columns and rows of the photometric channel's data.
P_SHAPE: dict[str, tuple[int, int]] = {"reduced": (512, 1024), "full": (2048, 4096)}


def frame_shape(channel: str, size: Size) -> tuple[int, int]:
    """Return (columns, rows) of a frame's data part."""
    if channel == "P":
        return P_SHAPE[size]
    setup = SETUPS[channel, size]
    return setup.nx, setup.ny


def lens_indices() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (i, j), each -7..7, of the lenses 0..224; x is ``0.43 i``, y ``0.43 j`` arcsec."""
    number = np.arange(LENSES)
    return number // SIDE - SIDE // 2, number % SIDE - SIDE // 2


# Electrons at the detector for a photon above the atmosphere on the mirror: telescope, optics and
# quantum efficiency, without the dichroic.  Invented, with the level of such spectrographs.
_THROUGHPUT = {
    "B": ((3000, 0.02), (3200, 0.05), (3600, 0.10), (4200, 0.14), (4800, 0.15), (5800, 0.145)),
    "R": ((4900, 0.16), (5600, 0.18), (6800, 0.20), (7800, 0.18), (8800, 0.12), (10200, 0.04)),
}
_DICHROIC_EDGE = 5075.0
_DICHROIC_SCALE = 28.0  # 1 % to 99 % over 4950-5200 Angstrom
_DICHROIC_LEAK = {"B": 0.10, "R": 0.05}


def throughput(channel: str, wavelength: Array) -> Array:
    """Return electrons a photon, dichroic and spectral cuts left out."""
    from scipy.interpolate import PchipInterpolator

    knots = np.array(_THROUGHPUT[channel], dtype=float)
    curve: Array = PchipInterpolator(knots[:, 0], knots[:, 1])(wavelength)
    return curve


def dichroic(channel: str, wavelength: Array, shift: float | Array = 0.0) -> Array:
    """Return the dichroic's efficiency in a channel, its edge moved by `shift` Angstrom."""
    from scipy.special import expit

    to_red = expit((wavelength - _DICHROIC_EDGE - shift) / _DICHROIC_SCALE)
    leak = _DICHROIC_LEAK[channel]
    part = to_red if channel == "R" else 1 - to_red
    light: Array = leak + (1 - leak) * part
    return light


def passband(setup: Setup, wavelength: Array) -> Array:
    """Return the cut of the spectrum at the ends of its range, so that blocks stay apart."""
    from scipy.special import ndtr

    width = 0.9 * setup.line_sigma * setup.step
    low = ndtr((wavelength - setup.first + 2 * width) / width)
    high = ndtr((setup.last + 2 * width - wavelength) / width)
    cut: Array = low * high
    return cut
