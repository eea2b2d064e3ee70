"""When and how a night's frames are taken: the list of them, before any pixel is made."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle
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
_CALIBRATION_H = 16.6  # UT, after the last run
OBJECT_EXPOSURE = 3  #: number of a run's science exposure


@dataclass(frozen=True, slots=True)
class Guiding:
    """The guider's columns of the log; None is an empty value."""

    guide: int | None = None
    guide_s: float | None = None
    guide_f: float | None = None
    guide_x: float | None = None


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
        Exposure time.
    airmass, parang_deg, ha_h : float
        At mid-exposure.
    guiding : Guiding
        As the log has it.
    interrupt, quality, qzelog : int
        As the log has them.
    light : float
        Factor on all light (faults).
    star : float
        Factor on the point source (faults).
    raster : bool
        Whether only the columns beside the middle of the chip are read (faults).
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
    guiding: Guiding = Guiding()
    interrupt: int = 1
    quality: int = 1
    qzelog: int = 1
    light: float = 1.0
    star: float = 1.0
    raster: bool = False
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
#: Hour angles that targets are taken at; standards alternate, so that their airmasses differ.
_SUPERNOVA_H, _STANDARDS_H = (0.0, 2.8), ((2.6, 4.2), (0.0, 1.5))


def _start_times(preset: Preset, plan: NightPlan) -> list[tuple[str, float]]:
    """Return (target, UT hours) of a night's runs in order of time.

    Each target is taken at an hour angle drawn at random, as far as the night allows.
    """
    midnight = sidereal_h(julian_date(plan.night))
    wishes: list[tuple[float, str]] = []
    reaches = cycle(_STANDARDS_H)
    for index, name in enumerate(plan.targets):
        reach = next(reaches) if TARGETS[name].kind == "StdStar" else _SUPERNOVA_H
        chance = generator(preset.seed, plan.night, "schedule", index)
        ha_h = float(chance.uniform(*reach) * chance.choice((-1, 1)))
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


def _guiding(
    preset: Preset, plan: NightPlan, run: int, start_h: float, exptime_s: float
) -> Guiding:
    """Return what the guider saw; its star fades with the clouds."""
    if exptime_s < _UNGUIDED_S:
        return Guiding(guide=0)
    clouds = make_clouds(preset.seed, plan.night, plan.photometric)
    chance = generator(preset.seed, plan.night, run, "guide")
    times = start_h + np.linspace(0, exptime_s, 20) / 3600
    seen = np.interp(times, clouds.hours, clouds.transparency)
    seen = seen * (1 + 0.01 * chance.standard_normal(20))
    flux = 0.3 * 10 ** (-0.4 * chance.uniform(-1, 1.5))
    return Guiding(
        guide=1,
        guide_s=round(float(max(0.0, 1 - 4 * seen.std() / seen.mean())), 3),
        guide_f=round(float(flux * seen.mean()), 4),
        guide_x=round(float(chance.uniform(2200, 2900)), 1),
    )


def night_frames(preset: Preset, plan: NightPlan) -> tuple[Frame, ...]:
    """Return all frames of a night in order of time, before faults."""
    spectral = [channel for channel in preset.channels if channel != "P"]
    frames: list[Frame] = []
    for run, (name, start_h) in enumerate(_start_times(preset, plan), 1):
        frames.extend(_run_frames(preset, plan, run, TARGETS[name], start_h))
    return (*frames, *_calibrations(plan, spectral))


def _run_frames(
    preset: Preset, plan: NightPlan, run: int, target: Target, start_h: float
) -> list[Frame]:
    """Return a run's frames: continuum, acquisition, object and arc."""
    spectral = [channel for channel in preset.channels if channel != "P"]
    photometric = [channel for channel in preset.channels if channel == "P"]
    kind = "StdStar" if target.kind == "StdStar" else "FinalRef" * plan.final_reference
    exposures = (
        (1, 7, spectral, max(_LAMP_S[7, channel] for channel in spectral)),
        (2, 17, photometric, _ACQUISITION_S),
        (3, 17, [*spectral, *photometric], target.exptime_s),
        (4, 3, spectral, max(_LAMP_S[3, channel] for channel in spectral)),
    )
    frames: list[Frame] = []
    time_h = start_h
    for exposure, fclass, channels, exptime_s in exposures:
        middle = julian_date(plan.night) + (time_h + exptime_s / 7200) / 24
        airmass, parang_deg, ha_h = pointing(target, middle)
        guided = exposure == OBJECT_EXPOSURE
        frames.extend(
            Frame(
                night=plan.night,
                run=run,
                exposure=exposure,
                fclass=fclass,
                channel=channel,
                target=target.name,
                run_kind=kind,
                run_type="SPECTRED",
                filter="mf" if channel == "P" else "",
                start_h=time_h,
                exptime_s=_LAMP_S.get((fclass, channel), exptime_s),
                airmass=airmass,
                parang_deg=parang_deg,
                ha_h=ha_h,
                guiding=_guiding(preset, plan, run, time_h, exptime_s) if guided else Guiding(),
            )
            for channel in channels
        )
        time_h += (exptime_s + _PAUSE_S) / 3600
    return frames


def _calibrations(plan: NightPlan, channels: list[str]) -> list[Frame]:
    """Return the biases and darks at the end of the night."""
    series = (
        (_CALIBRATION_RUN, 24, plan.biases, 0.0),
        (_CALIBRATION_RUN + 1, 25, plan.darks, _DARK_S),
    )
    frames: list[Frame] = []
    time_h = _CALIBRATION_H
    for run, fclass, count, exptime_s in series:
        for exposure in range(1, count + 1):
            frames.extend(
                Frame(
                    night=plan.night,
                    run=run,
                    exposure=exposure,
                    fclass=fclass,
                    channel=channel,
                    target="",
                    run_kind="Calib",
                    run_type="",
                    filter="",
                    start_h=time_h,
                    exptime_s=exptime_s,
                    airmass=1.0,
                    parang_deg=0.0,
                    ha_h=0.0,
                )
                for channel in channels
            )
            time_h += (exptime_s + _PAUSE_S) / 3600
    return frames
