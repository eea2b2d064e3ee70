"""Reading the header of a raw frame: strict on what would mislead, patient with what is odd.

Real headers are dirty.  What cannot be trusted is left out with a warning that names the card;
only a frame that cannot be read as FITS, or is cut short, is refused.
"""

from __future__ import annotations

import math
import re
import stat
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snfpipe import fclass
from snfpipe.errors import SnfError, printable, shown
from snfpipe.names import RawName

if TYPE_CHECKING:
    from astropy.io.fits import Header

_SECTION = re.compile(r"\[(\d+):(\d+),(\d+):(\d+)\]")
_ABSURD = 9999999  # what the camera programs write for a sensor that is not there
_SECTIONS = ("BIASSEC", "BIASSEC1", "BIASSEC2", "DATASEC", "DATASEC1", "DATASEC2")
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

#: What the weather station gives; where it is away, all of them read 0, some of which can be true.
_STATION = ("PRESSURE", "TEMP", "HUMIDITY", "WINDSPD", "WINDDIR", "DEWPOINT")
_NEVER_ZERO = {"PRESSURE", "HUMIDITY"}


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
        if value == 0 and card in self.away:
            return None
        low, high = _RANGES.get(card, (-math.inf, math.inf))
        return float(value) if low <= value <= high else None

    def text(self, card: str, limit: int = 40) -> str:
        """Return a card's text, cut to `limit`; what cannot be printed becomes ``?``."""
        value = self.cards.get(card)
        text = "" if value is None else str(value).strip()[:limit]
        return "".join(letter if letter.isprintable() else "?" for letter in text)

    @property
    def away(self) -> tuple[str, ...]:
        """The cards of a weather station that is not there."""
        return _station_away(self.cards)


def read_frame(path: Path, name: RawName) -> Frame:
    """Read the headers of a raw frame and check that its pixels are all there.

    Raises
    ------
    BadFits
        It is no FITS file, is cut short, or holds no image.
    OSError
        It is not there, or cannot be opened.
    """
    from astropy.io import fits
    from astropy.io.fits.verify import VerifyWarning

    found = path.stat()
    size = found.st_size
    if not stat.S_ISREG(found.st_mode):
        raise BadFits("no plain file")
    if not size:
        raise BadFits("the file is empty")
    cards: dict[str, Any] = {}
    odd: list[str] = []
    images = 0
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            warnings.simplefilter("ignore", VerifyWarning)
            warnings.filterwarnings("ignore", message=".*may have been truncated.*")
            with fits.open(path, memmap=True, do_not_scale_image_data=True) as hdus:
                for number, hdu in enumerate(hdus):
                    info = hdu.fileinfo()
                    promised = info["datLoc"] + hdu.size
                    if promised > size:
                        raise BadFits(f"cut short: {size} bytes of at least {promised}")
                    images += hdu.header.get("NAXIS", 0) == 2
                    _add_cards(cards, hdu.header, number)
                    odd += _odd_sections(hdu.header)
            odd += sorted({printable(warning.message)[:200] for warning in said})
    except BadFits:
        raise
    except Exception as error:  # astropy raises whatever a broken header leads it into
        raise BadFits(f"not readable as FITS: {shown(error)}") from error
    if not images:
        raise BadFits("no image in it")
    return Frame(name, cards, (*_odd(name, cards), *odd))


def _add_cards(cards: dict[str, Any], header: Header, number: int) -> None:
    """Add the cards of an HDU; what differs from an earlier one's gets the number behind it."""
    for key, value in header.items():
        if key in _SKIPPED:
            continue
        plain = _plain(value)
        if cards.setdefault(key, plain) != plain:
            cards.setdefault(f"{key}@{number}", plain)


def _plain(value: Any) -> Any:
    """Return a card's value as JSON can hold it; a card without a value has None."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return str(value)


def _odd(name: RawName, cards: Mapping[str, Any]) -> list[str]:
    """Say what is odd about a header, each naming its card."""
    found = []
    unknown = fclass.warning(name.fclass, 0)
    if unknown:
        found.append(unknown)
    stated = cards.get("FCLASS")
    if isinstance(stated, str):
        found.append(f"FCLASS is the text {shown(stated)}, not a number")
    if stated is not None and str(stated).strip().lstrip("0") != str(name.fclass):
        found.append(f"FCLASS {shown(stated)} is not that of the name, {name.fclass:02}")
    filename = cards.get("FILENAME")
    if filename is not None and filename != str(name):
        found.append(f"FILENAME {shown(filename)} is not the file's name")
    if "MJD-OBS" not in cards:
        found.append("MJD-OBS is missing")
    found += _odd_numbers(cards)
    found += _odd_time(cards)
    return found


def _odd_numbers(cards: Mapping[str, Any]) -> list[str]:
    """Say which numbers cannot be true."""
    found = [f"{card}={value}: no such sensor" for card, value in cards.items()
             if value == _ABSURD]  # fmt: skip
    found += [f"{card}=0: no such sensor" for card in _station_away(cards)]
    for card, (low, high) in _RANGES.items():
        value = cards.get(card)
        if value is None or (value == 0 and card in _STATION):
            continue
        if isinstance(value, bool | str) or not low <= value <= high:
            found.append(f"{card}={shown(value)}: left out, expected {low:g} to {high:g}")
    return found


def _station_away(cards: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cards of sensors that all read 0, among them one that never can."""
    zeros = tuple(
        card for card in _STATION
        if not isinstance(cards.get(card), bool) and cards.get(card) == 0
    )  # fmt: skip
    return zeros if _NEVER_ZERO.intersection(zeros) else ()


def _odd_time(cards: Mapping[str, Any]) -> list[str]:
    """Say where DATE-OBS and JD disagree."""
    date, julian = cards.get("DATE-OBS"), cards.get("JD")
    if not isinstance(date, str) or isinstance(julian, bool) or not isinstance(julian, int | float):
        return []
    try:
        moment = datetime.fromisoformat(date)
    except ValueError:
        return [f"DATE-OBS={shown(date)}: no date"]
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    off_s = (moment - datetime(2000, 1, 1, 12, tzinfo=UTC)).total_seconds()
    off_s -= (julian - 2451545.0) * 86400
    return [f"DATE-OBS is {off_s:+.0f} s off JD"] if abs(off_s) > 5 else []


def _odd_sections(header: Header) -> Iterator[str]:
    """Yield which sections of an HDU lie outside its image, or are none."""
    nx, ny = header.get("NAXIS1", 0), header.get("NAXIS2", 0)
    for card in _SECTIONS:
        if card not in header:
            continue
        value = header[card]
        match = _SECTION.fullmatch(value.strip()) if isinstance(value, str) else None
        if not match:
            yield f"{card}={shown(value)}: no section like [1:1024,1:4096]"
            continue
        x0, x1, y0, y1 = (int(number) for number in match.groups())
        if not (1 <= x0 <= x1 <= nx and 1 <= y0 <= y1 <= ny):
            yield f"{card}={value} lies outside the image of {nx} x {ny}"
