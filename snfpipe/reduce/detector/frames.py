"""Raw frames: reading what the cameras write, and assembling both amplifiers.

Three layouts are known, docs/reduction.md tells them.  In each, cards give the sections: DATASEC
and BIASSEC of the stored image, CCDSEC of the chip.  They are obeyed, and a frame is refused
where they contradict each other or the image: a guess would take overscan for light.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from snfpipe.errors import shown
from snfpipe.reduce import calibration
from snfpipe.reduce.detector.sections import (
    Section,
    check_apart,
    check_holds,
    check_inside,
    check_same_size,
    find_section,
    joined,
    read_section,
)
from snfpipe.reduce.errors import BadInput
from snfpipe.reduce.formats import check_varied

Image = NDArray[np.float32]

_CHIPS = ("chip00", "chip01")  # extensions of DetCom's files, an amplifier each
_KINDS = ("DATASEC", "BIASSEC", "CCDSEC")
_Cut = tuple[Section, Section]  # an amplifier's data and overscan


@dataclass(frozen=True)
class Amplifier:
    """What one amplifier read.

    Attributes
    ----------
    data : ndarray, shape (rows, columns)
        ADU, as stored.
    columns : ndarray of int, shape (columns,)
        Columns of the stored image that the data come from.
    overscan : ndarray, shape (rows, overscan columns)
        ADU; the first column is the one nearest to the data.
    overscan_columns : ndarray of int, shape (overscan columns,)
        Columns of the stored image that the overscan comes from.
    mirrored : bool
        Whether the data are stored with the chip's columns backwards.
    """

    data: Image
    columns: NDArray[np.int64]
    overscan: Image
    overscan_columns: NDArray[np.int64]
    mirrored: bool


@dataclass(frozen=True)
class RawFrame:
    """A raw frame as its two amplifiers, in order of the chip's columns.

    Attributes
    ----------
    header : fits.Header
        The primary header, cards of the images' extensions added where it lacks them.
    amplifiers : tuple of Amplifier
    window : Section
        The part of the chip that was read.
    chip : tuple of int
        Columns and rows of the chip.
    """

    header: fits.Header
    amplifiers: tuple[Amplifier, Amplifier]
    window: Section
    chip: tuple[int, int]

    @property
    def raster(self) -> bool:
        """Whether only a part of the chip was read."""
        return _is_raster(self.window, self.chip)


def read_raw(path: str) -> RawFrame:
    """Read a raw frame: one image with both amplifiers, or an extension an amplifier.

    Raises
    ------
    BadInput
        It cannot be read, is no raw frame, or its sections contradict each other or the image.
    """
    name = Path(path).name
    try:
        with fits.open(path, memmap=False) as hdus:
            images = [hdu for hdu in hdus if hdu.header.get("NAXIS", 0) == 2]
            header = _all_cards(hdus[0], images)
            pixels = [np.asarray(hdu.data, dtype=np.float32) for hdu in images]
            headers = [hdu.header for hdu in images]
    except FileNotFoundError as error:
        raise BadInput(f"there is no file {name}") from error
    except Exception as error:
        # astropy meets damaged bytes with errors of many kinds
        raise BadInput(f"{name} is damaged or no FITS file: {error}") from error
    if len(images) not in (1, 2):
        raise BadInput(f"{name} holds {len(images)} images, expected 1 or 2")
    for image in pixels:
        check_varied(image, name)
    if len(images) == 1:
        return _one_image(header, pixels[0])
    return _two_images(header, headers, pixels)


def _all_cards(primary: fits.PrimaryHDU, images: list[fits.ImageHDU]) -> fits.Header:
    """Return the primary header and what only the images' headers say."""
    header = primary.header.copy()
    for hdu in images:
        for card in hdu.header.cards:
            if card.keyword and card.keyword not in header:
                header.append(card)
    return header


def _one_image(header: fits.Header, image: Image) -> RawFrame:
    """Cut an image that holds both amplifiers.

    In a raster the numbered sections are those of a full frame, so that the whole's are taken.
    """
    window = find_section(header, "CCDSEC")
    raster = window is not None and _is_raster(window, _chip(window))
    cuts, both = _raster_cuts(header) if raster else _full_cuts(header)
    for data, bias in cuts:
        check_inside(data, image.shape)
        check_inside(bias, image.shape)
    check_apart(*cuts[0], *cuts[1])
    if not raster:
        _check_whole(header, cuts, both)
    first, second = (_amplifier(image, *cut) for cut in cuts)
    return RawFrame(header, (first, second), both, _chip(both))


def _raster_cuts(header: fits.Header) -> tuple[tuple[_Cut, _Cut], Section]:
    """Return data and overscan of each amplifier of a raster, halved as the chip is, and where."""
    data, bias, window = (read_section(header, kind) for kind in _KINDS)
    check_same_size(data, window)
    left = _chip(window)[0] // 2 - window.x0 + 1  # columns of the first amplifier
    if not 0 < left < window.nx:
        raise BadInput(f"{window.source} lies within one amplifier, expected a part of both")
    half = bias.nx // 2
    cuts = (
        (data.columns(0, left), bias.columns(0, half)),
        (data.columns(left, data.nx - left), bias.columns(half, bias.nx - half)),
    )
    return cuts, window


def _full_cuts(header: fits.Header) -> tuple[tuple[_Cut, _Cut], Section]:
    """Return data and overscan of each amplifier by the numbered sections, and the chip's part."""
    numbers = (0, 1) if any(f"{kind}0" in header for kind in _KINDS) else (1, 2)
    data, bias, ccd = (
        [read_section(header, f"{kind}{number}") for number in numbers] for kind in _KINDS
    )
    for own, on_chip in zip(data, ccd, strict=True):
        check_same_size(own, on_chip)
        if on_chip.mirrored:
            raise BadInput(f"{on_chip.source} is mirrored, expected so of an extension only")
    return ((data[0], bias[0]), (data[1], bias[1])), joined(*ccd)


def _check_whole(header: fits.Header, cuts: tuple[_Cut, _Cut], both: Section) -> None:
    """Refuse a whole's sections that do not say what the amplifiers' do."""
    data, bias, window = (find_section(header, kind) for kind in _KINDS)
    for amplifier in cuts:
        for whole, part in zip((data, bias), amplifier, strict=True):
            if whole is not None:
                check_holds(whole, part)
    if window is not None:
        check_same_size(window, both)
        check_holds(window, both)


def _two_images(header: fits.Header, headers: list[fits.Header], images: list[Image]) -> RawFrame:
    """Take an extension an amplifier, as DetCom writes them."""
    by_name = {
        str(own.get("EXTNAME", "")).strip().lower(): (own, image)
        for own, image in zip(headers, images, strict=True)
    }
    if set(by_name) != set(_CHIPS):
        names = " and ".join(shown(name) for name in by_name)
        raise BadInput(f"the extensions are {names}, expected {' and '.join(_CHIPS)}")
    amplifiers, windows = [], []
    for name in _CHIPS:
        own, image = by_name[name]
        data, bias, window = (read_section(own, kind, f" of {name}") for kind in _KINDS)
        check_inside(data, image.shape)
        check_inside(bias, image.shape)
        check_same_size(data, window)
        check_apart(data, bias)
        amplifiers.append(_amplifier(image, data, bias, window.mirrored))
        windows.append(window)
    both = joined(*windows)
    return RawFrame(header, (amplifiers[0], amplifiers[1]), both, _chip(both))


def _amplifier(image: Image, data: Section, bias: Section, mirrored: bool = False) -> Amplifier:
    """Cut an amplifier's data and overscan out of an image."""
    if (data.y0, data.y1) != (bias.y0, bias.y1):
        raise BadInput(f"{bias.source} is not of the rows of {data.source}")
    check_varied(image[data.place], f"the image in {data.source}")
    columns = np.arange(bias.x0 - 1, bias.x1)
    outwards = columns if bias.x0 > data.x0 else columns[::-1]
    rows = data.place[0]
    return Amplifier(
        image[data.place],
        np.arange(data.x0 - 1, data.x1),
        image[rows][:, outwards],
        outwards,
        mirrored,
    )


def _chip(window: Section) -> tuple[int, int]:
    """Return columns and rows of the chip of which a section was read: the smallest that fits.

    Cameras count rows from 1 or from 2, so that only their number tells.
    """
    for nx, ny in calibration.load("detector.json")["chips"]:
        if window.x1 <= nx and window.ny <= ny:
            return nx, ny
    raise BadInput(f"{window.source} fits on no known chip")


def _is_raster(window: Section, chip: tuple[int, int]) -> bool:
    """Whether a section covers less than its chip."""
    return (window.nx, window.ny) != chip


def number(header: fits.Header, card: str, default: float) -> float:
    """Return a card's number, or the default where there is none.

    Raises
    ------
    BadInput
        The card holds something else.
    """
    try:
        value = header.get(card, default)
    except fits.VerifyError as error:
        raise BadInput(f"card {card} cannot be read, expected a number") from error
    try:
        found = float(value)
    except (TypeError, ValueError) as error:
        raise BadInput(f"card {card} is {shown(value)}, expected a number") from error
    if not np.isfinite(found):
        raise BadInput(f"card {card} is {shown(value)}, expected a finite number")
    return found


def text(header: fits.Header, card: str) -> str:
    """Return a card's text, empty where there is no such card or it cannot be read."""
    try:
        return str(header.get(card, "")).strip()
    except fits.VerifyError:
        return ""


def side_by_side(raw: RawFrame, images: tuple[Image, Image]) -> Image:
    """Return images of both amplifiers as one, in order of the chip's columns."""
    return np.hstack(
        [
            image[:, ::-1] if amplifier.mirrored else image
            for amplifier, image in zip(raw.amplifiers, images, strict=True)
        ]
    )


def assemble(image: Image, channel: str) -> Image:
    """Turn a chip's image so that wavelength grows with the row: R frames are upside down."""
    return image[::-1, ::-1] if channel == "R" else image
