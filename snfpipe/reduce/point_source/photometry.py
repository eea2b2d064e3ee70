"""3-D photometry of a point source: 2-D fits of metaslices, then a 3-D fit of all slices.

What is linear (the source's flux and the polynomial of the sky) is solved for within the fits, so
that these see the shape alone: eight parameters in 2-D and nine in 3-D.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, least_squares

from snfpipe.reduce.point_source.psf import images
from snfpipe.reduce.point_source.scene import NAMES, Scene
from snfpipe.reduce.point_source.slices import Slices, Solved, binned, solve

Array = NDArray[np.float64]

FIT_SLICES = 40  # of the 3-D fit; narrow enough for refraction within one to be nothing
_ROUNDS = 25  # of a fit of a point; those of noise would wander for hundreds
_NEAR = 2.0  # spaxels within which a metaslice shows the same source


@dataclass(frozen=True)
class Prior:
    """What is known beforehand of a parameter: mean and standard deviation."""

    mean: float
    sigma: float


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


def expected(priors: Mapping[str, Prior]) -> dict[str, float]:
    """Return the parameters as they are expected before any light is seen."""
    values = {name: priors[name].mean if name in priors else 0.0 for name in NAMES}
    return values | {"a1": -0.2 * values["a0"], "a2": 0.1 * values["a0"]}


def fit_metaslices(scene: Scene, slices: Slices, guess: Mapping[str, float]) -> list[MetasliceFit]:
    """Fit every metaslice by itself; those without a source to see are left out."""
    fits = []
    x, y = scene.place(guess, slices.wavelength)
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

        found = _least_squares(off, [x[k], y[k], 2.2, 1.0, 0.0],
                               [(-9, 9), (-9, 9), (0.8, 8), (0.4, 2.5), (-0.5, 0.5)])  # fmt: skip
        errors = _errors(found)
        if found.success and np.hypot(errors[0], errors[1]) < 1:
            fits.append(MetasliceFit(float(wavelength), found.x, errors))
    return fits


def first_guess(
    scene: Scene, fits: list[MetasliceFit], guess: Mapping[str, float]
) -> dict[str, float]:
    """Return where the 3-D fit starts: the common place, shape and radius of the metaslices.

    Those that wander off say nothing; where most do, the source is faint, and what was guessed
    before them stays.
    """
    wavelength = np.array([fit.wavelength for fit in fits])
    values = np.array([fit.values for fit in fits]).reshape(-1, 5)
    x, y = scene.place(guess, wavelength)
    off = values[:, :2] - np.column_stack([x, y])
    near = np.hypot(*off.T) < _NEAR
    if near.sum() < max(2, len(fits) // 2):
        return dict(guess)
    dx, dy = np.median(off[near], axis=0)
    ell, xy = np.median(values[near, 3:], axis=0)
    alpha = float(np.median(values[near, 2] * (wavelength[near] / 5000) ** 0.2))
    return {
        **guess,
        "x": guess["x"] + float(dx),
        "y": guess["y"] + float(dy),
        "ell": float(ell),
        "xy": float(xy),
        "a0": alpha,
        "a1": -0.2 * alpha,
        "a2": 0.1 * alpha,
    }


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

    limits = [_LIMITS[name] for name in names]
    rounds = None if scene.host else _ROUNDS
    found = _least_squares(off, [guess[name] for name in names], limits, rounds)
    # neighbouring bins share their noise: the scatter of their means is more than variances say
    spread = (found.fun[: root.size] ** 2).sum() / max(1, int((root > 0).sum()) - len(names))
    errors = _errors(found) * np.sqrt(max(float(spread), 1.0))
    return Fit(
        dict(zip(names, found.x.tolist(), strict=True)),
        dict(zip(names, errors.tolist(), strict=True)),
    )


def fit_all(
    scene: Scene, guess: Mapping[str, float], priors: Mapping[str, Prior], clip_sigma: float
) -> tuple[Fit, Solved]:
    """Fit all slices together, then solve each; the first round finds what the second weighs by."""
    for _ in range(2):
        fit = fit_cube(scene, binned(scene.slices, FIT_SLICES), guess, priors)
        guess = fit.values
        design = scene.design(fit.values, scene.cube.wavelength)
        scene.reweigh(solve(scene.slices, design).model, clip_sigma)
    return fit, solve(scene.slices, design)


def _least_squares(
    off: Callable[[Array], Array],
    start: list[float],
    limits: Sequence[tuple[float, float]],
    rounds: int | None = _ROUNDS,
) -> OptimizeResult:
    """Fit within limits, in a number of rounds."""
    low, high = np.array(limits, dtype=float).T
    inside = np.clip(start, low + 1e-6, high - 1e-6)
    return least_squares(
        off, inside, bounds=(low, high), x_scale="jac", xtol=1e-6, ftol=1e-7, max_nfev=rounds
    )


def _errors(found: OptimizeResult) -> Array:
    """Return the standard errors of a fit whose residuals are in units of their errors."""
    normal = found.jac.T @ found.jac
    errors: Array = np.sqrt(np.maximum(np.diag(np.linalg.pinv(normal)), 0))
    return errors
