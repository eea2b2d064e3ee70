"""Where the spectra lie: traces and cross-dispersion profile, measured on a continuum frame."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from snfpipe.reduce.errors import BadInput
from snfpipe.reduce.formats import Frame
from snfpipe.reduce.optics import SPAXELS, Optics

Array = NDArray[np.float64]

_SEGMENTS = 12  # pieces of a block in which centres are measured
_DEGREE = 4
_WING_RATIO = 2.2  # width of the profile's wings over that of its core


@dataclass(frozen=True)
class Shape:
    """Profiles of a block's spectra, by row, spectrum and pixel.

    Attributes
    ----------
    pixel : ndarray, shape (rows, spectra, pixels)
        Columns.
    value : ndarray, shape (rows, spectra, pixels)
        Part of a spectrum's light in each.
    next : ndarray, shape (rows, spectra - 1, pixels)
        Part of the light of the neighbour to the right in the same.
    """

    pixel: NDArray[np.int64]
    value: Array
    next: Array


@dataclass(frozen=True)
class Traces:
    """The geometry of a frame.

    Attributes
    ----------
    optics : Optics
        The nominal layout.
    coefficients : ndarray, shape (225, degree + 1)
        Centre column as a polynomial in u, -1..1 over the rows of the block.
    sigma, wing : float
        Core width [pixels], and the part of the light in the wings.
    """

    optics: Optics
    coefficients: Array
    sigma: float
    wing: float

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """The spectra's profiles by block: the same for all frames of these traces."""
        return tuple(self._shape(block) for block in range(self.optics.blocks))

    def _shape(self, block: int) -> Shape:
        """Return the profiles of a block's spectra, row by row."""
        centres = self.centres(block)
        half = int(np.ceil(3.5 * _WING_RATIO * self.optics.profile_sigma))
        pixel = np.rint(centres).astype(np.int64)[..., None] + np.arange(-half, half + 1)
        distance = pixel - centres[..., None]
        value = profile(distance, self.sigma, self.wing)
        gap = centres[:, :-1, None] - centres[:, 1:, None]
        other = profile(distance[:, :-1] + gap, self.sigma, self.wing)
        other[np.abs(distance[:, :-1] + gap) > half + 0.5] = 0
        inside = (pixel >= 0) & (pixel < self.optics.nx)
        return Shape(
            np.clip(pixel, 0, self.optics.nx - 1),
            np.where(inside, value, 0),
            np.where(inside[:, :-1], other, 0),
        )

    def centres(self, block: int) -> Array:
        """Return the centre columns of a block's spectra by row, shape (rows, spectra)."""
        first, end = self.optics.rows(block)
        powers = _powers(np.arange(end - first), end - first)
        centres: Array = powers @ self.coefficients[self.optics.block == block].T
        return centres


def profile(distance: Array, sigma: float, wing: float) -> Array:
    """Return the part of a spectrum's light in a pixel at a distance from its centre."""
    core = _pixel(distance, sigma)
    return (1 - wing) * core + wing * _pixel(distance, _WING_RATIO * sigma)


def find_traces(continuum: Frame, optics: Optics) -> Traces:
    """Measure the traces of all spectra on a continuum frame.

    Raises
    ------
    BadInput
        The frame shows no spectra where they should be.
    """
    coefficients = np.zeros((SPAXELS, _DEGREE + 1))
    for block in range(optics.blocks):
        own = np.flatnonzero(optics.block == block)
        coefficients[own] = _fit_block(continuum, optics, block, optics.column[own])
    for _ in range(2):
        sigma, wing = _fit_profile(continuum, optics, coefficients)
        for block in range(optics.blocks):
            own = optics.block == block
            coefficients[own, :2] += _profile_shift(
                continuum, optics, block, coefficients[own], sigma, wing
            )
    return Traces(optics, coefficients, sigma, wing)


def _profile_shift(
    frame: Frame, optics: Optics, block: int, coefficients: Array, sigma: float, wing: float
) -> Array:
    """Return offset and tilt by which each spectrum of a block departs from its profile.

    Unlike a centroid this knows what masks and the edge of the chip leave of a profile.
    """
    first, end = optics.rows(block)
    basis = _powers(np.arange(end - first), end - first)
    centre = basis @ coefficients.T
    half = int(np.ceil(4 * sigma))
    pixel = np.rint(centre).astype(np.int64)[..., None] + np.arange(-half, half + 1)
    inside = (pixel >= 0) & (pixel < optics.nx)
    pixel = np.clip(pixel, 0, optics.nx - 1)
    rows = np.arange(first, end)[:, None, None]
    data, variance = frame.data[rows, pixel], frame.variance[rows, pixel]
    weight = np.where(inside & frame.good[rows, pixel], 1 / variance, 0)
    distance = pixel - centre[..., None]
    shape = profile(distance, sigma, wing)
    seen = np.maximum((weight * shape**2).sum(axis=2), 1e-12)
    light = np.maximum((weight * shape * data).sum(axis=2) / seen, 0)
    slope = profile(distance - 0.05, sigma, wing) - profile(distance + 0.05, sigma, wing)
    slope = slope / 0.1 * light[..., None]
    pull = (weight * slope * (data - light[..., None] * shape)).sum(axis=2)
    power = (weight * slope**2).sum(axis=2)
    two = basis[:, :2]
    normal = np.einsum("ri,rn,rj->nij", two, power, two)
    normal += 1e-6 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(2) + 1e-9
    step = np.linalg.solve(normal, np.einsum("ri,rn->ni", two, pull)[..., None])[..., 0]
    return np.asarray(np.clip(step, -1, 1))


def _pixel(distance: Array, sigma: float) -> Array:
    """Return a Gaussian's integral over a pixel."""
    scale = 1 / (np.sqrt(2) * sigma)
    part: Array = 0.5 * (erf((distance + 0.5) * scale) - erf((distance - 0.5) * scale))
    return part


def _powers(row: Array | NDArray[np.int64], rows: int) -> Array:
    """Return Legendre polynomials of rows, shape (rows, degree + 1)."""
    u = 2 * (np.asarray(row) + 0.5) / rows - 1
    basis: Array = np.polynomial.legendre.legvander(u, _DEGREE)
    return basis


def _fit_block(frame: Frame, optics: Optics, block: int, nominal: Array) -> Array:
    """Measure centres in segments of a block and fit a polynomial to each spectrum."""
    first, end = optics.rows(block)
    cut = np.linspace(0, end - first, _SEGMENTS + 1).astype(int)
    good = np.where(frame.good, frame.data, 0.0)[first:end]
    strips = np.stack([np.median(good[a:b], axis=0) for a, b in pairwise(cut)])
    strips = strips - np.percentile(strips, 10, axis=1, keepdims=True)
    reach = 0.38 * optics.nx / (-(-SPAXELS // optics.blocks))
    centre = nominal + _common_shift(strips, nominal, optics)
    centres = np.tile(centre, (_SEGMENTS, 1))
    for _ in range(8):
        centres, light = _centroids(strips, centres, optics.profile_sigma * 1.6, reach)
    middle = (cut[:-1] + cut[1:] - 1) / 2
    basis = _powers(middle, end - first)
    level = np.median(light.max(axis=0))
    if not level > 0:
        raise BadInput(f"no spectra in block {block + 1} of the continuum")
    weight = np.sqrt(np.clip(light / level, 1e-4, 1.0))
    # where the lamp is faint no single spectrum tells where it goes: all of them together do, and
    # each adds an offset and a tilt
    away = centres - nominal
    common = _polynomial(basis, weight, (weight**2 * away).sum(axis=1) / (weight**2).sum(axis=1))
    found = np.tile(common, (nominal.size, 1))
    found[:, 0] += nominal
    for n in range(nominal.size):
        found[n, :2] += _polynomial(basis[:, :2], weight[:, n : n + 1], away[:, n] - basis @ common)
    off = np.abs(np.median(basis @ found.T, axis=0) - nominal)
    if np.median(off) > 2.5:
        raise BadInput(f"the spectra of block {block + 1} lie {np.median(off):.1f} pixels off")
    return found


def _polynomial(basis: Array, weight: Array, values: Array) -> Array:
    """Fit a polynomial to values by segment, weighted by the segments' mean weights."""
    w = weight.mean(axis=1)
    return np.asarray(np.linalg.lstsq(basis * w[:, None], values * w, rcond=None)[0])


def _common_shift(strips: Array, nominal: Array, optics: Optics) -> float:
    """Return the shift of all spectra that collects most light."""
    total = strips.sum(axis=0)
    x = np.arange(total.size)
    trials = np.arange(-2.5, 2.51, 0.25)
    combs = profile(
        x[None, :, None] - nominal[None, None, :] - trials[:, None, None], optics.profile_sigma, 0.0
    ).sum(axis=2)
    return float(trials[np.argmax(combs @ total)])


def _centroids(strips: Array, centres: Array, sigma: float, reach: float) -> tuple[Array, Array]:
    """Improve centres by centroids under a Gaussian weight; also return the light under it."""
    nx = strips.shape[1]
    half = int(np.ceil(reach))
    offset = np.arange(-half, half + 1)
    pixel = np.clip(np.rint(centres).astype(int)[..., None] + offset, 0, nx - 1)
    distance = pixel - centres[..., None]
    rows = np.arange(strips.shape[0])[:, None, None]
    weight = np.exp(-0.5 * (distance / sigma) ** 2) * np.clip(strips[rows, pixel], 0, None)
    light = weight.sum(axis=2)
    # a Gaussian weight of 1.6 sigma moves a centroid only part of the way: step further
    step = (weight * distance).sum(axis=2) / np.maximum(light, 1e-9)
    return centres + 1.35 * np.clip(step, -0.5, 0.5), light


def _fit_profile(frame: Frame, optics: Optics, coefficients: Array) -> tuple[float, float]:
    """Fit core width and wings to the mean profile of all bright rows, half-way to a neighbour.

    Where the wings are not seen as far out as that, they are taken for scattered light.
    """
    pitch = optics.nx / -(-SPAXELS // optics.blocks)
    sigma = optics.profile_sigma
    reach, core = int(pitch / 2), int(np.ceil(2 * sigma))
    edges = np.linspace(-reach, reach, 20 * reach + 1)
    light = np.zeros(edges.size - 1)
    weight = np.zeros(edges.size - 1)
    offset = np.arange(-reach, reach + 1)
    for block in range(optics.blocks):
        first, end = optics.rows(block)
        own = optics.block == block
        centre = _powers(np.arange(end - first), end - first) @ coefficients[own].T
        base = np.rint(centre).astype(int)
        inside = (base > reach) & (base < optics.nx - reach - 1)
        pixel = np.clip(base[..., None] + offset, 0, optics.nx - 1)
        rows = np.arange(first, end)[:, None, None]
        value, good = frame.data[rows, pixel], frame.good[rows, pixel]
        total = value[..., reach - core : reach + core + 1].sum(axis=2)
        bright = inside & (total > np.percentile(total, 40)) & good.all(axis=2)
        distance = (pixel - centre[..., None])[bright]
        share = (value / np.maximum(total, 1)[..., None])[bright]
        light += np.histogram(distance, edges, weights=share)[0]
        weight += np.histogram(distance, edges)[0]
    middle = (edges[1:] + edges[:-1]) / 2
    use = weight > 50
    mean = light[use] / weight[use]
    from scipy.optimize import least_squares

    def off(p: Array) -> Array:
        near = [profile(middle[use] + away, p[0], p[1]) for away in (-pitch, 0.0, pitch)]
        return np.asarray(p[2] * sum(near) + p[3] - mean)

    fit = least_squares(off, [sigma, 0.04, 1.0, 0.0],
                        bounds=([0.3, 0.0, 0.5, -0.1], [5.0, 0.3, 1.5, 0.1]))  # fmt: skip
    return float(fit.x[0]), float(fit.x[1])
