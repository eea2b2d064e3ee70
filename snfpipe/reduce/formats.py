"""The files between programs: preprocessed frames, Euro3D cubes, 3-D cubes, spectra.

Written whole or not at all, without time, host or path, so that the same input gives the same
bytes.  Euro3D as in the format definition of the Euro3D network (version 1.0).
"""

from __future__ import annotations

import contextlib
import os
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.io.fits.verify import VerifyWarning
from numpy.typing import NDArray

from snfpipe.reduce.errors import BadInput
from snfpipe.reduce.optics import SIDE, STEP_ARCSEC

Array = NDArray[np.float64]

#: Variance of what is masked, in files; everything above a tenth of it is masked, too.
MASKED = 1e30

#: Cards that follow an exposure through all its products, where they are known.
KEPT = (
    "OBJECT", "CHANNEL", "EXPTIME", "EFFTIME", "JD", "AIRMASS", "PARANG", "PRESSURE", "TEMP",
    "RA", "DEC", "RUNID", "FILTER", "DARKTIME",
)  # fmt: skip


@dataclass(frozen=True)
class Frame:
    """A preprocessed frame, assembled.

    A pixel that is no number, or has no positive variance, is masked as it comes in: no sum that
    leaves masked pixels out by a weight of 0 meets a NaN.

    Attributes
    ----------
    data, variance : ndarray, shape (ny, nx)
        Electrons; the variance is :data:`MASKED` where a pixel is masked.
    """

    header: fits.Header
    data: Array
    variance: Array

    def __post_init__(self) -> None:
        """Mask what is no number."""
        bad = ~(np.isfinite(self.data) & np.isfinite(self.variance) & (self.variance > 0))
        _mask(self, bad, MASKED)

    @cached_property
    def good(self) -> NDArray[np.bool_]:
        """Where pixels are not masked."""
        return self.variance < MASKED / 10


def _mask(values: Frame | Cube | Spectrum, bad: NDArray[np.bool_], variance: float) -> None:
    """Give what is bad a variance that says so, and a number where it has none."""
    if bad.any():
        numbers = np.where(np.isfinite(values.data), values.data, 0.0)
        object.__setattr__(values, "data", numbers)
        object.__setattr__(values, "variance", np.where(bad, variance, values.variance))


@dataclass(frozen=True)
class Cube:
    """A cube as spectra; what is no number or has no variance is masked as it comes in.

    Attributes
    ----------
    wavelength : ndarray, shape (n_bins,)
        Angstrom.
    data, variance : ndarray, shape (n_spaxels, n_bins)
        Electrons a bin; the variance is positive, or infinite where there is nothing.
    lens : ndarray, shape (n_spaxels, 2)
        Lens coordinates i, j.
    """

    header: fits.Header
    wavelength: Array
    data: Array
    variance: Array
    lens: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Mask what is no number."""
        _mask(self, ~(np.isfinite(self.data) & (self.variance < MASKED / 10)), np.inf)


@dataclass(frozen=True)
class Spectrum:
    """A spectrum and its variance on a regular grid; what is no number is masked as it comes in."""

    header: fits.Header
    wavelength: Array
    data: Array
    variance: Array

    def __post_init__(self) -> None:
        """Mask what is no number."""
        _mask(self, ~(np.isfinite(self.data) & np.isfinite(self.variance)), MASKED)


def kept(header: fits.Header) -> fits.Header:
    """Return the cards that an exposure's products keep; one that cannot be read is left out."""
    new = fits.Header()
    for card in KEPT:
        with contextlib.suppress(KeyError, fits.VerifyError, ValueError):
            new[card] = (header[card], header.comments[card])
    return new


def save(path: str, hdus: fits.HDUList) -> None:
    """Write a file aside and rename it."""
    aside = f"{path}.part"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VerifyWarning)
        hdus.writeto(aside, overwrite=True)
    os.replace(aside, path)


def check_varied(values: NDArray[Any], what: str) -> None:
    """Refuse values of which none tells anything: there are none, or all are the same.

    Even a bias has noise: such an image was not read, or was spoilt since.

    Raises
    ------
    BadInput
        They are so.
    """
    numbers = values[np.isfinite(values)]
    if not numbers.size:
        raise BadInput(f"{what}: every pixel is masked or no number")
    low, high = numbers.min(), numbers.max()
    if low == high:
        raise BadInput(f"{what}: every pixel is {low:g}")


def _open(path: str, kind: str) -> fits.HDUList:
    """Open a product, or say why not."""
    try:
        return fits.open(path, memmap=False)
    except (OSError, ValueError, TypeError, fits.VerifyError) as error:
        raise BadInput(f"{kind} {Path(path).name} cannot be read: {error}") from error


def write_frame(path: str, frame: Frame) -> None:
    """Write a preprocessed frame: electrons, then variance, float32."""
    save(
        path,
        fits.HDUList(
            [
                fits.PrimaryHDU(frame.data.astype(np.float32), frame.header),
                fits.ImageHDU(frame.variance.astype(np.float32), name="VARIANCE"),
            ]
        ),
    )


def read_frame(path: str) -> Frame:
    """Read a preprocessed frame."""
    with _open(path, "frame") as hdus:
        try:
            data, variance = hdus[0].data, hdus[1].data
            if data.ndim != 2 or data.shape != variance.shape:
                raise BadInput(f"frame {Path(path).name} has no variance of its own shape")
            frame = Frame(hdus[0].header, data.astype(np.float64), variance.astype(np.float64))
        except (LookupError, AttributeError, TypeError, ValueError, OSError) as error:
            raise BadInput(f"frame {Path(path).name} is incomplete: {error}") from error
    check_varied(frame.data[frame.good], f"frame {Path(path).name}")
    return frame


def write_euro3d(path: str, cube: Cube) -> None:
    """Write a cube in the Euro3D format, a row a spaxel."""
    primary = fits.PrimaryHDU()
    primary.header["EURO3D"] = (True, "Euro3D format")
    primary.header["E3D_ADC"] = (False, "no atmospheric dispersion corrector")
    primary.header["E3D_VERS"] = ("1.0", "version of the Euro3D format")
    count, bins = cube.data.shape
    step = float(cube.wavelength[1] - cube.wavelength[0])
    columns = [
        fits.Column("SPEC_ID", "J", array=np.arange(1, count + 1)),
        fits.Column("SELECTED", "J", array=np.zeros(count, dtype=int)),
        fits.Column("NSPAX", "J", array=np.ones(count, dtype=int)),
        fits.Column("SPEC_LEN", "J", array=np.full(count, bins)),
        fits.Column("SPEC_STA", "J", array=np.zeros(count, dtype=int)),
        fits.Column("XPOS", "E", unit="arcsec", array=cube.lens[:, 0] * STEP_ARCSEC),
        fits.Column("YPOS", "E", unit="arcsec", array=cube.lens[:, 1] * STEP_ARCSEC),
        fits.Column("GROUP_N", "J", array=np.ones(count, dtype=int)),
        fits.Column("SPAX_ID", "1A", array=np.full(count, " ")),
        fits.Column("DATA_SPE", f"{bins}E", array=cube.data.astype(np.float32)),
        fits.Column("QUAL_SPE", f"{bins}J", array=(~np.isfinite(cube.variance)).astype(np.int32)),
        fits.Column(
            "STAT_SPE",
            f"{bins}E",
            array=np.where(np.isfinite(cube.variance), cube.variance, MASKED).astype(np.float32),
        ),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="E3D_DATA")
    table.header.extend(cube.header.cards)
    for card, value in (
        ("CTYPES", "WAVE"),
        ("CUNITS", "Angstrom"),
        ("CRVALS", float(cube.wavelength[0])),
        ("CDELTS", step),
        ("CRPIXS", 1),
    ):
        table.header[card] = value
    group = fits.BinTableHDU.from_columns(
        [
            fits.Column("GROUP_N", "J", array=np.array([1])),
            fits.Column("G_SHAPE", "1A", array=np.array(["S"])),
            fits.Column("G_SIZE1", "E", array=np.array([STEP_ARCSEC])),
            fits.Column("G_ANGLE", "E", array=np.array([0.0])),
            fits.Column("G_SIZE2", "E", array=np.array([STEP_ARCSEC])),
            fits.Column("G_POSWAV", "E", array=np.array([cube.wavelength[0]])),
            fits.Column("G_AIRMAS", "E", array=np.array([cube.header.get("AIRMASS", 1.0)])),
            fits.Column("G_PARANG", "E", array=np.array([cube.header.get("PARANG", 0.0)])),
            fits.Column("G_PRESSU", "E", array=np.array([cube.header.get("PRESSURE", 617.0)])),
            fits.Column("G_TEMPER", "E", array=np.array([cube.header.get("TEMP", 2.0)])),
            fits.Column("G_HUMID", "E", array=np.array([0.0])),
        ],
        name="E3D_GRP",
    )
    lenses = fits.BinTableHDU.from_columns(
        [
            fits.Column("NO", "J", array=np.arange(1, count + 1)),
            fits.Column("I", "J", array=cube.lens[:, 0]),
            fits.Column("J", "J", array=cube.lens[:, 1]),
        ],
        name="TIGERTBL",
    )
    save(path, fits.HDUList([primary, table, group, lenses]))


def read_cube(path: str) -> Cube:
    """Read a cube, Euro3D or 3-D.

    Raises
    ------
    BadInput
        It is neither, or its variance is not positive.
    """
    with _open(path, "cube") as hdus:
        try:
            cube = _euro3d(hdus) if hdus[0].header.get("EURO3D") else _three_d(hdus)
        except (LookupError, AttributeError, TypeError, ValueError, OSError) as error:
            raise BadInput(f"cube {Path(path).name} is incomplete: {error}") from error
    if not (cube.variance > 0).all():
        raise BadInput(f"cube {Path(path).name} has a variance that is not positive")
    check_varied(cube.data[np.isfinite(cube.variance)], f"cube {Path(path).name}")
    return cube


def _euro3d(hdus: fits.HDUList) -> Cube:
    """Read the Euro3D tables."""
    table = hdus["E3D_DATA"]
    header, rows = table.header, table.data
    data = np.array(rows["DATA_SPE"], dtype=np.float64)
    variance = np.array(rows["STAT_SPE"], dtype=np.float64)
    bad = np.array(rows["QUAL_SPE"]) != 0
    wavelength = header["CRVALS"] + header["CDELTS"] * (
        np.arange(data.shape[1]) + 1 - header["CRPIXS"]
    )
    place = np.stack([rows["XPOS"], rows["YPOS"]], axis=1) / STEP_ARCSEC
    lens = np.rint(place).astype(np.int64)
    return Cube(header, wavelength, data, np.where(bad, np.inf, variance), lens)


def _three_d(hdus: fits.HDUList) -> Cube:
    """Read a cube with axes x, y, wavelength."""
    header = hdus[0].header
    data, variance = hdus[0].data.astype(np.float64), hdus["VARIANCE"].data.astype(np.float64)
    bins, ny, nx = data.shape
    j, i = np.mgrid[:ny, :nx]
    lens = np.stack([i.ravel() - nx // 2, j.ravel() - ny // 2], axis=1)
    wavelength = header["CRVAL3"] + header["CDELT3"] * (
        np.arange(bins) + 1 - header.get("CRPIX3", 1)
    )
    return Cube(header, wavelength, data.reshape(bins, -1).T, variance.reshape(bins, -1).T, lens)


def write_cube3d(path: str, cube: Cube) -> None:
    """Write a cube with axes x, y, wavelength: 15 x 15 spaxels, data and variance."""
    bins = cube.wavelength.size
    data = np.zeros((bins, SIDE, SIDE))
    variance = np.full((bins, SIDE, SIDE), MASKED)
    i, j = cube.lens[:, 0] + SIDE // 2, cube.lens[:, 1] + SIDE // 2
    data[:, j, i] = cube.data.T
    variance[:, j, i] = np.where(np.isfinite(cube.variance), cube.variance, MASKED).T
    header = kept(cube.header)
    for axis, (value, step) in enumerate(
        (
            (-(SIDE // 2) * STEP_ARCSEC, STEP_ARCSEC),
            (-(SIDE // 2) * STEP_ARCSEC, STEP_ARCSEC),
            (float(cube.wavelength[0]), float(cube.wavelength[1] - cube.wavelength[0])),
        ),
        1,
    ):
        header[f"CRVAL{axis}"], header[f"CDELT{axis}"], header[f"CRPIX{axis}"] = value, step, 1
    save(
        path,
        fits.HDUList(
            [
                fits.PrimaryHDU(data.astype(np.float32), header),
                fits.ImageHDU(variance.astype(np.float32), name="VARIANCE"),
            ]
        ),
    )


def write_spectrum(path: str, spectrum: Spectrum) -> None:
    """Write a spectrum: signal, then variance."""
    header = spectrum.header.copy()
    header["CRVAL1"] = (float(spectrum.wavelength[0]), "[Angstrom]")
    header["CDELT1"] = (float(spectrum.wavelength[1] - spectrum.wavelength[0]), "[Angstrom]")
    header["CRPIX1"] = 1
    save(
        path,
        fits.HDUList(
            [
                fits.PrimaryHDU(spectrum.data.astype(np.float32), header),
                fits.ImageHDU(spectrum.variance.astype(np.float32), name="VARIANCE"),
            ]
        ),
    )


def read_spectrum(path: str) -> Spectrum:
    """Read a spectrum."""
    with _open(path, "spectrum") as hdus:
        try:
            header, data = hdus[0].header, hdus[0].data.astype(np.float64)
            wavelength = header["CRVAL1"] + header["CDELT1"] * np.arange(data.size)
            return Spectrum(header, wavelength, data, hdus["VARIANCE"].data.astype(np.float64))
        except (LookupError, AttributeError, TypeError, ValueError, OSError) as error:
            raise BadInput(f"spectrum {Path(path).name} is incomplete: {error}") from error
