"""One frame of the photometric channel: a star field behind five filters side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snfpipe.simulate import spectra
from snfpipe.simulate.atmosphere import make_air, transmission
from snfpipe.simulate.detector import expose, make_chip, make_levels
from snfpipe.simulate.exposure import Made, digits
from snfpipe.simulate.instrument import P_SHAPE, SPAXEL, Array, Size
from snfpipe.simulate.layouts import layout_of, stored
from snfpipe.simulate.presets import NightPlan, Preset
from snfpipe.simulate.randomness import generator
from snfpipe.simulate.scene import make_conditions, mirror
from snfpipe.simulate.schedule import Frame

PIXEL = 0.137  #: arcsec, at full size
_EFFICIENCY = 0.25


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter: its place on the full chip, 1-based and inclusive, and its band, Angstrom."""

    name: str
    x: tuple[int, int]
    y: tuple[int, int]
    centre: float
    width: float


#: Real places; bands are invented, since the real curves are not public.
FILTERS = (
    Filter("f1", (1, 2048), (1, 686), 3750.0, 500.0),
    Filter("f2", (1, 772), (1192, 2393), 4750.0, 900.0),
    Filter("f3", (1277, 2048), (1192, 2393), 5600.0, 900.0),
    Filter("f4", (1, 772), (2899, 4096), 6700.0, 1200.0),
    Filter("f5", (773, 2048), (2899, 4096), 8300.0, 1500.0),
)


@dataclass(frozen=True, slots=True)
class Star:
    """A star of a field: place on the full chip (0-based pixels), V magnitude, temperature."""

    x: float
    y: float
    mag: float
    temperature: float


def star_field(seed: int, target: str) -> tuple[Star, ...]:
    """Return the field of a target: 25 to 80 stars, each within a filter."""
    chance = generator(seed, "field", target)
    count = int(chance.integers(25, 81))
    area = np.array([(f.x[1] - f.x[0]) * (f.y[1] - f.y[0]) for f in FILTERS], dtype=float)
    stars = []
    for place in chance.choice(len(FILTERS), count, p=area / area.sum()):
        region = FILTERS[place]
        stars.append(
            Star(
                float(chance.uniform(region.x[0] + 25, region.x[1] - 25)),
                float(chance.uniform(region.y[0] + 25, region.y[1] - 25)),
                float(19.5 - chance.exponential(1.5)),
                float(chance.uniform(3800, 7500)),
            )
        )
    return tuple(stars)


def filter_at(x: float, y: float) -> Filter | None:
    """Return the filter over a place of the full chip (0-based), or None between filters."""
    for one in FILTERS:
        if one.x[0] <= x + 1 <= one.x[1] and one.y[0] <= y + 1 <= one.y[1]:
            return one
    return None


def _electrons(flux: Array, wavelength: Array) -> float:
    """Return electrons a second of a flux over a filter's band."""
    photons = spectra.collected(flux, wavelength)
    return float(photons.mean() * (wavelength[-1] - wavelength[0]) * _EFFICIENCY)


def _star_flux(star: Star, wavelength: Array) -> Array:
    """Return a star's flux: a black body through its V magnitude."""
    shape = wavelength**-5.0 / np.expm1(1.4388e8 / (wavelength * star.temperature))
    at_v = 5500**-5.0 / np.expm1(1.4388e8 / (5500 * star.temperature))
    flux: Array = float(spectra.ab_flux(star.mag, 5500.0)) * shape / at_v
    return flux


def make_photometric(preset: Preset, plan: NightPlan, frame: Frame) -> Made:
    """Return a frame of channel P; its parameters are those of :func:`.exposure.make_frame`."""
    seed, size = preset.seed, preset.size
    nx, ny = P_SHAPE[size]
    shrink = nx / P_SHAPE["full"][0]
    pixel = PIXEL / shrink / SPAXEL  # side of a pixel in spaxels
    chance = generator(seed, *frame.key, "pixels")
    air = make_air(seed, frame.night)
    sight = make_conditions(preset, plan, frame)
    # The field's place differs from visit to visit, and turns a little; not within a run.
    visit = generator(seed, frame.night, frame.run, "visit")
    dx, dy = visit.uniform(-12, 12, 2)
    turn = np.radians(visit.uniform(-0.05, 0.05))
    scale = frame.exptime_s * mirror(seed, frame.night) * frame.light

    image = np.zeros((ny, nx), dtype=np.float32)
    for one in FILTERS:
        band = _band(one)
        glow = spectra.sky_flux(band, frame.airmass, sight.moon) * (pixel * SPAXEL) ** 2
        image[_region(one, size)] = _electrons(glow, band) * scale
    gradient = 1 + 0.05 * sight.moon * np.linspace(-0.5, 0.5, nx, dtype=np.float32)
    image *= gradient[None, :]

    stars = []
    for star in star_field(seed, frame.target):
        x0, y0 = star.x - 1024, star.y - 2048
        x = x0 * np.cos(turn) - y0 * np.sin(turn) + 1024 + dx
        y = x0 * np.sin(turn) + y0 * np.cos(turn) + 2048 + dy
        one_or_none = filter_at(x, y)
        if one_or_none is None:
            continue
        band = _band(one_or_none)
        seen = _star_flux(star, band) * transmission(air, band, frame.airmass)
        light = _electrons(seen, band) * scale * sight.transparency
        x_pixel, y_pixel = (x + 0.5) * shrink - 0.5, (y + 0.5) * shrink - 0.5
        _add_star(image, sight.psf.density, float(sight.psf.alpha(one_or_none.centre)),
                  pixel, x_pixel, y_pixel, light)  # fmt: skip
        stars.append([one_or_none.name, *digits(np.array([x_pixel, y_pixel, light]))])
    night_offset = float(generator(seed, frame.night, "P", "bias").normal(0, 15))
    levels = make_levels(chance, night_offset, "P")
    chip = make_chip(seed, "P", size)
    layout = layout_of(preset.layout, "P", frame.run, frame.exposure)
    strips, tracks = expose(image, chip, levels, "P", frame.exptime_s, chance, layout)
    truth: dict[str, Any] = {
        "target": frame.target,
        "airmass": round(frame.airmass, 6),
        "exptime_s": frame.exptime_s,
        "transparency": round(sight.transparency, 6),
        "moon": round(sight.moon, 4),
        "psf": {name: round(value, 6) for name, value in sight.psf.as_dict().items()},
        "turn_rad": round(float(turn), 8),
        "shift_pixel": digits(np.array([dx * shrink, dy * shrink])),
        "stars": stars,
        "bias_adu": digits(np.array(levels.amplifiers)),
        "cosmic_tracks": tracks,
    }
    return Made(stored(layout, strips, frame.raster), truth)


def _band(one: Filter) -> Array:
    """Return wavelengths over a filter's band."""
    return np.linspace(one.centre - one.width / 2, one.centre + one.width / 2, 41)


def _region(one: Filter, size: Size) -> tuple[slice, slice]:
    """Return a filter's rows and columns at a size."""
    shrink = P_SHAPE[size][0] / P_SHAPE["full"][0]
    rows = slice(round((one.y[0] - 1) * shrink), round(one.y[1] * shrink))
    return rows, slice(round((one.x[0] - 1) * shrink), round(one.x[1] * shrink))


def _add_star(
    image: NDArray[np.float32], density: Any, alpha: float, pixel: float, x: float, y: float,
    light: float,
) -> None:  # fmt: skip
    """Add a star of `light` electrons at (x, y), both in pixels of side `pixel` spaxels."""
    ny, nx = image.shape
    reach = int(np.ceil(14 / pixel))
    column, row = round(x), round(y)
    low_x, high_x = max(0, column - reach), min(nx, column + reach + 1)
    low_y, high_y = max(0, row - reach), min(ny, row + reach + 1)
    parts = (np.arange(3) - 1) / 3
    xs = (np.arange(low_x, high_x)[:, None] + parts - x).ravel() * pixel
    ys = (np.arange(low_y, high_y)[:, None] + parts - y).ravel() * pixel
    fine = density(xs[None, :], ys[:, None], np.float64(alpha)) * pixel**2
    stamp = fine.reshape(high_y - low_y, 3, high_x - low_x, 3).mean(axis=(1, 3))
    image[low_y:high_y, low_x:high_x] += (light * stamp).astype(np.float32)
