"""A cube's point source, its sky and its galaxy, as images by wavelength."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from snfpipe.reduce.errors import BadInput
from snfpipe.reduce.formats import Cube
from snfpipe.reduce.point_source import galaxy
from snfpipe.reduce.point_source.psf import Family, images, polynomial
from snfpipe.reduce.point_source.refraction import Air
from snfpipe.reduce.point_source.slices import Slices, sky_terms

Array = NDArray[np.float64]

#: Parameters of the 3-D fit, in order.
NAMES = ("delta", "theta", "x", "y", "a0", "a1", "a2", "ell", "xy")

#: How well images are known where they are bright, as a part of their light.
IMAGE_ERROR = 0.03


class Scene:
    """A cube's point source seen through a family of images: what fits and extraction share.

    Parameters
    ----------
    cube : Cube
        What is extracted.
    family : Family
        Of the point's images.
    air : Air
        Gives the course of refraction.
    sky_degree : int
        Degree of the sky's polynomial.
    host : bool
        Whether there is a galaxy.
    """

    def __init__(
        self, cube: Cube, family: Family, air: Air, sky_degree: int, host: bool = False
    ) -> None:
        self.cube = cube
        self.family = family
        self.air = air
        self.sky_degree = sky_degree
        self.host = host
        self.names = NAMES + (galaxy.NAMES if host else ())
        self.lens = cube.lens.astype(np.float64)
        self.sky = sky_terms(self.lens, sky_degree)
        good = np.isfinite(cube.variance)
        self.slices = Slices(
            cube.wavelength, cube.data.T, np.where(good, cube.variance, np.inf).T, even=not host
        )
        if not good.any():
            raise BadInput("the cube is empty")

    def place(self, values: Mapping[str, float], wavelength: Array) -> tuple[Array, Array]:
        """Return where the source lies at wavelengths, spaxels."""
        shift = values["delta"] * self.air.shift(wavelength)
        angle = np.radians(values["theta"])
        return values["x"] + shift * np.sin(angle), values["y"] + shift * np.cos(angle)

    def design(self, values: Mapping[str, float], wavelength: Array) -> Array:
        """Return the images of all terms: the point, the sky, and the galaxy if there is one.

        Returns
        -------
        ndarray, shape (n_slices, n_terms, n_spaxels)
        """
        x, y = self.place(values, wavelength)
        alpha = polynomial(np.array([values["a0"], values["a1"], values["a2"]]), wavelength)
        shape = values["ell"], values["xy"]
        terms = np.empty((wavelength.size, 1 + len(self.sky) + self.host, self.lens.shape[0]))
        terms[:, 0] = images(self.family, self.lens, x, y, alpha, shape)
        terms[:, 1 : 1 + len(self.sky)] = self.sky
        if self.host:
            form = galaxy.Galaxy(**{name: values[name] for name in galaxy.NAMES})
            terms[:, -1] = galaxy.galaxy_images(self.family, self.lens, form, x, y, alpha, shape)
        return terms

    def reweigh(self, model: Array, clip_sigma: float, known: float = IMAGE_ERROR) -> None:
        """Take the noise of photons from a model, and leave out what stands far off it.

        A variance that follows the noise of the data is too small where it is faint by chance.
        What stands off are cosmics that cover the whole width of a spectrum, which only the
        other spaxels tell from light.

        Parameters
        ----------
        model : ndarray, shape (n_slices, n_spaxels)
            Of all slices.
        clip_sigma : float
            How many errors off the model a spaxel of a slice is left out.
        known : float
            How well the model is known, as a part of its light.
        """
        cube = self.cube
        good = np.isfinite(cube.variance)
        variance, data = np.where(good, cube.variance, 0), np.where(good, cube.data, 0)
        count = np.maximum(good.sum(axis=1, keepdims=True), 1)
        off = np.where(good, data - data.sum(axis=1, keepdims=True) / count, 0)
        # in each spaxel the variance is a floor and a slope times the light
        slope = (off * variance).sum(axis=1) / np.maximum((off**2).sum(axis=1), 1e-9)
        slope = np.clip(np.median(slope), 0.0, 2.0)
        better = np.maximum(variance + slope * (model.T - data), 0.2 * variance)
        limit = clip_sigma * np.sqrt(better + (known * model.T) ** 2)
        good &= np.abs(data - model.T) < limit
        self.slices = replace(self.slices, variance=np.where(good, better, np.inf).T)
