"""Differential refraction of the air: how far an image moves with wavelength."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snfpipe.reduce.optics import STEP_ARCSEC
from snfpipe.reduce.point_source.psf import REFERENCE

Array = NDArray[np.float64]

#: Mean pressure [mbar] and temperature [deg C] of the site, where sensors are dead.
SITE_PRESSURE, SITE_TEMPERATURE = 616.0, 2.0

_MMHG = 0.750061683  # mm of mercury a mbar


@dataclass(frozen=True)
class Air:
    """The air at the telescope: pressure [mbar] and temperature [deg C]."""

    pressure: float
    temperature: float

    @classmethod
    def of(cls, pressure: float | None, temperature: float | None) -> Air:
        """Return the air that sensors tell of, or the site's mean where they are dead."""
        alive = pressure is not None and 550 < pressure < 680
        known = alive and temperature is not None and -20 < temperature < 30
        return cls(
            float(pressure) if alive and pressure is not None else SITE_PRESSURE,
            float(temperature) if known and temperature is not None else SITE_TEMPERATURE,
        )

    def refractivity(self, wavelength: Array) -> Array:
        """Return n - 1 of dry air: Edlen's formula as in Filippenko 1982, PASP 94, 715."""
        wave2 = (np.asarray(wavelength) / 1e4) ** -2.0
        standard = 64.328 + 29498.1 / (146 - wave2) + 255.4 / (41 - wave2)
        mmhg = self.pressure * _MMHG
        density = mmhg * (1 + (1.049 - 0.0157 * self.temperature) * 1e-6 * mmhg)
        return np.asarray(1e-6 * standard * density / (720.883 * (1 + 0.003661 * self.temperature)))

    def shift(self, wavelength: Array) -> Array:
        """Return the shift towards the zenith [spaxels] at 45 degrees from it (tan z = 1)."""
        index = self.refractivity(wavelength) - self.refractivity(np.array(REFERENCE))
        return np.asarray(np.degrees(index) * 3600 / STEP_ARCSEC)
