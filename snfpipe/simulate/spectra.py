"""Spectra of what shines: standards, supernovae, galaxies, the sky, lamps; and Galactic dust.

Fluxes are in erg/s/cm2/Angstrom at the top of the atmosphere, wavelengths in Angstrom as observed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from scipy.interpolate import CubicSpline, RectBivariateSpline

from snfpipe.simulate.instrument import COLLECTING_AREA, Array

#: Photons in an erg at one Angstrom: 1 / (h c).
PHOTONS = 1 / 1.98644586e-8
RV = 3.1


def collected(flux: Array, wavelength: Array) -> Array:
    """Return photons/s/Angstrom on the mirror of a flux."""
    photons: Array = flux * wavelength * PHOTONS * COLLECTING_AREA
    return photons


@lru_cache(maxsize=4)
def _table(name: str) -> dict[str, Array]:
    """Return the arrays of a shipped table."""
    with (files("snfpipe.simulate") / "data" / f"{name}.npz").open("rb") as file:
        table = np.load(file)
        return {key: table[key].astype(float) for key in table.files}


def standards() -> tuple[str, ...]:
    """Return the names of the standards that have a table."""
    return tuple(name for name in _table("standards") if name != "wavelength")


def standard_flux(name: str, wavelength: Array) -> Array:
    """Return a standard's flux from its table (see the data folder's README)."""
    table = _table("standards")
    return np.interp(wavelength, table["wavelength"], table[name])


# Fitzpatrick (1999), optical and infrared knots for R_V = 3.1: inverse microns, A(l)/E(B-V).
_F99_X = np.array([0, 1e4 / 26500, 1e4 / 12200, 1e4 / 6000, 1e4 / 5470, 1e4 / 4670, 1e4 / 4110,
                   1e4 / 2700, 1e4 / 2600])  # fmt: skip
_F99_A = np.array([0, 0.265, 0.829, 2.688, 3.055, 3.806, 4.315, 6.265, 6.591])


def dust(mwebv: float, wavelength: Array) -> Array:
    """Return the transmission of the Milky Way's dust, law of Fitzpatrick (1999), R_V 3.1."""
    law = CubicSpline(_F99_X, _F99_A, bc_type="natural")
    transmission: Array = 10 ** (-0.4 * mwebv * law(1e4 / wavelength))
    return transmission


@dataclass(frozen=True, slots=True)
class Supernova:
    """A SALT3 supernova: redshift, date of B maximum (JD), amplitude, stretch and colour."""

    z: float
    t0_jd: float
    x0: float
    x1: float
    c: float

    def as_dict(self) -> dict[str, float]:
        """Return the parameters by name."""
        return asdict(self)


@lru_cache(maxsize=1)
def _salt3_splines() -> tuple[RectBivariateSpline, RectBivariateSpline]:
    """Return the surfaces M0 and M1 over (phase, rest wavelength)."""
    table = _table("salt3")
    phase, wave = table["phase"], table["wavelength"]
    return (RectBivariateSpline(phase, wave, table["m0"], s=0),
            RectBivariateSpline(phase, wave, table["m1"], s=0))  # fmt: skip


_SALT_UNIT = 1e-12  # erg/s/cm2/Angstrom, unit of the model's surfaces
_B_BAND, _V_BAND = 4302.57, 5428.55  # the wavelengths between which SALT's colour law is 0 and -1


def salt_color_law(wavelength: Array) -> Array:
    """Return SALT's colour law in magnitudes a unit of c (Guy et al. 2007), rest wavelengths."""
    table = _table("salt3")
    low, high = (table["color_range"] - _B_BAND) / (_V_BAND - _B_BAND)
    middle = table["color"]
    law = np.polynomial.Polynomial([0.0, 1 - middle.sum(), *middle])
    x = (wavelength - _B_BAND) / (_V_BAND - _B_BAND)
    slope = law.deriv()
    value = np.where(
        x < low,
        law(low) + slope(low) * (x - low),
        np.where(x > high, law(high) + slope(high) * (x - high), law(x)),
    )
    return -value


def supernova_flux(supernova: Supernova, jd: float, wavelength: Array) -> Array:
    """Return a supernova's flux at a date, without dust; 0 outside the model's phases."""
    phases = _table("salt3")["phase"]
    phase = (jd - supernova.t0_jd) / (1 + supernova.z)
    if not phases[0] <= phase <= phases[-1]:
        return np.zeros_like(wavelength)
    rest = wavelength / (1 + supernova.z)
    m0, m1 = (surface([phase], rest)[0] for surface in _salt3_splines())
    light = _SALT_UNIT * supernova.x0 * (m0 + supernova.x1 * m1)
    light *= 10 ** (-0.4 * supernova.c * salt_color_law(rest)) / (1 + supernova.z)
    flux: Array = np.maximum(light, 0)
    return flux


def ab_flux(mag: float, wavelength: Array | float) -> Array:
    """Return the flux of an AB magnitude (Oke & Gunn 1983)."""
    return np.asarray(10 ** (-0.4 * (mag + 2.408)) / np.asarray(wavelength, dtype=float) ** 2)


# A spiral galaxy's light, invented: (wavelength, width, depth) of absorptions in the continuum
# and (wavelength, width, equivalent width) of emissions, rest frame.
_GALAXY_ABSORPTIONS = ((3934, 10, 0.35), (3969, 10, 0.35), (4304, 14, 0.20), (4861, 8, 0.10),
                       (5175, 20, 0.15), (5893, 8, 0.10), (8542, 8, 0.10),
                       (8662, 8, 0.08))  # fmt: skip
_GALAXY_EMISSIONS = ((3727, 4, 8.0), (4861, 4, 3.0), (4959, 4, 1.2), (5007, 4, 3.6),
                     (6563, 4, 14.0), (6583, 4, 5.0), (6717, 4, 3.0), (6731, 4, 2.2))  # fmt: skip


def host_flux(mag: float, z: float, wavelength: Array) -> Array:
    """Return a host galaxy's total flux; `mag` is its AB magnitude at 5500 A observed."""
    rest = wavelength / (1 + z)
    shape = (rest / 5500) ** -0.6 * (0.72 + 0.28 * np.tanh((rest - 3950) / 120))
    for centre, width, depth in _GALAXY_ABSORPTIONS:
        shape = shape * (1 - depth * np.exp(-0.5 * ((rest - centre) / width) ** 2))
    lines = np.zeros_like(rest)
    for centre, width, strength in _GALAXY_EMISSIONS:
        peak = strength / (width * np.sqrt(2 * np.pi))
        lines += peak * np.exp(-0.5 * ((rest - centre) / width) ** 2)
    scale = float(ab_flux(mag, 5500.0)) * (5500 / (1 + z) / 5500) ** 0.6
    flux: Array = scale * shape * (1 + lines)
    return flux


# Night-sky emission over Mauna Kea: (wavelength, flux in 1e-17 erg/s/cm2/arcsec2), rounded.
_SKY_LINES = ((4046.6, 1.0), (4358.3, 2.0), (5199.0, 1.5), (5460.7, 1.5), (5577.3, 22.0),
              (5890.0, 4.0), (5895.9, 2.5), (6300.3, 12.0), (6363.8, 4.0), (6498.7, 2.0),
              (6533.0, 2.5), (6863.9, 4.0), (6923.2, 5.0), (7276.4, 9.0), (7316.3, 10.0),
              (7340.9, 9.0), (7571.7, 7.0), (7750.6, 18.0), (7794.1, 18.0), (7821.5, 14.0),
              (7913.7, 20.0), (7964.6, 16.0), (7993.3, 18.0), (8025.8, 12.0), (8344.6, 20.0),
              (8382.4, 16.0), (8399.2, 30.0), (8430.2, 28.0), (8465.4, 26.0), (8505.1, 10.0),
              (8778.3, 22.0), (8827.1, 40.0), (8885.8, 42.0), (8919.6, 36.0), (8958.1, 28.0),
              (9002.0, 10.0), (9375.9, 30.0), (9439.7, 34.0), (9476.9, 22.0), (9552.5, 24.0),
              (9719.8, 16.0), (9872.1, 20.0))  # fmt: skip


def sky_flux(wavelength: Array, airmass: float, moon: float) -> Array:
    """Return the sky's flux an arcsec2 on an even grid.

    Parameters
    ----------
    wavelength : ndarray
        Even grid; lines are put into its cells as areas.
    airmass : float
        The glow grows with it.
    moon : float
        Brightness of moonlight at 4500 A relative to the dark sky's 22.3 mag/arcsec2.
    """
    dark = ab_flux(22.0, wavelength) * (wavelength / 5500) ** 0.9
    moonlight = moon * float(ab_flux(22.3, 4500.0)) * (wavelength / 4500) ** -2.2
    lines = np.zeros_like(wavelength)
    step = wavelength[1] - wavelength[0]
    for centre, flux in _SKY_LINES:
        place = (centre - wavelength[0]) / step
        cell = int(place)
        if 0 <= cell < wavelength.size - 1:
            lines[cell] += flux * (1 - place + cell)
            lines[cell + 1] += flux * (place - cell)
    glow: Array = (dark + 1e-17 * lines / step) * airmass**0.6 + moonlight
    return glow


# Arc lines, air wavelengths as the NIST atomic spectra database gives them; strengths are those
# of our lamps, relative to the brightest.  Only lines strong enough to be told apart are there.
ARC_LINES: dict[str, tuple[tuple[float, float, str], ...]] = {
    "B": ((3261.06, 0.35, "Cd"), (3341.48, 0.25, "Hg"), (3403.65, 0.35, "Cd"),
          (3466.20, 0.45, "Cd"), (3467.66, 0.20, "Cd"), (3610.51, 0.60, "Cd"),
          (3612.87, 0.12, "Cd"), (3650.15, 0.60, "Hg"), (3654.84, 0.20, "Hg"),
          (3663.28, 0.15, "Hg"), (3948.98, 0.15, "Ar"), (4046.56, 0.60, "Hg"),
          (4158.59, 0.25, "Ar"), (4358.33, 1.00, "Hg"), (4510.73, 0.20, "Ar"),
          (4678.15, 0.50, "Cd"), (4799.91, 0.70, "Cd"), (4923.15, 0.20, "Xe"),
          (5085.82, 1.00, "Cd"), (5460.74, 3.00, "Hg")),
    "R": ((5085.82, 1.00, "Cd"), (5460.74, 1.00, "Hg"), (5769.60, 0.35, "Hg"),
          (5790.66, 0.35, "Hg"), (5944.83, 0.50, "Ne"), (6143.06, 0.60, "Ne"),
          (6266.50, 0.40, "Ne"), (6402.25, 1.00, "Ne"), (6506.53, 0.45, "Ne"),
          (6678.28, 0.50, "Ne"), (6929.47, 0.40, "Ne"), (7032.41, 0.70, "Ne"),
          (7245.17, 0.45, "Ne"), (7383.98, 0.60, "Ar"), (7503.87, 0.60, "Ar"),
          (7514.65, 0.40, "Ar"), (7635.11, 0.90, "Ar"), (7723.76, 0.30, "Ar"),
          (7724.21, 0.20, "Ar"), (7948.18, 0.50, "Ar"), (8103.69, 0.50, "Ar"),
          (8115.31, 0.90, "Ar"), (8264.52, 0.50, "Ar"), (8408.21, 0.45, "Ar"),
          (8424.65, 0.70, "Ar"), (8521.44, 0.40, "Ar"), (8667.94, 0.20, "Ar"),
          (9122.97, 0.90, "Ar"), (9224.50, 0.40, "Ar"), (9354.22, 0.20, "Ar"),
          (9657.79, 0.60, "Ar"), (9784.50, 0.30, "Ar")),
}  # fmt: skip


def arc_density(channel: str, wavelength: Array, line_sigma: float) -> Array:
    """Return the lamps' light as blurred lines of area = strength; sigma in Angstrom."""
    density = np.zeros_like(wavelength)
    for centre, strength, _ in ARC_LINES[channel]:
        peak = strength / (line_sigma * np.sqrt(2 * np.pi))
        density += peak * np.exp(-0.5 * ((wavelength - centre) / line_sigma) ** 2)
    return density


_LAMP_K = 1.4388e4 / 5600  # microns: h c / k T of the lamp's colour


def lamp_shape(wavelength: Array) -> Array:
    """Return the continuum lamp's light, 1 at 5000 A: a filtered lamp of even colour."""
    micron = wavelength / 1e4
    shape: Array = (micron / 0.5) ** -5 / np.expm1(_LAMP_K / micron) * np.expm1(_LAMP_K / 0.5)
    return shape
