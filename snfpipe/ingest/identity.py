"""Who a frame is: its name, its header and its line of the log, compared.

The name is believed, since all rows are found by it.  What disagrees with it is told: a mix-up of
nights, channels, runs, classes or targets makes good-looking products of the wrong light.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from snfpipe.errors import BadName, shown
from snfpipe.ingest.cards import MJD_ZERO, Frame, julian_of
from snfpipe.ingest.spelling import spelling
from snfpipe.names import CHANNELS, Night

_SLACK_D = 2 / 24  #: a night's frames may be this far outside of its UTC day [d]

#: Card -> class of a raw frame -> what the camera programs write there.
_TYPES: Mapping[str, Mapping[int, str]] = {
    "OBSTYPE": {3: "ARC", 7: "FLAT", 17: "OBJECT", 24: "BIAS", 25: "DARK"},
    "IMAGETYP": {3: "COMPARISON", 7: "COMPARISON", 17: "OBJECT", 24: "BIAS", 25: "DARK"},
    "IMTYPE": {3: "COMPARISON", 7: "COMPARISON", 17: "OBJECT", 24: "BIAS", 25: "DARK"},
}
#: Card that is 1 where a lamp is on -> the class whose lamp it is.
_LAMPS = {"LPSARCR": 3, "LPSCNTR": 7}

_CHANNELS = {
    **{letter: letter for letter in CHANNELS},
    **{str(mask): letter for letter, mask in CHANNELS.items()},
    "BLUE": "B", "RED": "R", "PHOTO": "P", "PHOTOMETRIC": "P",
}  # fmt: skip


def against_name(frame: Frame) -> Iterator[str]:
    """Yield where a header disagrees with the frame's name."""
    name = frame.name
    night, run = name.exposure.night, name.exposure.run_id
    yield from _wrong_night(frame, night)
    stated = frame.text("RUNID")
    if stated and stated != str(run):
        yield f"RUNID says {shown(stated)}, which is not the run of the name"
    event = frame.number("EVTID")
    if event is not None and event != name.exposure.exposure:
        yield f"EVTID says {event:g}, which is not the exposure of the name"
    channel = frame.text("CHANNEL")
    if channel and _CHANNELS.get(channel.upper()) != name.channel:
        yield f"CHANNEL says {shown(channel)}, the name {name.channel}"
    filename = frame.text("FILENAME", 200)
    if filename and filename.removesuffix(".fits") != str(name).removesuffix(".fits"):
        yield f"FILENAME {shown(filename)} is not the file's name"
    yield from _wrong_class(frame)


def against_log(frame: Frame, line: Mapping[str, Any]) -> Iterator[str]:
    """Yield where a frame's line of the log disagrees with its name or its header."""
    if "fclass" in line and line["fclass"] != frame.name.fclass:
        yield f"the log says class {line['fclass']:02}, the name {frame.name.fclass:02}"
    stated, logged = frame.text("OBJECT", 80), line.get("object", "")
    if stated and logged and spelling(stated) != spelling(logged):
        yield f"the log says {shown(logged)}, OBJECT {shown(stated)}"


def night_of(julian: float) -> Night | None:
    """Return the night of a Julian date, None of one that no night's name can hold."""
    day = date.fromordinal(int(julian - 1721424.5))
    try:
        return Night(day.year - 2000, day.timetuple().tm_yday)
    except BadName:
        return None


def _wrong_night(frame: Frame, night: Night) -> Iterator[str]:
    """Yield which cards are of another night than the name."""
    modified = frame.number("MJD-OBS")
    times = {
        "JD": frame.number("JD"),
        "MJD-OBS": None if modified is None else modified + MJD_ZERO,
        "DATE-OBS": julian_of(frame.cards),
    }
    for card, julian in times.items():
        if julian is None or night in {night_of(julian - _SLACK_D), night_of(julian + _SLACK_D)}:
            continue
        yield f"{card} is of night {night_of(julian) or 'none'}, the name of {night}"


def _wrong_class(frame: Frame) -> Iterator[str]:
    """Yield which cards say another class than the name: a lamp as an object, and the like."""
    own = frame.name.fclass
    stated = frame.text("FCLASS")
    if stated and stated.lstrip("0") != str(own):
        yield f"FCLASS {shown(stated)} is not that of the name, {own:02}"
    for card, words in _TYPES.items():
        found = frame.text(card).upper()
        if own in words and found in words.values() and found != words[own]:
            yield f"{card} says {found}, the name class {own:02}, which has {words[own]}"
    for card, fclass in _LAMPS.items():
        if frame.number(card) == 1 and own != fclass:
            yield f"{card}=1: a lamp was on, which class {own:02} is taken without"
