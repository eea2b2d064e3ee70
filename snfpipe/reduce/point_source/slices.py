"""Images of a cube by wavelength, and the linear solve of each for what lies in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

METASLICES = 12  # means over wavelength that are looked at one by one


@dataclass(frozen=True)
class Slices:
    """Images at some wavelengths.

    Attributes
    ----------
    wavelength : ndarray, shape (n_slices,)
        Angstrom.
    data, variance : ndarray, shape (n_slices, n_spaxels)
        Electrons a bin; the variance is infinite where there is nothing.
    even : bool
        Whether fits weigh all spaxels of a slice alike.
    """

    wavelength: Array
    data: Array
    variance: Array
    even: bool = True

    @cached_property
    def there(self) -> NDArray[np.bool_]:
        """Where there is something."""
        return np.isfinite(self.variance)

    @cached_property
    def weight(self) -> Array:
        """Weights of fits: one over the noise of the sky, or of each spaxel.

        Weights by each spaxel's own noise look at the wings of bright stars and at the cores of
        faint ones, so that images which are not quite of the family would bias standards and
        supernovae differently; even weights bias them alike, and it cancels.  A galaxy is told
        from the source by all that there is, so there every spaxel counts by its noise.
        """
        if not self.even:
            return 1 / self.variance
        sky = np.full(self.wavelength.shape, np.inf)
        for k in np.flatnonzero(self.there.any(axis=1)):
            sky[k] = np.percentile(self.variance[k][self.there[k]], 20)
        return np.where(self.there, 1 / sky[:, None], 0)

    @property
    def pull_scale(self) -> Array:
        """One over the error, 0 where there is nothing."""
        return np.asarray(1 / np.sqrt(self.variance))

    def at(self, k: int) -> Slices:
        """Return one slice."""
        one = slice(k, k + 1)
        return replace(
            self, wavelength=self.wavelength[one], data=self.data[one], variance=self.variance[one]
        )


@dataclass(frozen=True)
class Solved:
    """What a linear solve gives, by slice.

    Attributes
    ----------
    coefficients : ndarray, shape (n_slices, n_terms)
        Flux of the source, then the sky's polynomial, in the unit of the data.
    hat : ndarray, shape (n_slices, n_terms, n_spaxels)
        What each spaxel adds to each term.
    model : ndarray, shape (n_slices, n_spaxels)
    """

    coefficients: Array
    hat: Array
    model: Array


def binned(slices: Slices, count: int) -> Slices:
    """Return slices binned evenly into `count` means.

    What a spaxel has lost of a bin is filled as the mean spectrum goes; one that has lost more
    than half of it is left out.
    """
    length = slices.wavelength.size
    edges = np.linspace(0, length, min(count, length) + 1).astype(int)
    start, width = edges[:-1], np.diff(edges)[:, None]
    there = slices.there
    data, variance = np.where(there, slices.data, 0), np.where(there, slices.variance, 0)
    light = data.sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    light = np.maximum(light, 0.1 * max(float(np.median(light)), 1e-6))[:, None]
    seen = np.add.reduceat(there * light, start)
    fill = np.add.reduceat(light, start) / np.maximum(seen, 1e-12) / width
    enough = np.add.reduceat(there, start, dtype=int) > 0.5 * width
    return replace(
        slices,
        wavelength=np.add.reduceat(slices.wavelength, start) / width[:, 0],
        data=np.where(enough, np.add.reduceat(data, start) * fill, 0),
        variance=np.where(enough, np.add.reduceat(variance, start) * fill**2, np.inf),
    )


def sky_terms(lens: Array, degree: int) -> Array:
    """Return the sky's polynomial in lens coordinates, shape (n_terms, n_spaxels), degree -1..2."""
    x, y = lens[:, 0] / 7.0, lens[:, 1] / 7.0
    terms = [x**i * y**j for n in range(degree + 1) for i, j in ((n - m, m) for m in range(n + 1))]
    return np.array(terms).reshape(len(terms), lens.shape[0])


def solve(slices: Slices, design: Array) -> Solved:
    """Solve every slice for its terms by weighted least squares.

    Parameters
    ----------
    slices : Slices
        Data and their weights.
    design : ndarray, shape (n_slices, n_terms, n_spaxels)
        The terms' images.
    """
    weighted = design * slices.weight[:, None, :]
    normal = weighted @ design.transpose(0, 2, 1)
    right = (weighted @ slices.data[..., None])[..., 0]
    size = np.einsum("kii->ki", normal)
    # a slice that was lost as a whole gives zeros
    scale = np.divide(1, np.sqrt(size), out=np.zeros_like(size), where=size > 0)
    eye = np.eye(normal.shape[1])
    inverse = np.linalg.inv(normal * scale[:, :, None] * scale[:, None, :] + 1e-10 * eye)
    inverse *= scale[:, :, None] * scale[:, None, :]
    coefficients = (inverse @ right[..., None])[..., 0]
    model = (coefficients[:, None, :] @ design)[:, 0]
    return Solved(coefficients, inverse @ weighted, model)


def covariance(slices: Slices, solved: Solved) -> Array:
    """Return the covariance of a solve's terms, shape (n_slices, n_terms, n_terms)."""
    variance = np.where(slices.there, slices.variance, 0)
    return np.asarray((solved.hat * variance[:, None, :]) @ solved.hat.transpose(0, 2, 1))
