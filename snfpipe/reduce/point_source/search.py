"""Looking for points of light: where the source is, and what light it leaves unexplained."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snfpipe.reduce.optics import SIDE
from snfpipe.reduce.point_source.psf import images, polynomial
from snfpipe.reduce.point_source.scene import Scene
from snfpipe.reduce.point_source.slices import METASLICES, Slices, binned, covariance, solve

Array = NDArray[np.float64]

#: Every spaxel of the array: where points are looked for.
_PLACES = np.array(list(itertools.product(range(-(SIDE // 2), SIDE // 2 + 1), repeat=2)))
#: All steps from one spaxel to another.
_STEPS = np.array(list(itertools.product(range(1 - SIDE, SIDE), repeat=2)))

_WIDE = 2.5  # times the radius of the source's image


@dataclass(frozen=True)
class OtherLight:
    """Light that is neither the point nor a smooth sky, over the point's and over its error.

    Neighbouring bins share their noise, so that of pure noise these numbers of errors are about
    1.3 times as large as they should be.

    Attributes
    ----------
    wide : float
        An image 2.5 times as wide at the same place, errors.
    point : float
        The brightest other point, errors.
    part : float
        The light of that point over the source's.
    """

    wide: float = 0.0
    point: float = 0.0
    part: float = 0.0


def point_fluxes(scene: Scene, slices: Slices, values: Mapping[str, float]) -> tuple[Array, Array]:
    """Return the flux of a point in each spaxel of the array, were it alone on the sky.

    Parameters
    ----------
    scene : Scene
        Gives the image of a point, refraction and sky.
    slices : Slices
        Where to look.
    values : mapping
        Parameters of the 3-D fit; x and y do not matter.

    Returns
    -------
    flux, variance : ndarray, shape (225, n_slices)
        The variance is infinite where a slice was lost.
    """
    count, length = len(_PLACES), slices.wavelength.size
    dx, dy = scene.place({**values, "x": 0.0, "y": 0.0}, slices.wavelength)
    alpha = polynomial(np.array([values[f"a{n}"] for n in range(3)]), slices.wavelength)
    shape = values["ell"], values["xy"]
    # places and lenses are whole spaxels: one image of all steps between them serves all
    image = images(scene.family, _STEPS.astype(np.float64), dx, dy, alpha, shape)
    step = scene.cube.lens[None, :, :] - _PLACES[:, None, :] + SIDE - 1
    points = image[:, step[..., 0] * (2 * SIDE - 1) + step[..., 1]]
    flux, variance = np.zeros((count, length)), np.full((count, length), np.inf)
    for k in np.flatnonzero(slices.there.any(axis=1)):
        weight, there = slices.weight[k], slices.there[k]
        on_sky = np.linalg.pinv(scene.sky * weight @ scene.sky.T) @ (scene.sky * weight)
        # what the sky can explain of points and data is nobody's
        point = points[k] - points[k] @ on_sky.T @ scene.sky
        data = slices.data[k] - on_sky @ slices.data[k] @ scene.sky
        size = (point**2 * weight).sum(axis=1).clip(1e-30)
        flux[:, k] = (point * weight) @ data / size
        noise = np.where(there, slices.variance[k], 0.0)
        variance[:, k] = (point**2 * weight**2) @ noise / size**2
    return flux, variance.clip(1e-30)


def find_place(scenes: Sequence[Scene], values: Mapping[str, float]) -> tuple[float, float]:
    """Return where the cubes of one exposure together show a point, to a spaxel.

    The errors by which it stands out of each metaslice count by their inverse hyperbolic sine: a
    cosmic in one of them weighs little against a source in all.
    """
    score = np.zeros(len(_PLACES))
    for scene in scenes:
        flux, variance = point_fluxes(scene, binned(scene.slices, METASLICES), values)
        score += np.arcsinh(flux / np.sqrt(variance)).sum(axis=1)
    x, y = _PLACES[np.argmax(score)].tolist()
    return x, y


def other_light(scene: Scene, slices: Slices, values: Mapping[str, float]) -> OtherLight:
    """Return what light a fitted source and a smooth sky leave in the slices."""
    means = binned(slices, METASLICES)
    design = scene.design(values, means.wavelength)
    solved = solve(means, design)
    source = solved.coefficients[:, 0]

    wider = dict(values) | {f"a{n}": _WIDE * values[f"a{n}"] for n in range(3)}
    both = np.concatenate([scene.design(wider, means.wavelength)[:, :1], design], axis=1)
    with_wide = solve(means, both)
    error2 = covariance(means, with_wide)[:, 0, 0].clip(1e-30)
    wide = _combined(with_wide.coefficients[:, 0], error2)

    rest = Slices(means.wavelength, means.data - solved.model, means.variance, means.even)
    flux, variance = point_fluxes(scene, rest, values)
    brightest = int(np.argmax([_combined(*pair) for pair in zip(flux, variance, strict=True)]))
    weight = 1 / variance[brightest]
    light = float((source * weight).sum())
    return OtherLight(
        wide,
        _combined(flux[brightest], variance[brightest]),
        float((flux[brightest] * weight).sum()) / light if light > 0 else np.inf,
    )


def _combined(flux: Array, variance: Array) -> float:
    """Return the weighted mean of fluxes over its error."""
    weight = 1 / variance
    return float((flux * weight).sum() / np.sqrt(weight.sum().clip(1e-30)))
