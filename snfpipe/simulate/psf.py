"""Images of points and galaxies on the lens array: Gaussian + Moffat of correlated shape."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from snfpipe.simulate.instrument import REFERENCE, SIDE, Array, lens_indices

ETA = 1.04  #: amplitude of the Gaussian relative to the Moffat's


@dataclass(frozen=True, slots=True)
class Psf:
    """A point's image; lengths in spaxels.

    Attributes
    ----------
    a0, a1, a2 : float
        Moffat radius ``alpha = |a0 + a1 r + a2 r^2|``, r = wavelength / 5000 - 1.
    ell, xy : float
        Shape, ``r^2 = x^2 + ell y^2 + 2 xy x y``.
    """

    a0: float
    a1: float
    a2: float
    ell: float
    xy: float

    def alpha(self, wavelength: Array | float) -> Array:
        """Return the Moffat radius, spaxels."""
        r = np.asarray(wavelength, dtype=float) / REFERENCE - 1
        return np.asarray(np.abs(self.a0 + self.a1 * r + self.a2 * r**2))

    def density(self, x: Array, y: Array, alpha: Array) -> Array:
        """Return the image's surface density, of integral 1 over the plane."""
        sigma, beta = 0.545 + 0.215 * alpha, 1.685 + 0.345 * alpha
        radius2 = x**2 + self.ell * y**2 + 2 * self.xy * x * y
        shape = ETA * np.exp(-radius2 / (2 * sigma**2)) + (1 + radius2 / alpha**2) ** -beta
        area = np.pi * (2 * ETA * sigma**2 + alpha**2 / (beta - 1))
        density: Array = shape * np.sqrt(self.ell - self.xy**2) / area
        return density

    def as_dict(self) -> dict[str, float]:
        """Return the parameters by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Host:
    """A galaxy: an exponential disc and a small round bulge, itself an exponential.

    Attributes
    ----------
    x, y : float
        Centre relative to the supernova, spaxels.
    disc_radius, bulge_radius : float
        Scale lengths, spaxels.
    axis_ratio, angle_deg : float
        Of the disc.
    bulge_part : float
        Part of the light in the bulge.
    mag : float
        Total AB magnitude at 5500 Angstrom observed.
    """

    x: float
    y: float
    disc_radius: float
    bulge_radius: float
    axis_ratio: float
    angle_deg: float
    bulge_part: float
    mag: float

    def transform(self, kx: Array, ky: Array) -> Array:
        """Return the Fourier transform of the light (total 1) about its centre."""
        angle = np.radians(self.angle_deg)
        major = kx * np.cos(angle) + ky * np.sin(angle)
        minor = self.axis_ratio * (ky * np.cos(angle) - kx * np.sin(angle))
        disc = (1 + (self.disc_radius**2) * (major**2 + minor**2)) ** -1.5
        bulge = (1 + (self.bulge_radius**2) * (kx**2 + ky**2)) ** -1.5
        light: Array = (1 - self.bulge_part) * disc + self.bulge_part * bulge
        return light


# Nodes and weights of a 4-point Gauss-Legendre rule over a spaxel of side 1.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(4)
_NODES, _WEIGHTS = _NODES / 2, _WEIGHTS / 2


def point_parts(psf: Psf, wavelength: Array, x: Array, y: Array) -> Array:
    """Return the part of a point's light in each lens, (225, wavelengths).

    Parameters
    ----------
    psf : Psf
        The image's shape.
    wavelength : ndarray
        Angstrom.
    x, y : ndarray
        Position of the point at each wavelength, spaxels.
    """
    i, j = lens_indices()
    alpha = psf.alpha(wavelength)[None, :]
    parts = np.zeros((i.size, wavelength.size))
    for node_x, weight_x in zip(_NODES, _WEIGHTS, strict=True):
        dx = i[:, None] + node_x - x[None, :]
        for node_y, weight_y in zip(_NODES, _WEIGHTS, strict=True):
            dy = j[:, None] + node_y - y[None, :]
            parts += weight_x * weight_y * psf.density(dx, dy, alpha)
    return parts


_FIELD = 48  # spaxels: the field in which galaxies are convolved, wide enough not to wrap
_FINE = 3  # samples a spaxel


def host_parts(psf: Psf, host: Host, wavelength: Array, x: Array, y: Array) -> Array:
    """Return the part of a galaxy's light in each lens, (225, wavelengths).

    The galaxy, the lens's square and the shift are products in Fourier space; only the point's
    image is sampled.  `x`, `y` are the supernova's position at each wavelength, spaxels.
    """
    size = _FIELD * _FINE
    axis = (np.arange(size) - size // 2) / _FINE
    px, py = np.meshgrid(axis, axis, indexing="ij")
    kx: Array = 2 * np.pi * np.asarray(np.fft.fftfreq(size, 1 / _FINE))[:, None]
    ky: Array = 2 * np.pi * np.asarray(np.fft.rfftfreq(size, 1 / _FINE))[None, :]
    square = np.sinc(kx / (2 * np.pi)) * np.sinc(ky / (2 * np.pi))
    light = host.transform(kx, ky) * square
    pick = (np.arange(SIDE) - SIDE // 2) * _FINE + size // 2
    parts = np.empty((SIDE * SIDE, wavelength.size))
    for index, alpha in enumerate(psf.alpha(wavelength)):
        point = psf.density(px, py, alpha)
        image_k = np.fft.rfft2(np.fft.ifftshift(point)) / _FINE**2
        shift = np.exp(-1j * (kx * (x[index] + host.x) + ky * (y[index] + host.y)))
        image = np.fft.fftshift(np.fft.irfft2(image_k * light * shift, s=(size, size)))
        parts[:, index] = (image * _FINE**2)[np.ix_(pick, pick)].ravel()
    return parts
