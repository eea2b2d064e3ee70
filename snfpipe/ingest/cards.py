"""The cards of a raw frame's header as values.

A card that cannot be read, or cannot be true, costs itself: it is left out, and kept as found
beside the others.  :mod:`diagnose` says what is odd about a header.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from snfpipe.errors import printable, shown
from snfpipe.names import RawName

if TYPE_CHECKING:
    from astropy.io.fits import Header

Cards = Mapping[str, Any]

#: What is put behind a card's name, for a value that was found and is not used.
UNREADABLE, SECOND = "?", "#2"

#: Texts that programs write where they know no value.
NOTHING = frozenset({"", "none", "null", "nan", "n/a", "unknown", "undefined"})

_ALIASES = {"MJD_OBS": "MJD-OBS", "DATE_OBS": "DATE-OBS"}
_NOT_KEPT = {"CHECKSUM", "DATASUM"}
_SKIPPED = {"", "COMMENT", "HISTORY", "BZERO", "BSCALE", "END"}
_SECTION = re.compile(r"\[(\d+):(\d+),(\d+):(\d+)\]")


#: Card -> lowest and highest value that can be true.
RANGES: dict[str, tuple[float, float]] = {
    "EXPTIME": (0.0, 1e5),
    "DARKTIME": (0.0, 1e5),
    "AIRMASS": (1.0, 40.0),
    "PARANG": (-360.0, 360.0),
    "PRESSURE": (500.0, 700.0),
    "TEMP": (-30.0, 40.0),
    "JD": (2451544.5, 2488069.5),  # 2000 to 2099
    "MJD-OBS": (51544.0, 88069.0),
}

#: What the weather station gives; where it is away, all of them read 0, some of which can be true.
STATION = ("PRESSURE", "TEMP", "HUMIDITY", "WINDSPD", "WINDDIR", "DEWPOINT")
_NEVER_ZERO = {"PRESSURE", "HUMIDITY"}

MJD_ZERO = 2400000.5
J2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Frame:
    """What the header of a frame says, and what was found about it."""

    name: RawName
    cards: Cards
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def number(self, card: str) -> float | None:
        """Return a card's value where it is one number that can be true."""
        return number(self.cards, card)

    def text(self, card: str, limit: int = 40) -> str:
        """Return a card's text, cut to `limit`; what cannot be printed becomes ``?``."""
        return text(self.cards, card, limit)

    @property
    def jd(self) -> float | None:
        """The Julian date: JD, else MJD-OBS, else DATE-OBS."""
        julian, modified = self.number("JD"), self.number("MJD-OBS")
        if julian is None and modified is not None:
            return modified + MJD_ZERO
        return julian if julian is not None else julian_of(self.cards)

    @property
    def raster(self) -> str:
        """RASTER for a part of the chip, else what the card RASTER says.

        Real rasters have no such card: their CCDSEC do not begin at the chip's first column and
        row, or leave out the outer end of the second amplifier.
        """
        return self.text("RASTER") or ("RASTER" if _is_part(self.cards) else "")


def read_cards(header: Header) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return the cards of an HDU, and the faults: card, what is wrong with it.

    A card that is there twice with two values is unknown, since nothing tells which is true.
    """
    found: dict[str, Any] = {}
    faults: list[tuple[str, str]] = []
    for card in header.cards:
        key = "?"
        try:
            key = _ALIASES.get(card.keyword, card.keyword)
            if key in _SKIPPED:
                continue
            value = _plain(card.value)
        except Exception:  # astropy raises whatever a broken card leads it into
            value = printable(card.image[9:].strip(" '="))[:70]
            found[key], found[key + UNREADABLE] = None, value
            faults.append((key, f"{key}={shown(value)}: cannot be read, left out"))
            continue
        if found.setdefault(key, value) != value and key + SECOND not in found:
            found[key + SECOND] = value
            what = f"{key} is there twice, {shown(found[key])} and {shown(value)}: left out"
            faults.append((key, what))
    return found, faults


def add_cards(cards: dict[str, Any], own: Cards, hdu: int) -> None:
    """Add the cards of an HDU; what differs from an earlier one's gets ``@`` and its number."""
    for key, value in own.items():
        if key in _NOT_KEPT:
            continue
        if cards.setdefault(key, value) != value:
            cards.setdefault(f"{key}@{hdu}", value)


def number(cards: Cards, card: str) -> float | None:
    """Return a card's value where it is one number that can be true."""
    value = cards.get(card)
    if isinstance(value, bool) or not isinstance(value, int | float) or card + SECOND in cards:
        return None
    if value == 0 and card in station_away(cards):
        return None
    low, high = RANGES.get(card, (-math.inf, math.inf))
    return float(value) if low <= value <= high else None


def text(cards: Cards, card: str, limit: int = 40) -> str:
    """Return a card's text, cut to `limit`, nothing where it says that nothing is known."""
    value = None if card + SECOND in cards else cards.get(card)
    found = "" if value is None else str(value).strip()[:limit]
    if found.casefold() in NOTHING:
        return ""
    return "".join(letter if letter.isprintable() else "?" for letter in found)


def julian_of(cards: Cards) -> float | None:
    """Return the Julian date of DATE-OBS, None where it is no date."""
    moment = moment_of(text(cards, "DATE-OBS"))
    return None if moment is None else 2451545.0 + (moment - J2000).total_seconds() / 86400


def moment_of(date: str) -> datetime | None:
    """Return the moment a DATE-OBS names."""
    try:
        moment = datetime.fromisoformat(date)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def station_away(cards: Cards) -> tuple[str, ...]:
    """Return the cards of sensors that all read 0, among them one that never can."""
    zeros = tuple(
        card for card in STATION
        if not isinstance(cards.get(card), bool) and cards.get(card) == 0
    )  # fmt: skip
    return zeros if _NEVER_ZERO.intersection(zeros) else ()


def section_of(value: Any) -> tuple[int, int, int, int] | None:
    """Return the numbers of a section, as written."""
    match = _SECTION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    x0, x1, y0, y1 = (int(number) for number in match.groups())
    return x0, x1, y0, y1


def _is_part(cards: Cards) -> bool:
    """Tell whether the sections of the chip do not cover it."""
    found = [section_of(value) for key, value in cards.items() if key.startswith("CCDSEC")]
    parts = {
        (min(it[:2]), max(it[:2]), min(it[2:]))
        for it in found if it is not None
    }  # fmt: skip
    if not parts:
        return False
    first, last = min(part[0] for part in parts), max(part[1] for part in parts)
    # both amplifiers are read from the chip's outer columns towards its middle, and are as wide
    inner = min(part[1] for part in parts)
    one_sided = len(parts) > 1 and last < 2 * inner - 1
    return first > 2 or min(part[2] for part in parts) > 2 or one_sided


def _plain(value: Any) -> Any:
    """Return a card's value as JSON and both databases hold it; one without a value has None."""
    if isinstance(value, str):
        return value.replace("\0", r"\0")
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return None if type(value).__name__ == "Undefined" else str(value)
