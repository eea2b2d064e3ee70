"""Wavelength calibration: an arc's spectra -> dispersion of every spaxel, and rebinning.

At low resolution lines blend, so no line is centred by itself: strengths common to all spaxels
and positions of each spaxel are fitted in turn to whole spectra.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from snfpipe.reduce import calibration
from snfpipe.reduce.frames import BadInput
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
        rows = _nominal_rows(lines, optics) + coefficients @ basis.T
        shape, slope, wider = _lines(rows, sigma, data.shape[1])
        gain = scale @ basis[:, :2].T
        strength = _strengths(spectra, weight, shape, gain)
        light = strength * gain
        model = np.einsum("kl,klr->kr", light, shape)
        rest = spectra - model
        jacobian = np.concatenate(
            [
                np.einsum("kl,klr,lj->kjr", light, slope, basis),
                np.einsum("l,klr,lj->kjr", strength, shape, basis[:, :2]),
            ],
            axis=1,
        )
        step = _solve(jacobian, rest, weight, turn)
        coefficients += np.clip(step[:, : degree + 1], -0.5, 0.5)
        scale += np.clip(step[:, degree + 1 :], -0.2, 0.2)
        scale /= scale[:, 0].mean()
        if turn > 3:
            broad = np.einsum("kl,klr->kr", light, wider)
            change = (weight * rest * broad).sum() / (weight * broad**2).sum()
            sigma = float(np.clip(sigma + np.clip(change, -0.1, 0.1), 0.5, 5.0))
    if np.median(np.abs(coefficients[:, 0])) > _MOST_SHIFT:
        raise BadInput("the arc's lines are not where they should be")
    return Dispersion(optics, coefficients, _scatter(rest, weight, light, slope))


def _lines(rows: Array, sigma: float, count: int) -> tuple[Array, Array, Array]:
    """Return every line's light by row, its derivative by position and by width."""
    edges = np.arange(count + 1) - 0.5
    z = (edges[None, None, :] - rows[..., None]) / sigma
    cumulative = 0.5 * (1 + erf(z / np.sqrt(2)))
    density = np.exp(-0.5 * z**2) / (np.sqrt(2 * np.pi) * sigma)
    return np.diff(cumulative), -np.diff(density), -np.diff(density * z)


def _common_shift(spectra: Array, weight: Array, lines: Array, optics: Optics) -> float:
    """Return the shift of all spectra at which the lines explain most of the light."""
    some = slice(None, None, 7)
    best, least = 0.0, np.inf
    nominal = _nominal_rows(lines, optics)[some]
    for shift in np.arange(-2.5, 2.51, 0.25):
        shape = _lines(nominal + shift, optics.line_sigma, spectra.shape[1])[0]
        gain = np.ones(nominal.shape)
        strength = _strengths(spectra[some], weight[some], shape, gain)
        rest = spectra[some] - np.einsum("kl,klr->kr", strength * gain, shape)
        chi2 = float((weight[some] * rest**2).sum())
        if chi2 < least:
            best, least = float(shift), chi2
    return best


def _strengths(spectra: Array, weight: Array, shape: Array, gain: Array) -> Array:
    """Return the strengths of the lines, common to all spaxels and not negative."""
    from scipy.optimize import nnls

    design = shape * gain[..., None]
    normal = np.einsum("klr,kr,kmr->lm", design, weight, design, optimize=True)
    right = np.einsum("klr,kr->l", design, weight * spectra)
    ridge = 1e-9 * np.trace(normal) / len(right)
    root = np.linalg.cholesky(normal + ridge * np.eye(len(right)))
    found, _ = nnls(root.T, np.linalg.solve(root, right))
    if not found.any():
        raise BadInput("the arc shows no lines")
    return np.asarray(found)


def _solve(jacobian: Array, rest: Array, weight: Array, turn: int) -> Array:
    """Return each spaxel's step of a damped Gauss-Newton iteration."""
    normal = np.einsum("kjr,kr,kmr->kjm", jacobian, weight, jacobian, optimize=True)
    right = np.einsum("kjr,kr->kj", jacobian, weight * rest)
    size = normal.shape[1]
    diagonal = np.einsum("kjj->kj", normal)
    damping = (0.1 if turn < 3 else 1e-3) * diagonal + 1e-9 * diagonal.max() + 1e-12
    return np.linalg.solve(normal + damping[..., None] * np.eye(size), right[..., None])[..., 0]


def _scatter(rest: Array, weight: Array, light: Array, slope: Array) -> float:
    """Return the scatter of the positions of single strong lines, in rows."""
    pull = np.einsum("klr,kr->kl", slope, weight * rest)
    power = np.einsum("klr,kr->kl", slope**2, weight)
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
