"""Raw frames: reading, amplifiers, overscan, assembly."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from snfpipe.errors import shown
from snfpipe.reduce.errors import BadInput

Image = NDArray[np.float32]

_SECTION = re.compile(r"\[(\d+):(\d+),(\d+):(\d+)\]")
_OVERSCAN = 32


@dataclass(frozen=True)
class RawFrame:
    """A raw frame as its two amplifiers.

    Attributes
    ----------
    header : fits.Header
        The header, the extensions' cards added where there are any.
    data, overscan : tuple of ndarray
        Per amplifier, ADU, shape (ny, nx / 2) and (ny, overscan columns).
    columns : tuple of ndarray
        Column numbers of data and overscan in the stored image, for the odd-even term.
    """

    header: fits.Header
    data: tuple[Image, Image]
    overscan: tuple[Image, Image]
    columns: tuple[tuple[int, int], tuple[int, int]]


def read_raw(path: str) -> RawFrame:
    """Read a raw frame: one image with both amplifiers, or an extension an amplifier.

    Raises
    ------
    BadInput
        It cannot be read, or is no raw frame.
    """
    try:
        with fits.open(path, memmap=False) as hdus:
            header = hdus[0].header.copy()
            images = [hdu for hdu in hdus if hdu.header.get("NAXIS", 0) == 2]
            if len(images) == 1:
                return _one_image(header, np.asarray(images[0].data, dtype=np.float32))
            if len(images) == 2:
                return _two_images(header, images)
    except BadInput:
        raise
    except FileNotFoundError as error:
        raise BadInput(f"there is no file {Path(path).name}") from error
    except Exception as error:
        # astropy meets damaged bytes with errors of many kinds
        raise BadInput(f"{Path(path).name} is damaged or no FITS file: {error}") from error
    raise BadInput(f"{Path(path).name} holds {len(images)} images, expected 1 or 2")


def _one_image(header: fits.Header, image: Image) -> RawFrame:
    """Cut an image into data and overscan of both amplifiers."""
    ny, nx = image.shape
    half = (nx - 2 * _OVERSCAN) // 2
    if half <= 0:
        raise BadInput(f"an image of {nx} x {ny} pixels has no room for two amplifiers")
    data = _sections(header, "DATASEC", nx, ((0, half), (half, 2 * half)))
    over = _sections(
        header,
        "BIASSEC",
        nx,
        ((2 * half, 2 * half + _OVERSCAN), (2 * half + _OVERSCAN, 2 * half + 2 * _OVERSCAN)),
    )
    return RawFrame(
        header,
        (image[:, slice(*data[0])], image[:, slice(*data[1])]),
        (image[:, slice(*over[0])], image[:, slice(*over[1])]),
        ((data[0][0], over[0][0]), (data[1][0], over[1][0])),
    )


def _sections(
    header: fits.Header, card: str, nx: int, default: tuple[tuple[int, int], tuple[int, int]]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the columns of both amplifiers; a section outside the image is not believed."""
    found = []
    for number, fallback in zip((1, 2), default, strict=True):
        match = _SECTION.fullmatch(str(header.get(f"{card}{number}", "")))
        columns = (int(match[1]) - 1, int(match[2])) if match else fallback
        found.append(columns if 0 <= columns[0] < columns[1] <= nx else fallback)
    return found[0], found[1]


def _two_images(header: fits.Header, hdus: list[fits.ImageHDU]) -> RawFrame:
    """Take an extension an amplifier: data first, overscan at its end."""
    parts = []
    for hdu in hdus:
        image = np.asarray(hdu.data, dtype=np.float32)
        for key, value in hdu.header.items():
            if key and key not in header:
                header[key] = value
        parts.append((image[:, :-_OVERSCAN], image[:, -_OVERSCAN:]))
    (left, left_over), (right, right_over) = parts
    width = left.shape[1]
    return RawFrame(header, (left, right), (left_over, right_over), ((0, width), (0, width)))


def number(header: fits.Header, card: str, default: float) -> float:
    """Return a card's number, or the default where there is none.

    Raises
    ------
    BadInput
        The card holds something else.
    """
    value = header.get(card, default)
    try:
        found = float(value)
    except (TypeError, ValueError) as error:
        raise BadInput(f"card {card} is {shown(value)}, expected a number") from error
    if not np.isfinite(found):
        raise BadInput(f"card {card} is {shown(value)}, expected a finite number")
    return found


def assemble(image: Image, channel: str) -> Image:
    """Turn a stored image so that wavelength grows with the row: R frames are upside down."""
    return image[::-1, ::-1] if channel == "R" else image


def running_median(values: Image, width: int) -> Image:
    """Return the median over `width` neighbours of a vector, the ends repeated."""
    if width < 2:
        return values
    padded = np.pad(values, width // 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, width)
    return np.median(windows[: values.size], axis=1).astype(np.float32)
