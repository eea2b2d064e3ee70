"""3-D photometry of a point source: 2-D fits of metaslices, a 3-D fit, a linear solve a slice.

What is linear (the source's flux and the polynomial of the sky) is solved for within the fits, so
that these see the shape alone: eight parameters in 2-D and nine in 3-D.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, least_squares

from snfpipe.reduce.errors import BadInput
from snfpipe.reduce.formats import Cube
from snfpipe.reduce.point_source import galaxy
from snfpipe.reduce.point_source.psf import Family, images, polynomial
from snfpipe.reduce.point_source.refraction import Air

Array = NDArray[np.float64]

METASLICES = 12
FIT_SLICES = 40  # of the 3-D fit; narrow enough for refraction within one to be nothing
COARSE = 6  # slices to find a galaxy with

#: Parameters of the 3-D fit, in order.
NAMES = ("delta", "theta", "x", "y", "a0", "a1", "a2", "ell", "xy")


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
    hat : ndarray, shape (n_slices, n_terms, n_spaxels)
        What each spaxel adds to each term.
    model : ndarray, shape (n_slices, n_spaxels)
    """

    coefficients: Array
    hat: Array
    model: Array


@dataclass(frozen=True)
class MetasliceFit:
    """The 2-D fit of one metaslice: place, radius and shape, with errors."""

    wavelength: float
    values: Array  # x, y, alpha, ell, xy
    errors: Array


@dataclass(frozen=True)
class Fit:
    """The 3-D fit: values and errors by parameter."""

    values: dict[str, float]
    errors: dict[str, float]


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

    def reweigh(self, model: Array, clip_sigma: float) -> None:
        """Take the noise of photons from a model, and leave out what stands far off it.

        A variance that follows the noise of the data is too small where it is faint by chance.
        What stands off are cosmics that cover the whole width of a spectrum, which only the
        other spaxels tell from light.
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
        # images are known to some per cent only where they are bright
        limit = clip_sigma * np.sqrt(better + (0.03 * model.T) ** 2)
        good &= np.abs(data - model.T) < limit
        self.slices = replace(self.slices, variance=np.where(good, better, np.inf).T)


def fit_metaslices(scene: Scene, slices: Slices, start: tuple[float, float]) -> list[MetasliceFit]:
    """Fit every metaslice by itself; those without a source to see are left out."""
    fits = []
    for k, wavelength in enumerate(slices.wavelength):
        one = slices.at(k)
        if one.there.mean() < 0.7:
            continue
        root = np.sqrt(one.weight)

        def off(p: Array, one: Slices = one, root: Array = root) -> Array:
            point = images(scene.family, scene.lens, p[:1], p[1:2], p[2:3], (p[3], p[4]))
            design = np.concatenate([point, scene.sky])[None]
            rest = (root * (one.data - solve(one, design).model)).ravel()
            return np.append(rest, [(p[2] - 2.2) / 1.5, (p[3] - 1) / 0.2, p[4] / 0.15])

        found = _least_squares(off, [*start, 2.2, 1.0, 0.0],
                               [(-9, 9), (-9, 9), (0.8, 8), (0.4, 2.5), (-0.5, 0.5)])  # fmt: skip
        errors = _errors(found)
        if found.success and np.hypot(errors[0], errors[1]) < 1:
            fits.append(MetasliceFit(float(wavelength), found.x, errors))
            start = (float(found.x[0]), float(found.x[1]))
    return fits


def first_guess(
    scene: Scene, fits: list[MetasliceFit], priors: Mapping[str, Prior]
) -> dict[str, float]:
    """Return where the 3-D fit starts: the metaslices' common place, shape and radius."""
    guess = {name: priors[name].mean if name in priors else 0.0 for name in NAMES}
    wavelength = np.array([fit.wavelength for fit in fits])
    values = np.array([fit.values for fit in fits])
    dx, dy = scene.place(guess | {"x": 0.0, "y": 0.0}, wavelength)
    guess["x"] = float(np.median(values[:, 0] - dx))
    guess["y"] = float(np.median(values[:, 1] - dy))
    guess["ell"], guess["xy"] = (float(np.median(values[:, n])) for n in (3, 4))
    guess["a0"] = float(np.median(values[:, 2] * (wavelength / 5000) ** 0.2))
    guess["a1"], guess["a2"] = -0.2 * guess["a0"], 0.1 * guess["a0"]
    return guess


def guess_host(scene: Scene, slices: Slices, priors: Mapping[str, Prior]) -> dict[str, float]:
    """Return where the 3-D fit of a source on a galaxy starts: its peak, and the best of places."""
    guess = {name: priors[name].mean if name in priors else 0.0 for name in NAMES}
    guess |= asdict(galaxy.Galaxy())
    guess["a1"], guess["a2"] = -0.2 * guess["a0"], 0.1 * guess["a0"]
    image = (slices.weight * slices.data).sum(axis=0) / slices.weight.sum(axis=0).clip(1e-30)
    away2 = ((scene.lens[:, None] - scene.lens) ** 2).sum(axis=2)
    # the point is what stands out when the wide is taken off the narrow
    narrow, wide = (np.exp(away2 / (-2 * width**2)) for width in (0.8, 3.0))
    sharp = (narrow @ image) / narrow.sum(axis=1) - (wide @ image) / wide.sum(axis=1)
    guess["x"], guess["y"] = scene.lens[np.argmax(sharp)].tolist()
    tried = []
    for hx, hy in itertools.product(range(-6, 7, 2), repeat=2):
        values = guess | {"hx": float(hx), "hy": float(hy)}
        model = solve(slices, scene.design(values, slices.wavelength)).model
        chi2 = float((slices.weight * (slices.data - model) ** 2).sum())
        tried.append((chi2, hx, hy, values))
    return min(tried)[-1]


#: Parameter -> between what it is looked for.
_LIMITS = {
    "delta": (0, 3), "theta": (-720, 720), "x": (-9, 9), "y": (-9, 9),
    "a0": (0.8, 8), "a1": (-6, 6), "a2": (-6, 6), "ell": (0.4, 2.5), "xy": (-0.5, 0.5),
    "hx": (-9, 9), "hy": (-9, 9), "log_disc": (-0.3, 2.5), "stretch": (-1.6, 1.6),
    "shear": (-1.6, 1.6), "log_bulge": (-3, 0), "bulge": (0, 1),
}  # fmt: skip


def fit_cube(
    scene: Scene, slices: Slices, guess: Mapping[str, float], priors: Mapping[str, Prior]
) -> Fit:
    """Fit refraction, place, radius and shape to all slices together."""
    root = np.sqrt(slices.weight)
    names = scene.names
    known = [(names.index(name), prior) for name, prior in priors.items() if name in names]

    def off(p: Array) -> Array:
        values = dict(zip(names, p.tolist(), strict=True))
        model = solve(slices, scene.design(values, slices.wavelength)).model
        rest = (root * (slices.data - model)).ravel()
        # a1 and a2 are known relative to a0: alpha goes with a small power of wavelength
        bend = [(p[5] / p[4] + 0.2) / 0.15, (p[6] / p[4] - 0.1) / 0.15]
        return np.concatenate([rest, bend, [(p[n] - k.mean) / k.sigma for n, k in known]])

    found = _least_squares(off, [guess[name] for name in names], [_LIMITS[name] for name in names])
    # neighbouring bins share their noise: the scatter of their means is more than variances say
    spread = (found.fun[: root.size] ** 2).sum() / max(1, int((root > 0).sum()) - len(names))
    errors = _errors(found) * np.sqrt(max(float(spread), 1.0))
    return Fit(
        dict(zip(names, found.x.tolist(), strict=True)),
        dict(zip(names, errors.tolist(), strict=True)),
    )


def _least_squares(
    off: Callable[[Array], Array], start: list[float], limits: Sequence[tuple[float, float]]
) -> OptimizeResult:
    """Fit within limits."""
    low, high = np.array(limits, dtype=float).T
    inside = np.clip(start, low + 1e-6, high - 1e-6)
    return least_squares(off, inside, bounds=(low, high), x_scale="jac", xtol=1e-6, ftol=1e-7)


def _errors(found: OptimizeResult) -> Array:
    """Return the standard errors of a fit whose residuals are in units of their errors."""
    normal = found.jac.T @ found.jac
    errors: Array = np.sqrt(np.maximum(np.diag(np.linalg.pinv(normal)), 0))
    return errors
