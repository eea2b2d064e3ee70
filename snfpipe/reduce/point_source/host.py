"""A source on its host galaxy: both fitted together, where references do not exist yet."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, replace

import numpy as np

from snfpipe.reduce.point_source.extraction import Extraction, Options
from snfpipe.reduce.point_source.galaxy import NAMES as GALAXY
from snfpipe.reduce.point_source.galaxy import Galaxy
from snfpipe.reduce.point_source.photometry import (
    Prior,
    expected,
    fit_all,
    fit_cube,
    fit_metaslices,
)
from snfpipe.reduce.point_source.scene import Scene
from snfpipe.reduce.point_source.slices import METASLICES, Slices, binned, solve

_COARSE = 6  # slices to find a galaxy with


def with_host(alone: Extraction, options: Options) -> Extraction:
    """Return the extraction beside a galaxy, or the one without where that serves as well."""
    scene = alone.scene
    beside = Scene(scene.cube, scene.family, scene.air, scene.sky_degree, host=True)
    on_galaxy = _fit_host(beside, alone.priors, options)
    # a galaxy has to explain more than as many numbers do by chance, and be told from the source
    more = on_galaxy.solved.coefficients.shape[0] + len(GALAXY)
    explains = on_galaxy.distance + 3 * more < alone.distance
    apart = np.median(on_galaxy.flux_variance) < 4 * np.median(alone.flux_variance)
    return on_galaxy if explains and apart else alone


def _fit_host(scene: Scene, priors: Mapping[str, Prior], options: Options) -> Extraction:
    """Fit a source on a galaxy: coarsely first; the metaslices are seen once it is taken off."""
    cube = scene.cube
    coarse = binned(scene.slices, _COARSE)
    guess = fit_cube(scene, coarse, _guess_host(scene, coarse, priors), priors).values
    fit, solved = fit_all(scene, guess, priors, options.clip_sigma)
    light = solved.coefficients[:, -1:] * scene.design(fit.values, cube.wavelength)[:, -1]
    bare = replace(cube, data=cube.data - light.T)
    metaslices = fit_metaslices(
        Scene(bare, scene.family, scene.air, scene.sky_degree),
        binned(replace(scene.slices, data=bare.data.T), METASLICES),
        fit.values,
    )
    return Extraction(scene, scene.slices, metaslices, fit, solved, priors)


def _guess_host(scene: Scene, slices: Slices, priors: Mapping[str, Prior]) -> dict[str, float]:
    """Return where the 3-D fit of a source on a galaxy starts: its peak, and the best of places."""
    guess = expected(priors) | asdict(Galaxy())
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
