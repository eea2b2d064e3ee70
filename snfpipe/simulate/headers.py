"""Headers as the camera programs write them, with the dirt that real ones carry."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from snfpipe.names import Night
from snfpipe.simulate.instrument import DETECTORS, SATURATION, Size, frame_shape
from snfpipe.simulate.layouts import (
    Card,
    Layout,
    Unquoted,
    extension_sections,
    image_sections,
)
from snfpipe.simulate.presets import TARGETS
from snfpipe.simulate.randomness import generator
from snfpipe.simulate.schedule import Frame, sidereal_h

if TYPE_CHECKING:
    from snfpipe.simulate.atmosphere import Air

_IMAGE_TYPES = {3: "COMPARISON", 7: "COMPARISON", 17: "OBJECT", 24: "BIAS", 25: "DARK"}
_OBSERVATION_TYPES = {3: "ARC", 7: "FLAT", 17: "OBJECT", 24: "BIAS", 25: "DARK"}
_READOUT_S = 1.45
_PROGRAMS = {"B": "SNFactory DetCom v3.60", "R": "SNFactory Otcom v1.30",
             "P": "SNFactory Otcom v1.30"}  # fmt: skip


def sexagesimal(value: float, sign: bool = True) -> str:
    """Return degrees or hours as ``+dd:mm:ss.ss``."""
    total = round(abs(value) * 360000)
    whole, rest = divmod(total, 360000)
    minutes, hundredths = divmod(rest, 6000)
    mark = ("-" if value < 0 else "+") if sign else ""
    return f"{mark}{whole:02}:{minutes:02}:{hundredths / 100:05.2f}"


def _file_class(frame: Frame, layout: Layout) -> str | int:
    """Return the value of FCLASS: a number with zeros in DetCom, text in B's older layout."""
    padded = f"{frame.fclass:02}"
    if layout.name == "DetCom":
        return Unquoted(padded)
    return padded if layout.name == "single" and frame.channel == "B" else frame.fclass


def extension_cards(frame: Frame, layout: Layout, size: Size) -> list[list[Card]]:
    """Return the cards of each extension of a frame; none where the file is one image."""
    if not layout.extensions:
        return []
    found = extension_sections(layout, *frame_shape(frame.channel, size), frame.raster)
    return [
        [("EXTNAME", f"chip{number:02}", ""), *((key, text, "") for key, text in own.items())]
        for number, own in enumerate(found)
    ]


def cards(frame: Frame, air: Air, layout: Layout, size: Size, seed: int) -> Iterator[Card]:
    """Yield the cards of a frame's primary header after the mandatory ones.

    Dirt, as seen in real frames: FCLASS is no plain number in B; FILENAME lacks the extension;
    there is no MJD-OBS; B's DATE-OBS is a minute off its JD now and then; sensors that do not
    exist read 0 or 9999999; lamps have one exposure time in B and another in R.
    """
    chance = generator(seed, *frame.key, "header")
    detector = DETECTORS[frame.channel]
    start = datetime.combine(Night.parse(frame.night).date, datetime.min.time(), UTC)
    start += timedelta(hours=frame.start_h)
    late = frame.channel == "B" and chance.uniform() < 0.3
    shown = start - timedelta(minutes=1) if late else start
    target = TARGETS.get(frame.target)
    yield "OBSTYPE", _OBSERVATION_TYPES[frame.fclass], "Type of observation"
    yield "FCLASS", _file_class(frame, layout), "File class"
    yield "IMAGETYP", _IMAGE_TYPES[frame.fclass], ""
    yield "CHANNEL", frame.channel, "Channel"
    yield "OBJECT", frame.target or "unknown", "Target"
    yield "FILENAME", frame.name.removesuffix(".fits"), ""
    yield "RUNID", f"{frame.night}_{frame.run:03}", "Run"
    yield "EVTID", frame.exposure, "Exposure of the run"
    yield "FILTER", frame.filter or "none", ""
    yield "EXPTIME", frame.exptime_s, "[s] Exposure time"
    yield "DARKTIME", round(frame.exptime_s + _READOUT_S, 3), "[s] Time since the last clear"
    yield "AIRMASS", round(frame.airmass, 4), "At mid-exposure"
    yield "PARANG", round(frame.parang_deg, 3), "[deg] Parallactic angle at mid-exposure"
    yield "HA", sexagesimal(frame.ha_h), "[h] Hour angle at mid-exposure"
    yield "LST", sexagesimal(sidereal_h(frame.jd), sign=False), "[h] Sidereal time at start"
    yield "UTC", start.strftime("%H:%M:%S.%f")[:-4], "At start"
    yield "DATE-OBS", shown.strftime("%Y-%m-%dT%H:%M:%S"), ""
    yield "JD", round(frame.jd, 6), "At start"
    if target is not None:
        yield "RA", sexagesimal(target.ra_deg / 15, sign=False), "[h] Right ascension, J2000"
        yield "DEC", sexagesimal(target.dec_deg), "[deg] Declination, J2000"
    else:
        yield "RA", "00:00:00.00", "[h] Right ascension, J2000"
        yield "DEC", "+19:49:22.00", "[deg] Declination, J2000"
    yield "PRESSURE", air.pressure, "[mbar]"
    yield "TEMP", air.temperature, "[deg C] Outside"
    yield "HUMIDITY", 0, "[%] No such sensor"
    yield "WINDSPD", 0, "[km/h] No such sensor"
    yield "RAIN", 9999999, "No such sensor"
    yield "CCDNAMP", 2, "Amplifiers"
    if not layout.extensions:
        shape = frame_shape(frame.channel, size)
        for name, section in image_sections(layout, *shape, frame.raster).items():
            yield name, section, ""
    yield "CCD0GAIN", detector.gains[0], "[e-/ADU]"
    yield "CCD1GAIN", detector.gains[1], "[e-/ADU]"
    yield "RDNOISE", detector.read_noise, "[e-]"
    yield "SATURATE", SATURATION, "[ADU]"
    yield "CCDSUM", "1 1", "Binning"
    yield "CCDTEMP", round(detector.temperature + float(chance.normal(0, 0.05)), 2), "[deg C]"
    if layout.name == "single":
        yield "RASTER", "FULL", ""
    yield "ACQSWV", _PROGRAMS[frame.channel], "Camera program"
