"""A host galaxy on the lens array: an exponential disc and a round exponential bulge, blurred.

Light, seeing and lens are products of Fourier transforms, all of them known in closed form, so
that nothing is sampled but the result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gamma, kv

from snfpipe.reduce.point_source.psf import Family

Array = NDArray[np.float64]

_FIELD = 36  # spaxels after which the images repeat themselves
_FINEST = 1.4 * np.pi  # frequency beyond which seeing and lens leave nothing [1/spaxel]

#: Shape of a galaxy, in the order of a fit.
NAMES = ("hx", "hy", "log_disc", "stretch", "shear", "log_bulge", "bulge")


@dataclass(frozen=True)
class Galaxy:
    """A galaxy's shape.

    Attributes
    ----------
    hx, hy : float
        Centre relative to the point source, spaxels.
    log_disc : float
        Logarithm of the disc's scale length, spaxels: the geometric mean of both axes.
    stretch, shear : float
        Ellipticity of the disc: ``log(axis ratio) (cos, sin)`` of twice the angle.
    log_bulge : float
        Logarithm of the bulge's scale length over that of the disc.
    bulge : float
        Part of the light in the bulge.
    """

    hx: float = 0.0
    hy: float = 0.0
    log_disc: float = 0.7
    stretch: float = 0.0
    shear: float = 0.0
    log_bulge: float = -1.0
    bulge: float = 0.2

    def transform(self, kx: Array, ky: Array) -> Array:
        """Return the Fourier transform of the light (total 1) about its centre."""
        bend = np.hypot(self.stretch, self.shear)
        wide, mixed = np.cosh(bend), np.sinh(bend) / max(bend, 1e-9)
        disc2 = np.exp(2 * self.log_disc)
        k2 = kx**2 + ky**2
        along = (kx**2 - ky**2) * self.stretch + 2 * kx * ky * self.shear
        disc = (1 + disc2 * (wide * k2 + mixed * along)) ** -1.5
        bulge = (1 + disc2 * np.exp(2 * self.log_bulge) * k2) ** -1.5
        return np.asarray((1 - self.bulge) * disc + self.bulge * bulge)


def _moffat(k_alpha: Array, beta: Array) -> Array:
    """Return the transform of a round Moffat of integral 1 at k times its radius."""
    order = beta - 1
    z = np.maximum(k_alpha, 1e-6)
    return np.asarray(2 * (z / 2) ** order * kv(order, z) / gamma(order))


def _seeing(family: Family, alpha: Array, k: Array) -> Array:
    """Return the transform of the round image of a point, (n_slices, n_frequencies)."""
    sigma = family.sigma[0] + family.sigma[1] * alpha[:, None]
    beta = family.beta[0] + family.beta[1] * alpha[:, None]
    moffat = np.pi * alpha[:, None] ** 2 / (beta - 1)
    gaussian = 2 * np.pi * family.eta * sigma**2
    transform = moffat * _moffat(k * alpha[:, None], beta)
    transform += gaussian * np.exp(-0.5 * (k * sigma) ** 2)
    return np.asarray(transform / (moffat + gaussian))


def galaxy_images(
    family: Family,
    lens: Array,
    galaxy: Galaxy,
    x: Array,
    y: Array,
    alpha: Array,
    shape: tuple[float, float],
) -> Array:
    """Return the part of a galaxy's light in each lens.

    Parameters
    ----------
    lens : ndarray, shape (n_spaxels, 2)
        Lens coordinates.
    x, y, alpha : ndarray, shape (n_slices,)
        Place of the point source and radius of its image, spaxels, by slice.
    shape : tuple of float
        ell, xy of the image of a point.

    Returns
    -------
    ndarray, shape (n_slices, n_spaxels)
    """
    most = int(_FINEST * _FIELD / (2 * np.pi))
    kx = 2 * np.pi * np.arange(-most, most + 1) / _FIELD
    ky = 2 * np.pi * np.arange(0, most + 1) / _FIELD
    ell, xy = shape
    # the transform of an ellipse is an ellipse, turned by a right angle
    area = max(ell - xy**2, 1e-6)
    k2 = (ell * kx[:, None] ** 2 + ky**2 - 2 * xy * kx[:, None] * ky) / area
    radius = np.sqrt(k2)
    table = np.linspace(0, float(radius.max()), 160)
    seen = _seeing(family, alpha, table)
    light = galaxy.transform(kx[:, None], ky[None, :])
    light *= np.sinc(kx / (2 * np.pi))[:, None] * np.sinc(ky / (2 * np.pi))
    light[:, 1:] *= 2  # the half that is not kept
    low = np.minimum((radius / table[1]).astype(int), table.size - 2)
    part = radius / table[1] - low
    blurred = light * (seen[:, low] * (1 - part) + seen[:, low + 1] * part)
    columns, column = np.unique(lens[:, 0], return_inverse=True)
    lines, line = np.unique(lens[:, 1], return_inverse=True)
    wave_x = np.exp(1j * kx * (columns[:, None] - (x + galaxy.hx)[:, None, None]))
    wave_y = np.exp(1j * ky * (lines[:, None] - (y + galaxy.hy)[:, None, None]))
    image = (wave_x @ blurred @ wave_y.transpose(0, 2, 1)).real / _FIELD**2
    return np.asarray(image[:, column, line])
