"""What is wrong or odd about a header, each card judged alone.

What is odd and does no harm is a *note*; what loses something, or may be a mix-up, is a *problem*:
`snf ingest` and the audit then end with exit status 1.
"""

from __future__ import annotations

from collections.abc import Iterator

from snfpipe import fclass
from snfpipe.errors import shown
from snfpipe.ingest import identity
from snfpipe.ingest.cards import (
    J2000,
    RANGES,
    SECOND,
    STATION,
    UNREADABLE,
    Cards,
    Frame,
    moment_of,
    section_of,
    station_away,
)

_ABSURD = 9999999  # what the camera programs write for a sensor that is not there
_SECTIONS = tuple(f"{kind}{n}" for kind in ("BIASSEC", "DATASEC") for n in ("", "0", "1", "2"))
_OBJECT_CLASS = 17

#: Cards that something is taken from; a fault in any other one is a note.
_USED = frozenset(
    {"CHECKSUM", "JD", "EXPTIME", "DARKTIME", "AIRMASS", "PARANG", "OBJECT", "CHANNEL", "FCLASS",
     "RUNID", "RASTER", "SATURATE", "RDNOISE", "CCD0GAIN", "CCD1GAIN", "CCDSEC", "CCDSEC0",
     "CCDSEC1", *_SECTIONS}
)  # fmt: skip


def diagnose(frame: Frame) -> tuple[list[str], list[str]]:
    """Return the problems and the notes of a header, each naming its card."""
    name, cards = frame.name, frame.cards
    problems = [*identity.against_name(frame), *_needed(frame)]
    notes = [*filter(None, [fclass.warning(name.fclass, 0)])]
    if isinstance(cards.get("FCLASS"), str):
        notes.append(f"FCLASS is the text {shown(cards['FCLASS'])}, not a number")
    if not frame.text("CHANNEL"):
        notes.append("CHANNEL is missing: taken from the name")
    if name.fclass == _OBJECT_CLASS and not frame.text("OBJECT", 80):
        notes.append("OBJECT names no target: that of the log or the run's other frames is taken")
    filename = frame.text("FILENAME", 200)
    if filename == str(name).removesuffix(".fits"):
        notes.append(f"FILENAME {shown(filename)} is not the file's name: it lacks .fits")
    if "MJD-OBS" not in cards:
        notes.append("MJD-OBS is missing")
    notes += _odd_numbers(cards)
    notes += _odd_time(frame)
    return problems, notes


def odd_sections(cards: Cards, shape: tuple[int, int]) -> Iterator[str]:
    """Yield which sections of an HDU lie outside its image (columns, rows), or are none."""
    for card in _SECTIONS:
        value = cards.get(card)
        if value is None:
            continue
        section = section_of(value)
        if section is None:
            yield f"{card}={shown(value)}: no section like [1:1024,1:4096]"
            continue
        x0, x1, y0, y1 = section
        if not (1 <= x0 <= x1 <= shape[0] and 1 <= y0 <= y1 <= shape[1]):
            yield f"{card}={value} lies outside the image of {shape[0]} x {shape[1]}"


def serious(card: str) -> bool:
    """Tell whether a fault in a card is a problem, and not only worth a note."""
    return card in _USED


def _needed(frame: Frame) -> Iterator[str]:
    """Yield the cards that a frame must have and that say nothing one can use."""
    if frame.jd is None:
        yield "no JD, MJD-OBS or DATE-OBS that can be used: its time is unknown"
    wanted = ["EXPTIME"] + ["AIRMASS"] * (frame.name.fclass == _OBJECT_CLASS)
    for card in wanted:
        if frame.number(card) is None and card + SECOND not in frame.cards:
            found = frame.cards.get(card, frame.cards.get(card + UNREADABLE))
            told = "is missing" if found is None else f"is {shown(found)}, which cannot be used"
            if card + UNREADABLE not in frame.cards:
                yield f"{card} {told}"


def _odd_numbers(cards: Cards) -> Iterator[str]:
    """Yield which numbers cannot be true."""
    for card, value in cards.items():
        if value == _ABSURD:
            yield f"{card}={value}: no such sensor"
    for card in station_away(cards):
        yield f"{card}=0: no such sensor"
    for card, (low, high) in RANGES.items():
        value = cards.get(card)
        if value is None or (value == 0 and card in STATION):
            continue
        if isinstance(value, bool | str) or not low <= value <= high:
            yield f"{card}={shown(value)}: left out, expected {low:g} to {high:g}"


def _odd_time(frame: Frame) -> Iterator[str]:
    """Yield where DATE-OBS and JD disagree, or JD comes from elsewhere."""
    date, julian = frame.text("DATE-OBS"), frame.number("JD")
    moment = moment_of(date)
    if date and moment is None:
        yield f"DATE-OBS={shown(date)}: no date"
    if julian is None and frame.jd is not None:
        yield "JD says nothing: taken from MJD-OBS or DATE-OBS"
    if moment is None or julian is None:
        return
    off_s = (moment - J2000).total_seconds() - (julian - 2451545.0) * 86400
    if abs(off_s) > 5:
        yield f"DATE-OBS is {off_s:+.0f} s off JD"
