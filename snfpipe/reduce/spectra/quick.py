"""Quick extraction: where the point source is and how bright, by an aperture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snfpipe.reduce.formats import MASKED, Cube, Spectrum, kept

_APERTURE = 4.0  # spaxels
_SKY = 5.5  # spaxels from the source


@dataclass(frozen=True)
class Quick:
    """A quick look at a cube's point source: mean flux [e-/bin], place [spaxels], spectrum."""

    flux: float
    x: float
    y: float
    spectrum: Spectrum


def quick_extract(cube: Cube) -> Quick:
    """Find the brightest source of a cube and sum it over an aperture."""
    good = np.isfinite(cube.variance)
    image = np.where(good, cube.data, 0).sum(axis=1) / np.maximum(good.sum(axis=1), 1)
    lens = cube.lens.astype(float)
    image = image - np.percentile(image, 30)
    near = np.exp(-0.5 * ((lens[:, None, :] - lens[None, :, :]) ** 2).sum(axis=2))
    x, y = lens[np.argmax(near @ image)]
    for _ in range(5):
        inside = np.hypot(lens[:, 0] - x, lens[:, 1] - y) <= 3.0
        light = np.clip(image, 0, None) * inside
        if light.sum() <= 0:
            break
        x, y = (light[:, None] * lens).sum(axis=0) / light.sum()
    distance = np.hypot(lens[:, 0] - x, lens[:, 1] - y)
    source, sky = distance <= _APERTURE, distance > _SKY
    if not sky.any():
        sky = ~source
    data = np.where(good, cube.data, np.nan)
    level = np.nanmedian(np.where(sky[:, None] & good, data, np.nan), axis=0, keepdims=True) \
        if (sky[:, None] & good).any(axis=0).all() else np.zeros((1, data.shape[1]))  # fmt: skip
    use = source[:, None] & good
    flux = np.where(use, cube.data - level, 0).sum(axis=0)
    variance = np.where(use, cube.variance, 0).sum(axis=0)
    spectrum = Spectrum(
        kept(cube.header), cube.wavelength, flux, np.where(variance > 0, variance, MASKED)
    )
    return Quick(float(flux.mean()), float(x), float(y), spectrum)
