"""The air over Mauna Kea: extinction, telluric bands, clouds and differential refraction."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np

from snfpipe.simulate.instrument import REFERENCE, SPAXEL, Array
from snfpipe.simulate.randomness import generator

PRESSURE = 616.0  #: mbar, mean of the site
WATER_VAPOUR = 8.0  #: mm of mercury, for the refractive index

_MAG = 2.5 / np.log(10)  # magnitudes of an optical depth of 1

# Telluric bands: centre and width (Angstrom), optical depth at zenith, skew to the red.  Shapes
# and depths are a simple model: a steep blue side and a red tail, as at low resolution.
_BANDS = {
    "O2": (
        (6278.0, 9.0, 0.035, 1.8),
        (6869.0, 5.0, 0.22, 6.0),
        (7596.0, 8.0, 0.55, 5.0),
        (7630.0, 14.0, 0.35, 2.0),
    ),
    "H2O": (
        (5920.0, 20.0, 0.012, 1.5),
        (6510.0, 25.0, 0.010, 1.0),
        (7190.0, 22.0, 0.085, 2.5),
        (7270.0, 30.0, 0.040, 1.0),
        (8165.0, 25.0, 0.090, 2.0),
        (8240.0, 40.0, 0.070, 1.0),
        (8980.0, 35.0, 0.120, 2.0),
        (9160.0, 50.0, 0.100, 1.0),
        (9370.0, 60.0, 0.420, 1.5),
        (9550.0, 60.0, 0.230, 2.0),
    ),
}
#: Power of the airmass by which a band's optical depth grows (1: unsaturated lines).
AIRMASS_POWER = {"O2": 0.58, "H2O": 0.62}


@dataclass(frozen=True, slots=True)
class Air:
    """The air of one night.

    Attributes
    ----------
    ozone : float
        Ozone column, Dobson units.
    aerosol, angstrom : float
        Aerosol optical depth at one micron and its Angstrom exponent.
    oxygen, water : float
        Strength of the telluric bands; 1 is the model's own.
    pressure, temperature : float
        mbar and degrees Celsius.
    """

    ozone: float
    aerosol: float
    angstrom: float
    oxygen: float
    water: float
    pressure: float
    temperature: float


def make_air(seed: int, night: str) -> Air:
    """Return the air of a night, varying about the site's means (Buton et al. 2013)."""
    chance = generator(seed, night, "air")
    return Air(
        ozone=float(np.clip(chance.normal(257, 20), 200, 320)),
        aerosol=float(0.0076 * np.exp(np.clip(chance.normal(0, 0.3), -0.7, 0.7))),
        angstrom=float(np.clip(chance.normal(1.26, 0.3), 0.5, 2.2)),
        oxygen=float(chance.uniform(0.95, 1.05)),
        water=float(chance.uniform(0.4, 1.6)),
        pressure=round(float(chance.normal(PRESSURE, 1.0)), 2),
        temperature=round(float(chance.normal(2.0, 2.0)), 2),
    )


@lru_cache(maxsize=1)
def _ozone_table() -> tuple[Array, Array]:
    """Return (wavelength, mag an airmass a Dobson unit) of the shipped table."""
    with (files("snfpipe.simulate") / "data" / "ozone.npz").open("rb") as file:
        table = np.load(file)
        return table["wavelength"], table["mag_per_dobson"]


def extinction(air: Air, wavelength: Array) -> Array:
    """Return magnitudes an airmass: Rayleigh (Hansen & Travis 1974), ozone and aerosol."""
    micron = wavelength / 1e4
    depth = 0.008569 * micron**-4 * (1 + 0.0113 * micron**-2 + 0.00013 * micron**-4)
    rayleigh = _MAG * depth * air.pressure / 1013.25
    ozone = air.ozone * np.interp(wavelength, *_ozone_table())
    aerosol = _MAG * air.aerosol * micron**-air.angstrom
    curve: Array = rayleigh + ozone + aerosol
    return curve


def telluric(air: Air, wavelength: Array, airmass: float) -> Array:
    """Return the transmission of the oxygen and water bands."""
    total = np.zeros_like(wavelength)
    for gas, strength in (("O2", air.oxygen), ("H2O", air.water)):
        depth = np.zeros_like(wavelength)
        for centre, width, peak, skew in _BANDS[gas]:
            distance = wavelength - centre
            sigma = np.where(distance > 0, skew * width, width)
            depth += peak * np.exp(-0.5 * (distance / sigma) ** 2)
        total += strength * airmass ** AIRMASS_POWER[gas] * depth
    transmission: Array = np.exp(-total)
    return transmission


def transmission(air: Air, wavelength: Array, airmass: float) -> Array:
    """Return the transmission of the clear air at an airmass."""
    clear: Array = 10 ** (-0.4 * airmass * extinction(air, wavelength))
    return clear * telluric(air, wavelength, airmass)


def refractivity(air: Air, wavelength: Array | float) -> Array:
    """Return n - 1 of the air by the formulas of Filippenko (1982)."""
    wave2 = (np.asarray(wavelength, dtype=float) / 1e4) ** -2
    sea_level = 64.328 + 29498.1 / (146 - wave2) + 255.4 / (41 - wave2)
    pressure, temperature = air.pressure * 0.750061683, air.temperature  # mm of mercury, deg C
    scaled = sea_level * pressure * (1 + (1.049 - 0.0157 * temperature) * 1e-6 * pressure)
    scaled /= 720.883 * (1 + 0.003661 * temperature)
    water = (0.0624 - 0.000680 * wave2) * WATER_VAPOUR / (1 + 0.003661 * temperature)
    return np.asarray(1e-6 * (scaled - water))


def refraction_shift(
    air: Air, wavelength: Array, airmass: float, parallactic_deg: float
) -> tuple[Array, Array]:
    """Return how far (x, y), in spaxels, the air moves an image against its place at 5000 A.

    Blue images lie towards the zenith, whose direction is (sin q, cos q) for parallactic angle q.
    """
    tangent = np.sqrt(airmass**2 - 1)
    index = refractivity(air, wavelength) - refractivity(air, REFERENCE)
    shift = 206265.0 * index * tangent / SPAXEL
    angle = np.radians(parallactic_deg)
    return shift * np.sin(angle), shift * np.cos(angle)


@dataclass(frozen=True, slots=True)
class Sky:
    """A night's transparency in time: 1 under a clear sky.

    Attributes
    ----------
    hours : ndarray
        UT, one a minute.
    transparency : ndarray
        Grey transmission of the clouds at these times.
    """

    hours: Array
    transparency: Array

    def mean(self, start_h: float, exptime_s: float) -> float:
        """Return the mean transparency of an exposure that starts at `start_h` UT hours."""
        times = start_h + np.linspace(0, max(exptime_s, 1.0), 32) / 3600
        return float(np.interp(times, self.hours, self.transparency).mean())


def make_clouds(seed: int, night: str, photometric: bool) -> Sky:
    """Return the clouds of a night: none, or an absorption correlated over half an hour."""
    chance = generator(seed, night, "clouds")
    hours = np.arange(3.0, 18.0, 1 / 60)
    if photometric:
        return Sky(hours, np.ones_like(hours))
    memory = np.exp(-1 / 30)
    kicks = chance.standard_normal(hours.size) * np.sqrt(1 - memory**2)
    wave = np.empty_like(hours)
    state = chance.standard_normal()
    for minute, kick in enumerate(kicks):
        state = memory * state + kick
        wave[minute] = state
    absorption_mag = 0.25 * np.exp(0.6 * wave - 0.18)
    return Sky(hours, 10 ** (-0.4 * absorption_mag))
