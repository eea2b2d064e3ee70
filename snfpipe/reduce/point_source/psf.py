"""The image of a point on the lens array: a Gaussian and a Moffat whose shapes go together.

The family is that of the SNIFS collaboration (Buton 2009, PhD thesis, Lyon; the constants are
those of its program cubefit): one number, the Moffat's radius alpha, sets width and exponent of
both parts; alpha is a polynomial of wavelength.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from snfpipe.reduce.optics import STEP_ARCSEC

Array = NDArray[np.float64]

REFERENCE = 5000.0  # Angstrom: of positions and of alpha's polynomial


@dataclass(frozen=True)
class Family:
    """How a point's image follows from alpha [spaxels].

    Attributes
    ----------
    eta : float
        Height of the Gaussian over that of the Moffat.
    sigma, beta : tuple of float
        Offset and slope in alpha of the Gaussian's width [spaxels] and the Moffat's exponent.
    """

    eta: float
    sigma: tuple[float, float]
    beta: tuple[float, float]


#: Name of a family -> what it is.  "moffat" has no core of its own: for comparison.
FAMILIES = {
    "gaussian-moffat": Family(1.04, (0.545, 0.215), (1.685, 0.345)),
    "moffat": Family(0.0, (1.0, 0.0), (1.685, 0.345)),
}

# A rule of 3 x 3 points integrates the image over a lens to 1e-4 of its light.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(3)
_NODES, _WEIGHTS = _NODES / 2, _WEIGHTS / 2


def polynomial(coefficients: Array, wavelength: Array) -> Array:
    """Return ``|a0 + a1 r + a2 r^2|``, r = wavelength / 5000 - 1: alpha in spaxels."""
    r = wavelength / REFERENCE - 1
    return np.asarray(np.abs(coefficients[0] + r * (coefficients[1] + r * coefficients[2])))


def density(family: Family, radius2: Array, alpha: Array) -> Array:
    """Return the light a square spaxel at a squared radius; integral 1 for round images."""
    sigma = family.sigma[0] + family.sigma[1] * alpha
    beta = family.beta[0] + family.beta[1] * alpha
    light = np.exp(-beta * np.log1p(radius2 / alpha**2))
    area = np.pi * alpha**2 / (beta - 1)
    if family.eta:
        light += family.eta * np.exp(radius2 / (-2 * sigma**2))
        area = area + 2 * np.pi * family.eta * sigma**2
    return np.asarray(light / area)


def images(
    family: Family, lens: Array, x: Array, y: Array, alpha: Array, shape: tuple[float, float]
) -> Array:
    """Return the part of a point's light that falls into each lens.

    Parameters
    ----------
    lens : ndarray, shape (n_spaxels, 2)
        Lens coordinates.
    x, y, alpha : ndarray, shape (n_slices,)
        Place of the point and radius, spaxels, by slice.
    shape : tuple of float
        ell, xy: ``radius^2 = x^2 + ell y^2 + 2 xy x y``.

    Returns
    -------
    ndarray, shape (n_slices, n_spaxels)
    """
    ell, xy = shape
    dx, dy = lens[:, 0] - x[:, None], lens[:, 1] - y[:, None]
    parts = np.zeros_like(dx)
    for node_x, weight_x in zip(_NODES, _WEIGHTS, strict=True):
        for node_y, weight_y in zip(_NODES, _WEIGHTS, strict=True):
            u, v = dx + node_x, dy + node_y
            radius2 = u * u + v * (ell * v + 2 * xy * u)
            parts += weight_x * weight_y * density(family, radius2, alpha[:, None])
    # the ellipse has another area than the circle
    parts *= np.sqrt(max(ell - xy**2, 1e-6))
    return parts


def seeing_arcsec(family: Family, alpha: float) -> float:
    """Return the full width at half maximum of a round image, arcsec."""
    peak = float(density(family, np.zeros(1), np.array([alpha]))[0])

    def above(radius: float) -> float:
        return float(density(family, np.array([radius**2]), np.array([alpha]))[0]) - peak / 2

    return 2 * STEP_ARCSEC * float(brentq(above, 1e-3, 30.0))
