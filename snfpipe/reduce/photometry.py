"""3-D photometry of a point source: 2-D fits of metaslices, a 3-D fit, a linear solve a slice.

What is linear (the source's flux and the polynomial of the sky) is solved for within the fits, so
that these see the shape alone: eight parameters in 2-D and nine in 3-D.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, least_squares

from snfpipe.reduce.formats import Cube
from snfpipe.reduce.frames import BadInput
from snfpipe.reduce.psf import Family, images, polynomial
from snfpipe.reduce.refraction import Air

Array = NDArray[np.float64]

METASLICES = 12
FIT_SLICES = 60  # of the 3-D fit; narrow enough for refraction within one to be nothing

#: Parameters of the 3-D fit, in order.
NAMES = ("delta", "theta", "x", "y", "a0", "a1", "a2", "ell", "xy")


@dataclass(frozen=True)
class Slices:
    """Images at some wavelengths: data, weight (0: nothing there), shape (n_slices, n_spaxels)."""

    wavelength: Array
    data: Array
    weight: Array


@dataclass(frozen=True)
class Prior:
    """What is known beforehand of a parameter: mean and standard deviation."""

    mean: float
    sigma: float


@dataclass(frozen=True)
class Solved:
    """What a linear solve gives, by slice.

    Attributes
    ----------
    coefficients : ndarray, shape (n_slices, n_terms)
        Flux of the source, then the sky's polynomial, in the unit of the data.
    covariance : ndarray, shape (n_slices, n_terms, n_terms)
    model : ndarray, shape (n_slices, n_spaxels)
    chi2 : float
        Sum over all slices.
    """

    coefficients: Array
    covariance: Array
    model: Array
    chi2: float


@dataclass(frozen=True)
class MetasliceFit:
    """The 2-D fit of one metaslice: place, radius and shape, with errors."""

    wavelength: float
    values: Array  # x, y, alpha, ell, xy
    errors: Array


@dataclass(frozen=True)
class Fit:
    """The 3-D fit: values and errors of :data:`NAMES`, chi2 a degree of freedom."""

    values: dict[str, float]
    errors: dict[str, float]
    chi2: float


def binned(cube: Cube, weight: Array, count: int) -> Slices:
    """Return a cube's slices binned evenly into `count` means; what lacks a bin is left out."""
    edges = np.linspace(0, cube.wavelength.size, min(count, cube.wavelength.size) + 1).astype(int)
    start, width = edges[:-1], np.diff(edges)[:, None]
    there = np.logical_and.reduceat(weight > 0, start)
    variance = np.divide(1, weight, out=np.zeros_like(weight), where=weight > 0)
    noise = np.add.reduceat(variance, start) / width**2
    return Slices(
        np.add.reduceat(cube.wavelength, start) / width[:, 0],
        np.where(there, np.add.reduceat(cube.data.T, start) / width, 0),
        np.divide(1, noise, out=np.zeros_like(noise), where=there & (noise > 0)),
    )


def sky_terms(lens: Array, degree: int) -> Array:
    """Return the sky's polynomial in lens coordinates, shape (n_terms, n_spaxels), degree -1..2."""
    x, y = lens[:, 0] / 7.0, lens[:, 1] / 7.0
    terms = [x**i * y**j for n in range(degree + 1) for i, j in ((n - m, m) for m in range(n + 1))]
    return np.array(terms).reshape(len(terms), lens.shape[0])


def solve(slices: Slices, point: Array, sky: Array) -> Solved:
    """Solve every slice for the flux of the source and the sky by weighted least squares."""
    design = np.concatenate(
        [point[:, None, :], np.broadcast_to(sky, (point.shape[0], *sky.shape))], axis=1
    )
    weighted = design * slices.weight[:, None, :]
    normal = weighted @ design.transpose(0, 2, 1)
    right = (weighted @ slices.data[..., None])[..., 0]
    scale = 1 / np.sqrt(np.maximum(np.einsum("kii->ki", normal), 1e-300))
    eye = np.eye(normal.shape[1])
    inverse = np.linalg.inv(normal * scale[:, :, None] * scale[:, None, :] + 1e-10 * eye)
    covariance = inverse * scale[:, :, None] * scale[:, None, :]
    coefficients = (covariance @ right[..., None])[..., 0]
    model = (coefficients[:, None, :] @ design)[:, 0]
    chi2 = float((slices.weight * (slices.data - model) ** 2).sum())
    return Solved(coefficients, covariance, model, chi2)


class Scene:
    """A cube's point source seen through a family of images: what fits and extraction share."""

    def __init__(self, cube: Cube, family: Family, air: Air, sky_degree: int) -> None:
        self.cube = cube
        self.family = family
        self.air = air
        self.lens = cube.lens.astype(np.float64)
        self.sky = sky_terms(self.lens, sky_degree)
        good = np.isfinite(cube.variance) & (cube.variance < 1e29)
        self.weight: Array = np.where(good, 1 / cube.variance, 0).T
        if not good.any():
            raise BadInput("the cube is empty")

    def place(self, values: dict[str, float], wavelength: Array) -> tuple[Array, Array]:
        """Return where the source lies at wavelengths, spaxels."""
        shift = values["delta"] * self.air.shift(wavelength)
        angle = np.radians(values["theta"])
        return values["x"] + shift * np.sin(angle), values["y"] + shift * np.cos(angle)

    def images(self, values: dict[str, float], wavelength: Array) -> Array:
        """Return the source's images at wavelengths, shape (n_slices, n_spaxels)."""
        x, y = self.place(values, wavelength)
        alpha = polynomial(np.array([values["a0"], values["a1"], values["a2"]]), wavelength)
        return images(self.family, self.lens, x, y, alpha, (values["ell"], values["xy"]))

    def reweigh(self, model: Array) -> None:
        """Take the noise of the photons from a model instead of from the noisy data themselves.

        Weights that follow the noise favour what is too faint: they would cost the source about
        an electron a spaxel.
        """
        cube = self.cube
        good = self.weight.T > 0
        variance, data = np.where(good, cube.variance, 0), np.where(good, cube.data, 0)
        count = np.maximum(good.sum(axis=1, keepdims=True), 1)
        off = np.where(good, data - data.sum(axis=1, keepdims=True) / count, 0)
        # in each spaxel the variance is a floor and a slope times the light
        slope = (off * variance).sum(axis=1) / np.maximum((off**2).sum(axis=1), 1e-9)
        slope = np.clip(np.median(slope), 0.0, 2.0)
        better = np.maximum(variance + slope * (model.T - data), 0.2 * variance)
        self.weight = np.divide(1, better, out=np.zeros_like(better), where=good).T


def fit_metaslices(scene: Scene, slices: Slices, start: tuple[float, float]) -> list[MetasliceFit]:
    """Fit every metaslice by itself; those without a source to see are left out."""
    fits = []
    for k, wavelength in enumerate(slices.wavelength):
        one = Slices(slices.wavelength[k : k + 1], slices.data[k : k + 1], slices.weight[k : k + 1])
        if (one.weight > 0).mean() < 0.7:
            continue
        root = np.sqrt(one.weight)

        def off(p: Array, one: Slices = one, root: Array = root) -> Array:
            point = images(scene.family, scene.lens, p[:1], p[1:2], p[2:3], (p[3], p[4]))
            rest = (root * (one.data - solve(one, point, scene.sky).model)).ravel()
            return np.append(rest, [(p[2] - 2.2) / 1.5, (p[3] - 1) / 0.2, p[4] / 0.15])

        found = _least_squares(off, [*start, 2.2, 1.0, 0.0],
                               ([-9, -9, 0.8, 0.4, -0.5], [9, 9, 8, 2.5, 0.5]))  # fmt: skip
        errors = _errors(found)
        if found.success and np.hypot(errors[0], errors[1]) < 1:
            fits.append(MetasliceFit(float(wavelength), found.x, errors))
            start = (float(found.x[0]), float(found.x[1]))
    return fits


def first_guess(
    scene: Scene, fits: list[MetasliceFit], priors: dict[str, Prior]
) -> dict[str, float]:
    """Return where the 3-D fit starts: the metaslices' common place, shape and radius."""
    guess = {name: priors[name].mean if name in priors else 0.0 for name in NAMES}
    wavelength = np.array([fit.wavelength for fit in fits])
    values = np.array([fit.values for fit in fits])
    dx, dy = scene.place(guess | {"x": 0.0, "y": 0.0}, wavelength)
    guess["x"] = float(np.median(values[:, 0] - dx))
    guess["y"] = float(np.median(values[:, 1] - dy))
    guess["ell"], guess["xy"] = (float(np.median(values[:, n])) for n in (3, 4))
    blur = (wavelength / 5000) ** -0.2
    guess["a0"] = float(np.median(values[:, 2] / blur))
    guess["a1"], guess["a2"] = -0.2 * guess["a0"], 0.1 * guess["a0"]
    return guess


def fit_cube(
    scene: Scene, slices: Slices, guess: dict[str, float], priors: dict[str, Prior]
) -> Fit:
    """Fit refraction, place, radius and shape to all slices together."""
    root = np.sqrt(slices.weight)
    known = [(NAMES.index(name), prior) for name, prior in priors.items()]

    def off(p: Array) -> Array:
        values = dict(zip(NAMES, p.tolist(), strict=True))
        point = scene.images(values, slices.wavelength)
        rest = (root * (slices.data - solve(slices, point, scene.sky).model)).ravel()
        # a1 and a2 are known relative to a0: alpha goes with a small power of wavelength
        bend = [(p[5] / p[4] + 0.2) / 0.15, (p[6] / p[4] - 0.1) / 0.15]
        return np.concatenate([rest, bend, [(p[n] - k.mean) / k.sigma for n, k in known]])

    limits = ([0, -720, -9, -9, 0.8, -6, -6, 0.4, -0.5], [3, 720, 9, 9, 8, 6, 6, 2.5, 0.5])
    found = _least_squares(off, [guess[name] for name in NAMES], limits)
    errors = _errors(found)
    free = (
        int((slices.weight > 0).sum()) - len(NAMES) - slices.wavelength.size * (1 + len(scene.sky))
    )
    return Fit(
        dict(zip(NAMES, found.x.tolist(), strict=True)),
        dict(zip(NAMES, errors.tolist(), strict=True)),
        float((off(found.x)[: root.size] ** 2).sum()) / max(free, 1),
    )


def _least_squares(
    off: Callable[[Array], Array], start: list[float], limits: tuple[list[float], list[float]]
) -> OptimizeResult:
    """Fit within limits."""
    low, high = np.array(limits[0], dtype=float), np.array(limits[1], dtype=float)
    inside = np.clip(start, low + 1e-6, high - 1e-6)
    return least_squares(off, inside, bounds=(low, high), x_scale="jac", xtol=1e-6, ftol=1e-7)


def _errors(found: OptimizeResult) -> Array:
    """Return the standard errors of a fit whose residuals are in units of their errors."""
    normal = found.jac.T @ found.jac
    errors: Array = np.sqrt(np.maximum(np.diag(np.linalg.pinv(normal)), 0))
    return errors
