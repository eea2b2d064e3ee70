"""Wavelength calibration: an arc's spectra -> dispersion of every spaxel, and rebinning.

At low resolution lines blend, so no line is centred by itself: strengths common to all spaxels
and positions of each spaxel are fitted in turn to whole spectra.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.special import ndtr

from snfpipe.reduce import calibration
from snfpipe.reduce.errors import BadInput
from snfpipe.reduce.optics import Optics

Array = NDArray[np.float64]

_MOST_SHIFT = 3.0  # rows


@dataclass(frozen=True)
class Dispersion:
    """Row of a wavelength, for each spaxel: the nominal one and a polynomial.

    Attributes
    ----------
    coefficients : ndarray, shape (225, degree + 1)
        Of Legendre polynomials in u, -1..1 over the channel's wavelengths.
    rms_bins : float
        Scatter of the positions of single lines around the solution.
    """

    optics: Optics
    coefficients: Array
    rms_bins: float

    def rows(self, wavelength: Array) -> Array:
        """Return rows of the block, shape (225, wavelengths)."""
        basis = _basis(wavelength, self.optics, self.coefficients.shape[1] - 1)
        rows: Array = _nominal_rows(wavelength, self.optics) + self.coefficients @ basis.T
        return rows


def _nominal_rows(wavelength: Array, optics: Optics) -> Array:
    """Return where the nominal optics puts wavelengths, by spaxel."""
    start = np.array([optics.rows(b)[0] - b * optics.ny / optics.blocks
                      for b in range(optics.blocks)])  # fmt: skip
    row = (wavelength - optics.first_wavelength) / optics.dispersion + optics.margin
    rows: Array = row[None, :] - start[optics.block][:, None]
    return rows


def _basis(wavelength: Array, optics: Optics, degree: int) -> Array:
    """Return Legendre polynomials of wavelengths."""
    low, high = optics.grid[0], optics.grid[-1]
    basis: Array = np.polynomial.legendre.legvander(
        2 * (wavelength - low) / (high - low) - 1, degree
    )
    return basis


def fit_dispersion(
    data: Array, variance: Array, optics: Optics, degree: int, flat: Array
) -> Dispersion:
    """Fit the dispersion of all spaxels to the spectra of an arc.

    Parameters
    ----------
    data, variance : ndarray, shape (225, rows)
        The arc's spectra.
    optics : Optics
        The nominal layout.
    degree : int
        Degree of the correction to the nominal dispersion.
    flat : ndarray, shape (225, rows)
        Relative throughput, so that strengths are common to all spaxels.

    Raises
    ------
    BadInput
        The arc shows no lines, or none where they should be.
    """
    lines = np.array([entry[0] for entry in calibration.load("arcs.json")[optics.channel]])
    weight = np.where(np.isfinite(variance), flat**2 / np.maximum(variance, 1), 0.0)
    spectra = np.where(np.isfinite(variance), data / flat, 0.0)
    # bright lines are limited by their shape, not by photons
    weight = 1 / (1 / np.maximum(weight, 1e-12) + (0.02 * spectra) ** 2 + 1.0)
    weight[~np.isfinite(variance)] = 0.0
    basis = _basis(lines, optics, degree)
    coefficients = np.zeros((data.shape[0], degree + 1))
    coefficients[:, 0] = _common_shift(spectra, weight, lines, optics)
    scale = np.ones((data.shape[0], 2))
    sigma = optics.line_sigma
    for turn in range(12):
        seen = _Lines.at(
            _nominal_rows(lines, optics) + coefficients @ basis.T, sigma, data.shape[1]
        )
        gain = scale @ basis[:, :2].T
        strength = seen.strengths(spectra, weight, gain)[0]
        light = strength * gain
        rest = spectra - seen.spread(light[..., None] * seen.light)
        moved, brighter = light[..., None] * seen.slope, strength[:, None] * seen.light
        jacobian = np.stack(
            [seen.spread(basis[:, j, None] * moved) for j in range(degree + 1)]
            + [seen.spread(basis[:, j, None] * brighter) for j in range(2)],
            axis=1,
        )
        step = _solve(jacobian, rest, weight, turn)
        coefficients += np.clip(step[:, : degree + 1], -0.5, 0.5)
        scale += np.clip(step[:, degree + 1 :], -0.2, 0.2)
        scale /= scale[:, 0].mean()
        if turn > 3:
            broad = seen.spread(light[..., None] * seen.wider)
            change = (weight * rest * broad).sum() / (weight * broad**2).sum()
            sigma = float(np.clip(sigma + np.clip(change, -0.1, 0.1), 0.5, 5.0))
    if np.median(np.abs(coefficients[:, 0])) > _MOST_SHIFT:
        raise BadInput("the arc's lines are not where they should be")
    return Dispersion(optics, coefficients, _scatter(seen, rest, weight, light))


@dataclass(frozen=True)
class _Lines:
    """The lines of an arc as the spaxels see them, each in a window of rows.

    Attributes
    ----------
    centre : ndarray, shape (225, n_lines)
        Rows of the lines.
    row : ndarray of int, shape (225, n_lines, window)
        Rows of the windows.
    light, slope, wider : ndarray, shape (225, n_lines, window)
        Part of a line's light in each row; its derivatives by position and by width.
    sigma : float
        Width of the lines, rows.
    count : int
        Rows of a spectrum.
    """

    centre: Array
    row: NDArray[np.int64]
    light: Array
    slope: Array
    wider: Array
    sigma: float
    count: int

    @classmethod
    def at(cls, centre: Array, sigma: float, count: int) -> _Lines:
        """Return lines at rows."""
        half = int(np.ceil(5 * sigma)) + 1
        row = np.rint(centre).astype(np.int64)[..., None] + np.arange(-half, half + 1)
        inside = (row >= 0) & (row < count)
        edge = (row[..., :1] - 0.5 + np.arange(2 * half + 2) - centre[..., None]) / sigma
        density = np.exp(-0.5 * edge**2) / (np.sqrt(2 * np.pi) * sigma)
        return cls(
            centre,
            np.clip(row, 0, count - 1),
            np.where(inside, np.diff(ndtr(edge)), 0),
            np.where(inside, -np.diff(density), 0),
            np.where(inside, -np.diff(density * edge), 0),
            sigma,
            count,
        )

    def spread(self, values: Array) -> Array:
        """Return values of windows summed by row, shape (225, rows)."""
        spaxels = self.row.shape[0]
        place = self.row + self.count * np.arange(spaxels)[:, None, None]
        total = np.bincount(place.ravel(), values.ravel(), spaxels * self.count)
        return np.asarray(total.reshape(spaxels, self.count), dtype=np.float64)

    def of(self, values: Array) -> Array:
        """Return values by row, shape (225, rows), in the windows."""
        return np.take_along_axis(values[:, None, :], self.row, axis=2)

    def strengths(self, spectra: Array, weight: Array, gain: Array) -> tuple[Array, float]:
        """Return the lines' strengths, common to all spaxels, and chi2 less that without lines."""
        w, shape = self.of(weight), gain[..., None] * self.light
        right = (w * shape * self.of(spectra)).sum(axis=(0, 2))
        normal = np.diag((w * shape**2).sum(axis=(0, 2)))
        n_lines = right.size
        for near in range(1, n_lines):
            first, second = slice(None, -near), slice(near, None)
            gap = np.abs(self.centre[:, second] - self.centre[:, first]).min(axis=0)
            close = np.flatnonzero(gap < self.light.shape[2])
            if not close.size:
                break
            edge = self.row[:, close] - self.centre[:, close + near, None]
            other = ndtr((edge + 0.5) / self.sigma) - ndtr((edge - 0.5) / self.sigma)
            other *= gain[:, close + near, None]
            normal[close, close + near] = (w[:, close] * shape[:, close] * other).sum(axis=(0, 2))
            normal[close + near, close] = normal[close, close + near]
        if not normal.any():
            raise BadInput("nothing is left of the arc's lines")
        ridge = 1e-9 * np.trace(normal) / n_lines
        root = np.linalg.cholesky(normal + ridge * np.eye(n_lines))
        found, _ = nnls(root.T, np.linalg.solve(root, right))
        if not found.any():
            raise BadInput("the arc shows no lines")
        return found, float(found @ normal @ found - 2 * found @ right)


def _common_shift(spectra: Array, weight: Array, lines: Array, optics: Optics) -> float:
    """Return the shift of all spectra at which the lines explain most of the light."""
    some = slice(None, None, 7)
    nominal = _nominal_rows(lines, optics)[some]
    chi2 = {}
    for shift in np.arange(-2.5, 2.51, 0.25):
        seen = _Lines.at(nominal + shift, optics.line_sigma, spectra.shape[1])
        chi2[shift] = seen.strengths(spectra[some], weight[some], np.ones(nominal.shape))[1]
    return float(min(chi2, key=lambda shift: chi2[shift]))


def _solve(jacobian: Array, rest: Array, weight: Array, turn: int) -> Array:
    """Return each spaxel's step of a damped Gauss-Newton iteration."""
    normal = np.einsum("kjr,kr,kmr->kjm", jacobian, weight, jacobian, optimize=True)
    right = np.einsum("kjr,kr->kj", jacobian, weight * rest)
    size = normal.shape[1]
    diagonal = np.einsum("kjj->kj", normal)
    damping = (0.1 if turn < 3 else 1e-3) * diagonal + 1e-9 * diagonal.max() + 1e-12
    return np.linalg.solve(normal + damping[..., None] * np.eye(size), right[..., None])[..., 0]


def _scatter(seen: _Lines, rest: Array, weight: Array, light: Array) -> float:
    """Return the scatter of the positions of single strong lines, in rows."""
    w = seen.of(weight)
    pull = (seen.slope * w * seen.of(rest)).sum(axis=2)
    power = (seen.slope**2 * w).sum(axis=2)
    strong = light > 0.2 * light.max(axis=1, keepdims=True)
    offset = np.where(strong, pull / np.maximum(light * power, 1e-12), 0.0)[strong]
    return float(1.4826 * np.median(np.abs(offset - np.median(offset))))


def rebin(data: Array, variance: Array, dispersion: Dispersion, grid: Array) -> tuple[Array, Array]:
    """Rebin spectra of rows into bins of wavelength, keeping the number of electrons.

    Returns
    -------
    data, variance : ndarray, shape (225, bins)
        The variance is infinite where a bin rests on a lost row.
    """
    step = grid[1] - grid[0]
    edges = np.append(grid - step / 2, grid[-1] + step / 2)
    place = np.clip(dispersion.rows(edges) + 0.5, 0, data.shape[1])
    low, high = place[:, :-1], place[:, 1:]
    first = np.floor(low).astype(int)
    flux, noise, lost = (np.zeros(low.shape) for _ in range(3))
    reach = int(np.ceil((high - low).max())) + 1
    clean = np.where(np.isfinite(variance), variance, 0.0)
    spaxel = np.arange(data.shape[0])[:, None]
    for n in range(reach):
        row = first + n
        part = np.clip(np.minimum(high, row + 1) - np.maximum(low, row), 0, 1)
        row = np.minimum(row, data.shape[1] - 1)
        flux += part * np.where(np.isfinite(variance), data, 0.0)[spaxel, row]
        noise += part**2 * clean[spaxel, row]
        lost += part * ~np.isfinite(variance)[spaxel, row]
    bad = (lost > 0.05) | (high - low < 0.5)
    return np.where(bad, 0.0, flux), np.where(bad | (noise <= 0), np.inf, noise)
