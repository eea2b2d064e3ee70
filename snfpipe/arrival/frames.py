"""Reading the header of a raw frame: strict on what would mislead, patient with what is odd.

Real headers are dirty.  What cannot be trusted is left out with a warning that names the card;
only a frame that cannot be read as FITS, or is cut short, is refused.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snfpipe.errors import SnfError, shown
from snfpipe.names import RawName

_SECTION = re.compile(r"\[(\d+):(\d+),(\d+):(\d+)\]")
_ABSURD = 9999999  # what the camera programs write for a sensor that is not there
_SKIPPED = {"", "COMMENT", "HISTORY", "BZERO", "BSCALE", "CHECKSUM", "DATASUM"}

#: Card -> lowest and highest value that can be true.
_RANGES: dict[str, tuple[float, float]] = {
    "EXPTIME": (0.0, 1e5),
    "DARKTIME": (0.0, 1e5),
    "AIRMASS": (1.0, 40.0),
    "PARANG": (-360.0, 360.0),
    "PRESSURE": (500.0, 700.0),
    "TEMP": (-30.0, 40.0),
    "JD": (2451544.5, 2488069.5),  # 2000 to 2099
}


class BadFits(SnfError):
    """A frame that cannot be taken; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What the header of a frame says, and what was odd about it."""

    name: RawName
    cards: Mapping[str, Any]
    warnings: tuple[str, ...]

    def number(self, card: str) -> float | None:
        """Return a card's value where it is a number that can be true."""
        value = self.cards.get(card)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        low, high = _RANGES.get(card, (-math.inf, math.inf))
        return float(value) if low <= value <= high else None

    def text(self, card: str, limit: int = 40) -> str:
        """Return a card's text, cut to `limit`."""
        value = self.cards.get(card, "")
        return str(value).strip()[:limit]


def read_frame(path: Path, name: RawName) -> Frame:
    """Read the headers of a raw frame and check that its pixels are all there.

    Raises
    ------
    BadFits
        It is no FITS file, is cut short, or holds no image.
    """
    from astropy.io import fits
    from astropy.io.fits.verify import VerifyWarning

    size = path.stat().st_size
    if not size:
        raise BadFits("the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", VerifyWarning)
            warnings.filterwarnings("ignore", message=".*may have been truncated.*")
            with fits.open(path, memmap=True, do_not_scale_image_data=True) as hdus:
                cards: dict[str, Any] = {}
                images = 0
                for hdu in hdus:
                    info = hdu.fileinfo()
                    promised = info["datLoc"] + hdu.size
                    if promised > size:
                        raise BadFits(f"cut short: {size} bytes of at least {promised}")
                    images += hdu.header.get("NAXIS", 0) == 2
                    for key, value in hdu.header.items():
                        if key not in _SKIPPED:
                            cards.setdefault(key, _plain(value))
    except BadFits:
        raise
    except Exception as error:  # astropy raises whatever a broken header leads it into
        raise BadFits(f"not readable as FITS: {shown(error)}") from error
    if not images:
        raise BadFits("no image in it")
    return Frame(name, cards, tuple(_odd(name, cards)))


def _plain(value: Any) -> Any:
    """Return a card's value as JSON can hold it."""
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return str(value)


def _odd(name: RawName, cards: Mapping[str, Any]) -> list[str]:
    """Say what is odd about a header, each naming its card."""
    found = []
    fclass = cards.get("FCLASS")
    if isinstance(fclass, str):
        found.append(f"FCLASS is the text {shown(fclass)}, not a number")
    if fclass is not None and str(fclass).strip().lstrip("0") != str(name.fclass):
        found.append(f"FCLASS {shown(fclass)} is not that of the name, {name.fclass:02}")
    filename = cards.get("FILENAME")
    if filename is not None and filename != str(name):
        found.append(f"FILENAME {shown(filename)} is not the file's name")
    if "MJD-OBS" not in cards:
        found.append("MJD-OBS is missing")
    found += _odd_numbers(cards)
    found += _odd_time(cards)
    found += _odd_sections(cards)
    return found


def _odd_numbers(cards: Mapping[str, Any]) -> list[str]:
    """Say which numbers cannot be true."""
    found = [f"{card}={value}: no such sensor" for card, value in cards.items()
             if value == _ABSURD]  # fmt: skip
    for card, (low, high) in _RANGES.items():
        value = cards.get(card)
        if value is None:
            continue
        if isinstance(value, bool | str) or not low <= value <= high:
            found.append(f"{card}={shown(value)}: left out, expected {low:g} to {high:g}")
    return found


def _odd_time(cards: Mapping[str, Any]) -> list[str]:
    """Say where DATE-OBS and JD disagree."""
    from datetime import datetime

    date, julian = cards.get("DATE-OBS"), cards.get("JD")
    if not isinstance(date, str) or not isinstance(julian, int | float):
        return []
    try:
        moment = datetime.fromisoformat(date)
    except ValueError:
        return [f"DATE-OBS={shown(date)}: no date"]
    off_s = (moment - datetime(2000, 1, 1, 12)).total_seconds() - (julian - 2451545.0) * 86400
    return [f"DATE-OBS is {off_s:+.0f} s off JD"] if abs(off_s) > 5 else []


def _odd_sections(cards: Mapping[str, Any]) -> list[str]:
    """Say which sections lie outside the image."""
    nx, ny = cards.get("NAXIS1"), cards.get("NAXIS2")
    found = []
    for card in ("BIASSEC", "BIASSEC1", "BIASSEC2", "DATASEC", "DATASEC1", "DATASEC2"):
        match = _SECTION.fullmatch(str(cards.get(card, "")))
        if match and isinstance(nx, int) and isinstance(ny, int):
            x0, x1, y0, y1 = (int(number) for number in match.groups())
            if not (1 <= x0 <= x1 <= nx and 1 <= y0 <= y1 <= ny):
                found.append(f"{card}={cards[card]} lies outside the image of {nx} x {ny}")
    return found
