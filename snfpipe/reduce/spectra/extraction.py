"""Extraction: scattered light off, then every row by weighted least squares of its profiles."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from snfpipe.reduce.formats import Frame
from snfpipe.reduce.grids import cells, stretched
from snfpipe.reduce.spectra.traces import Shape, Traces

Array = NDArray[np.float64]

_CELL = 8  # pixels a side within which stray light does not change
_TILE = 32  # pixels a side of what medians are taken of
_SMOOTH = (0.035, 0.05)  # of the chip's rows and columns: stray light changes over an eighth


@dataclass(frozen=True)
class Extracted:
    """The spectra of a frame, by spaxel and row of its block.

    Attributes
    ----------
    data, variance : ndarray, shape (225, rows)
        Electrons a row; the variance is infinite where nothing was left to fit.
    background : ndarray, shape (ny, nx)
        The scattered light that was taken off.
    cosmics : int
        Pixels rejected.
    """

    data: Array
    variance: Array
    background: Array
    cosmics: int


def extract(
    frame: Frame, traces: Traces, *, scattered_light: bool, cosmic_sigma: float | None
) -> Extracted:
    """Extract all spectra.

    Parameters
    ----------
    frame : Frame
        A preprocessed frame.
    traces : Traces
        Where the spectra lie.
    scattered_light : bool
        Fit and take off the light between the spectra.
    cosmic_sigma : float or None
        Reject pixels that stand so far above the model; None: reject nothing.
    """
    noise2 = np.mean([float(frame.header.get(f"RDNOISE{n}", 4.5)) ** 2 for n in (1, 2)])
    good = frame.good
    background = np.zeros_like(frame.data)
    data = np.zeros((traces.coefficients.shape[0], traces.optics.height))
    variance = np.full_like(data, np.inf)
    model = _first_model(frame)
    rejected = np.zeros_like(good)
    rounds = 3 if cosmic_sigma else 2
    for turn in range(rounds):
        weight = np.where(good & ~rejected, 1 / (noise2 + np.maximum(model, 0)), 0.0)
        light = np.zeros_like(frame.data)
        for block in range(traces.optics.blocks):
            own = traces.optics.block == block
            first, end = traces.optics.rows(block)
            rows = slice(first, end)
            shape = traces.shapes[block]
            flux, var = _rows(frame.data[rows] - background[rows], weight[rows], shape)
            data[own], variance[own] = flux.T[:, : data.shape[1]], var.T[:, : data.shape[1]]
            _paint(light[rows], flux, shape)
        if scattered_light:
            background = _between(frame.data - light, light, weight, background if turn else None)
        model = light + background
        if cosmic_sigma and turn < rounds - 1:
            excess = frame.data - model
            # a profile is known to some 3 per cent only, where the light is bright
            limit = cosmic_sigma * np.sqrt(noise2 + np.maximum(model, 0) + (0.05 * model) ** 2)
            rejected = good & (excess > limit)
            rejected |= good & _beside(rejected) & (excess > 0.5 * limit)
    return Extracted(data, variance, background, int(rejected.sum()))


def _first_model(frame: Frame) -> Array:
    """Return a first guess of the light, a little smoothed so that noise does not weigh itself."""
    smooth = gaussian_filter(np.where(frame.good, frame.data, 0.0), (2.0, 0.7))
    return np.maximum(smooth, 0)


def _beside(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels next to those of a mask."""
    near = mask.copy()
    near[1:] |= mask[:-1]
    near[:-1] |= mask[1:]
    near[:, 1:] |= mask[:, :-1]
    near[:, :-1] |= mask[:, 1:]
    return near


def _rows(data: Array, weight: Array, shape: Shape) -> tuple[Array, Array]:
    """Solve each row for the fluxes of its spectra: neighbours overlap, so tridiagonal."""
    rows = np.arange(data.shape[0])[:, None, None]
    w = weight[rows, shape.pixel]
    weighted = w * shape.value
    diagonal = (weighted * shape.value).sum(axis=2)
    right = (weighted * data[rows, shape.pixel]).sum(axis=2)
    side = (weighted[:, :-1] * shape.next).sum(axis=2)
    # a spectrum that has lost more than half of its light to masks is not believed
    lost = (shape.value * (w > 0)).sum(axis=2) < 0.5
    safe = np.where(lost, 1.0, diagonal)
    side = np.where(lost[:, :-1] | lost[:, 1:], 0.0, side)
    flux, inverse = _tridiagonal(safe, side, np.where(lost, 0.0, right))
    return flux, np.where(lost, np.inf, inverse)


def _tridiagonal(diagonal: Array, side: Array, right: Array) -> tuple[Array, Array]:
    """Solve symmetric tridiagonal systems, one a row; return solution and inverse's diagonal."""
    n = diagonal.shape[1]
    down, up = diagonal.copy(), diagonal.copy()
    b = right.copy()
    for k in range(1, n):
        factor = side[:, k - 1] / down[:, k - 1]
        down[:, k] -= factor * side[:, k - 1]
        b[:, k] -= factor * b[:, k - 1]
    for k in range(n - 2, -1, -1):
        up[:, k] -= side[:, k] ** 2 / up[:, k + 1]
    solution = np.empty_like(b)
    solution[:, -1] = b[:, -1] / down[:, -1]
    for k in range(n - 2, -1, -1):
        solution[:, k] = (b[:, k] - side[:, k] * solution[:, k + 1]) / down[:, k]
    return solution, 1 / (down + up - diagonal)


def _paint(light: Array, flux: Array, shape: Shape) -> None:
    """Add the modelled spectra to an image of a block."""
    place = shape.pixel + np.arange(light.shape[0])[:, None, None] * light.shape[1]
    bright = flux[..., None] * shape.value
    light += np.bincount(place.ravel(), bright.ravel(), light.size).reshape(light.shape)


def _between(rest: Array, light: Array, weight: Array, last: Array | None) -> Array:
    """Return the scattered light: what is left between the spectra, smoothed.

    Cosmics stand off what was found before (`last`; None: off medians) and count for little.
    """
    around = stretched(gaussian_filter(cells(light, _CELL) / _CELL**2, 1), light.shape)
    use = (weight > 0) & (light < 0.02 * around + 0.3)
    if last is None:
        last = _medians(rest, use)
    noise = 1 / np.sqrt(np.maximum(weight, 1e-12))
    value = last + np.clip(rest - last, -4 * noise, 4 * noise)
    below = _smooth(cells(use.astype(np.float64), _CELL))
    background = np.zeros_like(rest)
    # what smoothing leaves at the edges and in slopes is found by smoothing again
    for _ in range(2):
        above = _smooth(cells(np.where(use, value - background, 0.0), _CELL))
        background += stretched(above / np.maximum(below, 1e-6), rest.shape)
    return background


def _medians(image: Array, use: NDArray[np.bool_]) -> Array:
    """Return the medians of tiles, of the pixels in use."""
    ny, nx = (size // _TILE for size in image.shape)
    tiles = np.where(use, image, np.nan)[: ny * _TILE, : nx * _TILE]
    tiles = tiles.reshape(ny, _TILE, nx, _TILE).swapaxes(1, 2).reshape(ny, nx, -1)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        grid = np.nanmedian(tiles, axis=2)
    return stretched(np.where(np.isfinite(grid), grid, 0.0), image.shape)


def _smooth(grid: Array) -> Array:
    """Smooth cells over some hundredths of the chip."""
    scale = [part * size for part, size in zip(_SMOOTH, grid.shape, strict=True)]
    return np.asarray(gaussian_filter(grid, scale, mode="nearest"))
