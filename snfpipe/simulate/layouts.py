"""How the camera programs store a readout: margins, order of columns, sections and files.

Numbers of real frames: DetCom's B raster has 83 columns (3 before the data, 29 after) and 4128
rows (32 after the data) in each of two extensions; Otcom's R frame has 2112 columns, its raster
166.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from astropy.io import fits
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint16]

Card = tuple[str, str | int | float, str]
Kind = Literal["camera", "single", "mixed"]

#: What a survey's frames may look like -> what it means.
KINDS: dict[Kind, str] = {
    "camera": "as the camera programs write them, DetCom in B and Otcom in R and P",
    "single": "the older layout, one image in all channels",
    "mixed": "every other exposure in the older layout",
}


class Unquoted(str):
    """A card's value that stands in the file as it is: ``07``."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """What an amplifier's readout holds beside the data, and how it is stored.

    Attributes
    ----------
    name : str
        Of the camera program.
    prescan, overscan : int
        Columns before and after the data.
    overscan_rows : int
        Rows after the data.
    extensions : bool
        An extension an amplifier, as read: the second amplifier's columns run backwards.
        Otherwise one image: the data of both, then the overscans of both.
    first_amplifier, first_row : int
        From where sections number amplifiers, and CCDSEC the chip's rows.
    junk : tuple of (amplifier, column, level)
        Overscan columns that hold no overscan, ADU; -1 is the last.
    """

    name: str
    prescan: int = 0
    overscan: int = 32
    overscan_rows: int = 0
    extensions: bool = False
    first_amplifier: int = 0
    first_row: int = 1
    junk: tuple[tuple[int, int, float], ...] = ()


SINGLE = Layout("single", first_amplifier=1)
OTCOM = Layout("Otcom", first_row=2, junk=((0, -1, 519.0), (1, 0, 316.0)))
DETCOM = Layout("DetCom", prescan=3, overscan=29, overscan_rows=32, extensions=True)


def layout_of(kind: Kind, channel: str, run: int, exposure: int) -> Layout:
    """Return the layout of a frame; in a mixed survey a run's arcs are not laid out as the rest."""
    if kind == "single" or (kind == "mixed" and (run + exposure) % 2 == 0):
        return SINGLE
    return DETCOM if channel == "B" else OTCOM


def raster_width(nx: int) -> int:
    """Return how many columns of each amplifier a raster holds: 51 of a chip of 2048."""
    return 51 * nx // 2048


def stored(layout: Layout, strips: Sequence[Pixels], raster: bool) -> list[Pixels]:
    """Return the images that a file holds.

    Parameters
    ----------
    layout : Layout
        Of the frame.
    strips : sequence of ndarray
        What each amplifier read, margins around the data, columns as the layout stores them.
    raster : bool
        Keep the columns beside the middle of the chip only.
    """
    import numpy as np

    if raster:
        strips = [_vignette(layout, strip, amplifier) for amplifier, strip in enumerate(strips)]
    if layout.extensions:
        return list(strips)
    return [
        np.hstack([strip[:, : -layout.overscan] for strip in strips]
                  + [strip[:, -layout.overscan :] for strip in strips])
    ]  # fmt: skip


def _vignette(layout: Layout, strip: Pixels, amplifier: int) -> Pixels:
    """Return an amplifier's readout with the data columns of a raster only."""
    import numpy as np

    data = strip[:, layout.prescan : -layout.overscan]
    width = raster_width(2 * data.shape[1])
    last = amplifier == 0 or layout.extensions  # the middle of the chip is read last
    return np.hstack([
        strip[:, : layout.prescan],
        data[:, -width:] if last else data[:, :width],
        strip[:, -layout.overscan :],
    ])  # fmt: skip


def _section(x: tuple[int, int], rows: int, first_row: int = 1) -> str:
    """Return a section of columns x[0] to x[1]."""
    return f"[{x[0]}:{x[1]},{first_row}:{first_row + rows - 1}]"


def image_sections(layout: Layout, nx: int, ny: int, raster: bool) -> dict[str, str]:
    """Return the sections of a layout of one image, for a chip of `nx` x `ny` pixels.

    In a raster Otcom writes the second amplifier's sections of a full frame.
    """
    half, over = nx // 2, layout.overscan
    width = raster_width(nx) if raster else half
    on_chip = (half - width + 1, half), (half + 1, half + width)
    found: dict[str, str] = {}
    if layout.name == "Otcom":
        found = {
            "DATASEC": _section((1, 2 * width), ny),
            "BIASSEC": _section((2 * width + 1, 2 * width + 2 * over), ny),
            "CCDSEC": _section((on_chip[0][0], on_chip[1][1]), ny, layout.first_row),
        }
    for amplifier in (0, 1):
        number = layout.first_amplifier + amplifier
        wide = half if amplifier else width
        data = amplifier * wide
        scan = 2 * wide + amplifier * over
        found[f"DATASEC{number}"] = _section((data + 1, data + wide), ny)
        found[f"CCDSEC{number}"] = _section(on_chip[amplifier], ny, layout.first_row)
        found[f"BIASSEC{number}"] = _section((scan + 1, scan + over), ny)
    return found


def extension_sections(layout: Layout, nx: int, ny: int, raster: bool) -> list[dict[str, str]]:
    """Return the sections of each extension, for a chip of `nx` x `ny` pixels."""
    half = nx // 2
    width = raster_width(nx) if raster else half
    pre, over = layout.prescan, layout.overscan
    on_chip = (half - width + 1, half), (half + width, half + 1)
    return [
        {
            "DATASEC": _section((pre + 1, pre + width), ny),
            "BIASSEC": _section((pre + width + 1, pre + width + over), ny),
            "CCDSEC": _section(columns, ny, layout.first_row),
        }
        for columns in on_chip
    ]


def file_bytes(
    images: Sequence[Pixels], cards: Iterable[Card], extensions: Sequence[Iterable[Card]]
) -> bytes:
    """Return a FITS file of 16-bit images; nothing in it depends on the time of making.

    Parameters
    ----------
    images : sequence of ndarray
        One for a file of one image, else one an extension.
    cards : iterable of Card
        Of the primary header.
    extensions : sequence of iterable of Card
        Of each extension's header.
    """
    from astropy.io import fits

    primary = fits.PrimaryHDU(None if extensions else images[0])
    primary.header.extend(map(_card, cards))
    hdus = [primary]
    for image, own in zip(images, extensions, strict=False):
        hdu = fits.ImageHDU(image)
        hdu.header.extend(map(_card, own))
        hdus.append(hdu)
    buffer = io.BytesIO()
    fits.HDUList(hdus).writeto(buffer)
    return buffer.getvalue()


def _card(card: Card) -> fits.Card:
    """Return a header's card."""
    from astropy.io import fits

    key, value, comment = card
    if isinstance(value, Unquoted):
        return fits.Card.fromstring(f"{key:<8}= {value:>20} / {comment}")
    return fits.Card(*card)
