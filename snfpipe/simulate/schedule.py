"""When and how a night's frames are taken: the list of them, before any pixel is made."""

from __future__ import annotations

from dataclasses import dataclass
from math import acos, atan2, cos, degrees, radians, sin

import numpy as np

from snfpipe.names import ExposureId, Night, RawName
from snfpipe.simulate.atmosphere import make_clouds
from snfpipe.simulate.presets import TARGETS, NightPlan, Preset, Target
from snfpipe.simulate.randomness import generator

LATITUDE_DEG, LONGITUDE_DEG = 19.8228, -155.4694  #: UH 2.2 m
#: Readout and set-up between exposures, seconds.
_PAUSE_S = 60.0
#: Exposure times of the lamps; the channels have their own shutters.
_LAMP_S = {(7, "B"): 11.0, (7, "R"): 1.0, (3, "B"): 20.0, (3, "R"): 5.0}
_DARK_S = 1200.0
_ACQUISITION_S = 10.0
_UNGUIDED_S = 2.0
_CALIBRATION_RUN = 900


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame to be taken: what the log says of it and how it is taken in truth.

    Attributes
    ----------
    night, run, exposure, fclass, channel
        The parts of its name.
    target : str
        Empty for calibrations of the night.
    run_kind, run_type, filter
        As the log has them.
    start_h : float
        UT hours at the start.
    exptime_s : float
        Exposure time in header and log; the light's own unless `open_s` says otherwise.
    airmass, parang_deg, ha_h : float
        At mid-exposure.
    guide, guide_s, guide_f, guide_x, interrupt, quality, qzelog : number or None
        As the log has them; None is an empty value.
    light : float
        Factor on all light (faults).
    star : float
        Factor on the point source (faults).
    damages : tuple of str
        What befalls the file after it was made: names of :data:`.faults.DAMAGES`.
    """

    night: str
    run: int
    exposure: int
    fclass: int
    channel: str
    target: str
    run_kind: str
    run_type: str
    filter: str
    start_h: float
    exptime_s: float
    airmass: float
    parang_deg: float
    ha_h: float
    guide: int | None = None
    guide_s: float | None = None
    guide_f: float | None = None
    guide_x: float | None = None
    interrupt: int = 1
    quality: int = 1
    qzelog: int = 1
    light: float = 1.0
    star: float = 1.0
    damages: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The file's name."""
        exposure = ExposureId(Night.parse(self.night), self.run, self.exposure)
        return str(RawName(exposure, self.fclass, self.channel))

    @property
    def key(self) -> tuple[str, int, int, str]:
        """What the frame's chance depends on, beside the survey's seed."""
        return self.night, self.run, self.exposure, self.channel

    @property
    def jd(self) -> float:
        """Julian date of the start."""
        return julian_date(self.night) + self.start_h / 24


def julian_date(night: str) -> float:
    """Return the Julian date at 0 h UT of a night's day."""
    return Night.parse(night).date.toordinal() + 1721424.5


def sidereal_h(jd: float) -> float:
    """Return the local mean sidereal time, hours (Meeus 1998, low precision)."""
    return ((280.46061837 + 360.98564736629 * (jd - 2451545.0) + LONGITUDE_DEG) % 360) / 15


def pointing(target: Target, jd: float) -> tuple[float, float, float]:
    """Return (airmass, parallactic angle in degrees, hour angle in hours) of a target."""
    ha_h = (sidereal_h(jd) - target.ra_deg / 15 + 12) % 24 - 12
    ha, dec, lat = radians(15 * ha_h), radians(target.dec_deg), radians(LATITUDE_DEG)
    sin_altitude = sin(lat) * sin(dec) + cos(lat) * cos(dec) * cos(ha)
    zenith = min(acos(max(-1.0, min(1.0, sin_altitude))), radians(70))
    angle = atan2(sin(ha), cos(dec) * sin(lat) / cos(lat) - sin(dec) * cos(ha))
    return 1 / cos(zenith), degrees(angle), ha_h


_EVENING_H, _MORNING_H = 5.2, 15.6


def _start_times(preset: Preset, plan: NightPlan) -> list[tuple[str, float]]:
    """Return (target, UT hours) of a night's runs in order of time.

    Each target is taken at an hour angle drawn at random as far as the night allows, so that
    the airmasses of standards differ.
    """
    midnight = sidereal_h(julian_date(plan.night))
    wishes = []
    for index, name in enumerate(plan.targets):
        ha_h = generator(preset.seed, plan.night, "schedule", index).uniform(-3.2, 3.2)
        sidereal = TARGETS[name].ra_deg / 15 + ha_h
        start = ((sidereal - midnight) % 24) / 1.0027379
        if not _EVENING_H <= start <= _MORNING_H:
            to_evening = (_EVENING_H - start) % 24
            to_morning = (start - _MORNING_H) % 24
            start = _EVENING_H if to_evening < to_morning else _MORNING_H
        wishes.append((start, name))
    runs, free = [], 0.0
    for start, name in sorted(wishes):
        start = max(start, free)
        runs.append((name, start))
        free = start + (TARGETS[name].exptime_s + 10 * _PAUSE_S) / 3600
    return runs


def _guiding(preset: Preset, plan: NightPlan, run: int, start_h: float, exptime_s: float,
             ) -> dict[str, float | int]:  # fmt: skip
    """Return the guider's columns of the log; its star fades with the clouds."""
    if exptime_s < _UNGUIDED_S:
        return {"guide": 0}
    clouds = make_clouds(preset.seed, plan.night, plan.photometric)
    chance = generator(preset.seed, plan.night, run, "guide")
    times = start_h + np.linspace(0, exptime_s, 20) / 3600
    seen = np.interp(times, clouds.hours, clouds.transparency)
    seen = seen * (1 + 0.01 * chance.standard_normal(20))
    flux = 0.3 * 10 ** (-0.4 * chance.uniform(-1, 1.5))
    return {
        "guide": 1,
        "guide_s": round(float(max(0.0, 1 - 4 * seen.std() / seen.mean())), 3),
        "guide_f": round(float(flux * seen.mean()), 4),
        "guide_x": round(float(chance.uniform(2200, 2900)), 1),
    }


def night_frames(preset: Preset, plan: NightPlan) -> tuple[Frame, ...]:
    """Return all frames of a night in order of time, before faults."""
    frames: list[Frame] = []
    spectral = [channel for channel in preset.channels if channel != "P"]
    photometric = [channel for channel in preset.channels if channel == "P"]
    for run, (name, start_h) in enumerate(_start_times(preset, plan), 1):
        target = TARGETS[name]
        kind = "StdStar" if target.kind == "StdStar" else "FinalRef" * plan.final_reference
        time_h = start_h
        for exposure, fclass, channels, exptime_s in (
            (1, 7, spectral, max(_LAMP_S[7, channel] for channel in spectral)),
            (2, 17, photometric, _ACQUISITION_S),
            (3, 17, [*spectral, *photometric], target.exptime_s),
            (4, 3, spectral, max(_LAMP_S[3, channel] for channel in spectral)),
        ):
            jd = julian_date(plan.night) + time_h / 24
            airmass, parang, ha_h = pointing(target, jd + exptime_s / 2 / 86400)
            guiding = {}
            if exposure == 3:
                guiding = _guiding(preset, plan, run, time_h, exptime_s)
            frames.extend(
                Frame(
                    plan.night, run, exposure, fclass, channel, name, kind, "SPECTRED",
                    "mf" if channel == "P" else "", time_h,
                    _LAMP_S.get((fclass, channel), exptime_s), airmass, parang, ha_h, **guiding,
                )  # fmt: skip
                for channel in channels
            )
            time_h += (exptime_s + _PAUSE_S) / 3600
    frames.extend(_calibrations(plan, spectral))
    return tuple(frames)


def _calibrations(plan: NightPlan, channels: list[str]) -> list[Frame]:
    """Return the biases and darks at the end of the night."""
    time_h, frames = 16.4, []
    series = (
        (_CALIBRATION_RUN, 24, plan.biases, 0.0),
        (_CALIBRATION_RUN + 1, 25, plan.darks, _DARK_S),
    )
    for run, fclass, count, exptime_s in series:
        for exposure in range(1, count + 1):
            frames.extend(
                Frame(
                    plan.night, run, exposure, fclass, channel, "", "Calib", "", "", time_h,
                    exptime_s, 1.0, 0.0, 0.0,
                )  # fmt: skip
                for channel in channels
            )
            time_h += (exptime_s + _PAUSE_S) / 3600
    return frames
