"""One spectroscopic frame: what shines, what the air and the optics make of it, and its truth."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from snfpipe.simulate import spectra
from snfpipe.simulate.atmosphere import Air, make_air, refraction_shift, transmission
from snfpipe.simulate.detector import expose, make_chip, make_levels
from snfpipe.simulate.instrument import LENSES, SETUPS, SPAXEL, Array, Setup, passband, throughput
from snfpipe.simulate.layouts import layout_of, stored
from snfpipe.simulate.optics import (
    Flat,
    Geometry,
    light_between,
    make_flat,
    make_geometry,
    project,
    spread_lines,
    stray_light,
)
from snfpipe.simulate.presets import TARGETS, NightPlan, Preset, Target
from snfpipe.simulate.psf import Host, host_parts, point_parts
from snfpipe.simulate.randomness import generator
from snfpipe.simulate.scene import Conditions, host_of, make_conditions, mirror, object_flux
from snfpipe.simulate.schedule import Frame

#: Brightest pixel of lamp frames, e-.
_CONTINUUM_PEAK = 24000.0
_ARC_PEAK = 30000.0
_HOST_KNOTS = 28
_MAX_POINT_KNOTS = 320


@dataclass(frozen=True, slots=True)
class Made:
    """The images of a frame's file and what is known of it."""

    images: list[NDArray[np.uint16]]
    truth: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Grid:
    """The even wavelengths on which spectra are made, and the response of the mean lens."""

    setup: Setup
    wavelength: Array
    response: Array

    def truth(self, density: Array) -> list[float]:
        """Return the means of a spectrum over the cube's bins, in six digits."""
        bins = self.setup.bins()
        edges = np.append(bins - self.setup.step / 2, bins[-1] + self.setup.step / 2)
        return digits(light_between(self.wavelength, density, edges) / self.setup.step)


def digits(values: Array, count: int = 6) -> list[float]:
    """Return numbers for the truth file: floats of `count` significant digits."""
    return [float(f"{value:.{count}g}") for value in np.ravel(values)]


def _grid(setup: Setup, flat: Flat) -> _Grid:
    """Return the grid of a channel: eight cells a row, over a bit more than its range."""
    step = setup.step / 8
    wavelength = np.arange(setup.first - 8 * setup.step, setup.last + 8 * setup.step, step)
    response = throughput(setup.channel, wavelength) * passband(setup, wavelength)
    return _Grid(setup, wavelength, response * flat.mean_response(wavelength))


def make_frame(preset: Preset, plan: NightPlan, frame: Frame) -> Made:
    """Return a frame of channel B or R.

    Parameters
    ----------
    preset, plan
        The survey and the night.
    frame : Frame
        A frame of the night's list.
    """
    seed, channel, size = preset.seed, frame.channel, preset.size
    setup = SETUPS[channel, size]
    chance = generator(seed, *frame.key, "pixels")
    image, truth = expected_image(preset, plan, frame)
    if setup.turned:
        image = np.ascontiguousarray(image[::-1, ::-1])
    offset = float(generator(seed, frame.night, channel, "bias").normal(0, 15))
    levels = make_levels(chance, offset, channel)
    chip = make_chip(seed, channel, size)
    layout = layout_of(preset.layout, channel, frame.run, frame.exposure)
    strips, tracks = expose(image, chip, levels, channel, frame.exptime_s, chance, layout)
    truth |= {"light": frame.light, "bias_adu": digits(np.array(levels.amplifiers)),
              "drift_adu": round(levels.drift, 4), "cosmic_tracks": tracks}  # fmt: skip
    return Made(stored(layout, strips, frame.raster), truth)


def expected_image(
    preset: Preset, plan: NightPlan, frame: Frame
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Return the photo-electrons expected in each pixel of a frame, assembled, and their truth."""
    seed, channel, size = preset.seed, frame.channel, preset.size
    setup = SETUPS[channel, size]
    truth: dict[str, Any] = {}
    if frame.fclass in (24, 25):
        return np.zeros((setup.ny, setup.nx), dtype=np.float32), truth
    geometry = make_geometry(seed, frame.night, channel, size)
    flat = make_flat(seed, channel, size)
    grid = _grid(setup, flat)
    if frame.fclass == 17:
        light, truth = _object_light(preset, plan, frame, geometry, flat, grid)
    else:
        light = _lamp_light(frame, geometry, flat, grid)
    # Splines and Fourier transforms leave a trace below zero.
    image = np.maximum(project(geometry, frame.light * light), 0)
    return image + stray_light(image), truth


def _lamp_light(frame: Frame, geometry: Geometry, flat: Flat, grid: _Grid) -> Array:
    """Return the electrons of a lamp in each row of each lens; lamps fill all lenses evenly."""
    setup, wavelength = grid.setup, grid.wavelength
    peak_column = float(geometry.profile.max())
    if frame.fclass == 7:
        density = spread_lines(setup, wavelength, spectra.lamp_shape(wavelength) * grid.response)
        density *= _CONTINUUM_PEAK / peak_column / setup.step / density.max()
    else:
        sigma = setup.line_sigma * setup.step
        density = spectra.arc_density(frame.channel, wavelength, sigma)
        # Lamps are set so that lines of strength 1 reach the wanted level; the response then
        # dims those at the edges of the range.
        peak = 1 / (sigma * np.sqrt(2 * np.pi))
        shape = grid.response / grid.response.max()
        density *= np.sqrt(shape) * _ARC_PEAK / peak_column / setup.step / peak
    light = light_between(wavelength, density, geometry.edges)
    return light * flat.relative(geometry.wavelength)


def _at_rows(geometry: Geometry, knots: Array, parts: Array) -> Array:
    """Interpolate (225, knots) values on even `knots` to the wavelengths of each lens's rows."""
    place = (geometry.wavelength - knots[0]) / (knots[1] - knots[0])
    place = np.clip(place, 0, knots.size - 1.000001)
    cell = place.astype(np.int64)
    rest = place - cell
    lens = np.arange(LENSES)[:, None]
    values: Array = parts[lens, cell] * (1 - rest) + parts[lens, cell + 1] * rest
    return values


def _object_light(
    preset: Preset, plan: NightPlan, frame: Frame, geometry: Geometry, flat: Flat, grid: _Grid
) -> tuple[Array, dict[str, Any]]:
    """Return the electrons of an object frame in each row of each lens, and their truth."""
    setup, wavelength = grid.setup, grid.wavelength
    air = make_air(preset.seed, frame.night)
    sight = make_conditions(preset, plan, frame)
    target = TARGETS[frame.target]
    jd_middle = frame.jd + frame.exptime_s / 2 / 86400
    through = grid.response * frame.exptime_s * mirror(preset.seed, frame.night)
    clear = transmission(air, wavelength, frame.airmass) * sight.transparency

    flux = frame.star * object_flux(target, jd_middle, wavelength)
    point = spectra.collected(flux, wavelength) * clear * through
    glow = spectra.sky_flux(wavelength, frame.airmass, sight.moon)
    sky = spectra.collected(glow * SPAXEL**2, wavelength) * through

    # A knot every row is enough for refraction and seeing at both sizes.
    ends = setup.first - 4 * setup.step, setup.last + 4 * setup.step
    count = min(int((ends[1] - ends[0]) / setup.step), _MAX_POINT_KNOTS)
    knots = np.linspace(*ends, count)
    x, y = _positions(air, sight, frame, knots)
    parts = point_parts(sight.psf, knots, x, y)
    point_blurred = spread_lines(setup, wavelength, point)
    sky_blurred = spread_lines(setup, wavelength, sky)
    light = light_between(wavelength, point_blurred, geometry.edges)
    light *= _at_rows(geometry, knots, parts)
    light += light_between(wavelength, sky_blurred, geometry.edges)

    truth: dict[str, Any] = {
        "target": target.name,
        "airmass": round(frame.airmass, 6),
        "parang_deg": round(frame.parang_deg, 5),
        "exptime_s": frame.exptime_s,
        "jd_middle": round(jd_middle, 6),
        "transparency": round(sight.transparency, 6),
        "moon": round(sight.moon, 4),
        "x_spaxel": round(sight.x, 6),
        "y_spaxel": round(sight.y, 6),
        "psf": {name: round(value, 6) for name, value in sight.psf.as_dict().items()},
        "adr": {"delta": round(float(np.sqrt(frame.airmass**2 - 1)), 6),
                "theta_deg": round(frame.parang_deg, 5)},
        "flux": grid.truth(flux),
        "point": grid.truth(point),
        "point_blurred": grid.truth(point_blurred),
        "sky": grid.truth(sky),
        "sky_blurred": grid.truth(sky_blurred),
    }  # fmt: skip
    host = host_of(target)
    if host is not None and target.redshift is not None:
        light_host, truth_host = _host_light(
            air, sight, frame, host, target, geometry, grid, clear * through
        )
        light += light_host
        truth |= truth_host
    return light * flat.relative(geometry.wavelength), truth


def _positions(air: Air, sight: Conditions, frame: Frame, wavelength: Array) -> tuple[Array, Array]:
    """Return where the point source lies at each wavelength, spaxels."""
    dx, dy = refraction_shift(air, wavelength, frame.airmass, frame.parang_deg)
    return sight.x + dx, sight.y + dy


def _host_light(
    air: Air, sight: Conditions, frame: Frame, host: Host, target: Target, geometry: Geometry,
    grid: _Grid, through: Array,
) -> tuple[Array, dict[str, Any]]:  # fmt: skip
    """Return a host's electrons in each row of each lens, and its truth."""
    setup, wavelength = grid.setup, grid.wavelength
    flux = spectra.host_flux(host.mag, target.redshift or 0.0, wavelength)
    flux = flux * spectra.dust(target.mwebv, wavelength)
    density = spectra.collected(flux, wavelength) * through
    ends = setup.first - 4 * setup.step, setup.last + 4 * setup.step
    # Refraction goes with 1/wavelength^2 rather than with wavelength; so do the few knots.
    few = np.linspace(ends[0] ** -2.0, ends[1] ** -2.0, _HOST_KNOTS) ** -0.5
    x, y = _positions(air, sight, frame, few)
    knots = np.linspace(*ends, _MAX_POINT_KNOTS)
    parts: Array = CubicSpline(few, host_parts(sight.psf, host, few, x, y), axis=1)(knots)
    blurred = spread_lines(setup, wavelength, density)
    light = light_between(wavelength, blurred, geometry.edges)
    light *= _at_rows(geometry, knots, parts)
    return light, {"host": asdict(host), "host_total": grid.truth(density)}


def night_truth(preset: Preset, plan: NightPlan) -> dict[str, Any]:
    """Return what a night's frames share: air, clouds, response, geometry, lenses, detectors."""
    seed, size = preset.seed, preset.size
    air = make_air(seed, plan.night)
    channels: dict[str, Any] = {}
    for channel in (letter for letter in preset.channels if letter != "P"):
        setup = SETUPS[channel, size]
        geometry, flat = (
            make_geometry(seed, plan.night, channel, size),
            make_flat(seed, channel, size),
        )
        chip = make_chip(seed, channel, size)
        grid = _grid(setup, flat)
        bins = setup.bins()
        rows = np.linspace(0.15, 0.85, 5) * geometry.rows
        pick = rows.astype(int)
        channels[channel] = {
            "bins": {"start": bins[0], "step": setup.step, "count": bins.size},
            "throughput": grid.truth(grid.response * mirror(seed, plan.night)),
            "shift_rows": round(geometry.shift, 5),
            "line_sigma_rows": setup.line_sigma,
            "trace_rows": pick.tolist(),
            "trace_column": [digits(line, 7) for line in geometry.centre[:, pick]],
            "trace_wavelength": [digits(line, 8) for line in geometry.wavelength[:, pick]],
            "flat_level": digits(flat.level),
            "flat_tilt": digits(flat.tilt),
            "dichroic_shift": digits(flat.edge_shift),
            "bad_columns": [list(place) for place in chip.bad_columns],
        }
    return {
        "night": plan.night,
        "photometric": plan.photometric,
        "faults": list(plan.faults),
        "air": {name: round(value, 6) for name, value in asdict(air).items()},
        "mirror": round(mirror(seed, plan.night), 6),
        "channels": channels,
    }
