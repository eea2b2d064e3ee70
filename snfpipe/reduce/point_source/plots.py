"""Plots of an extraction, as PNG files without anything that varies from run to run."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray

from snfpipe.reduce.optics import SIDE, STEP_ARCSEC
from snfpipe.reduce.point_source.extraction import Extraction
from snfpipe.reduce.point_source.psf import polynomial
from snfpipe.reduce.point_source.slices import METASLICES, binned

Array = NDArray[np.float64]

_DATA, _MODEL, _SKY = "#1f4e79", "#c8442b", "#3a7d44"
_STYLE: Any = {"font.size": 8, "axes.grid": True, "grid.alpha": 0.25, "legend.frameon": False}


def _save(figure: Figure, path: str) -> None:
    """Write a figure aside and rename it; the bytes follow from the figure alone."""
    aside = f"{path}.part"
    figure.savefig(aside, format="png", dpi=100, metadata={"Software": None})
    os.replace(aside, path)


def _title(found: Extraction) -> str:
    """Return what the plot is of."""
    header = found.scene.cube.header
    return f"{str(header.get('OBJECT', '')).strip()}, channel {header.get('CHANNEL', '?')}"


def plot_fit(path: str, found: Extraction) -> None:
    """Plot data, model and residuals of some metaslices, and their radial profiles."""
    cube = found.scene.cube
    data = binned(found.slices, METASLICES)
    model = binned(replace(found.slices, data=found.solved.model), METASLICES)
    chosen = range(0, data.wavelength.size, 2)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(1.5 * len(chosen), 7), layout="constrained")
        figure.suptitle(f"{_title(found)}: metaslices, 3-D fit")
        axes = figure.subplots(4, len(chosen), squeeze=False)
        for column, k in enumerate(chosen):
            there = data.there[k]
            image = np.where(there, data.data[k], np.nan)
            rest = data.pull_scale[k] * (image - model.data[k])
            low, high = np.nanpercentile(image, (2, 99.5))
            _image(axes[0, column], cube.lens, image, (low, high), "viridis")
            _image(axes[1, column], cube.lens, model.data[k], (low, high), "viridis")
            _image(axes[2, column], cube.lens, rest, (-5.0, 5.0), "RdBu_r")
            axes[0, column].set_title(f"{data.wavelength[k]:.0f} Å")
            x, y = found.scene.place(found.fit.values, data.wavelength[k : k + 1])
            radius = np.hypot(*(found.scene.lens - [x[0], y[0]]).T)
            axes[3, column].semilogy(radius, image, ".", ms=2.5, color=_DATA)
            axes[3, column].semilogy(radius[there], model.data[k][there], ".", ms=1.5, color=_MODEL)
            axes[3, column].yaxis.set_minor_formatter(NullFormatter())
            axes[3, column].set_xlabel("radius [spaxel]")
        for row, name in enumerate(("data", "model", "residual / error")):
            axes[row, 0].set_ylabel(f"{name}\n[spaxel]")
        axes[3, 0].set_ylabel("e-/bin")
        _save(figure, path)


def _image(
    axis: Axes, lens: NDArray[np.int64], values: Array, limits: tuple[float, float], colours: str
) -> None:
    """Show a slice as an image, y upwards."""
    square = np.full((SIDE, SIDE), np.nan)
    square[lens[:, 1] + SIDE // 2, lens[:, 0] + SIDE // 2] = values
    edge = SIDE / 2
    axis.imshow(square, origin="lower", cmap=colours, vmin=limits[0], vmax=limits[1],
                extent=(-edge, edge, -edge, edge))  # fmt: skip
    axis.grid(False)
    axis.set_xticks([-5, 0, 5])
    axis.set_yticks([-5, 0, 5])


def plot_adr(path: str, found: Extraction) -> None:
    """Plot place and radius by wavelength: metaslices with errors, and the 3-D fit."""
    wavelength = np.array([one.wavelength for one in found.metaslices])
    values = np.array([one.values for one in found.metaslices]).reshape(-1, 5)
    errors = np.array([one.errors for one in found.metaslices]).reshape(-1, 5)
    x, y = found.scene.place(found.fit.values, found.wavelength)
    fitted, wrong = found.fit.values, found.fit.errors
    alpha = polynomial(np.array([fitted["a0"], fitted["a1"], fitted["a2"]]), found.wavelength)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(9, 5.5), layout="constrained")
        figure.suptitle(
            f"{_title(found)}: airmass {np.hypot(1, fitted['delta']):.3f}, parallactic angle "
            f"{fitted['theta']:.2f} ± {wrong['theta']:.2f}°, seeing {found.seeing:.2f}″"
        )
        grid = figure.add_gridspec(3, 2, width_ratios=(1.5, 1))
        for row, (curve, n, name) in enumerate(
            ((x, 0, "x [spaxel]"), (y, 1, "y [spaxel]"), (alpha, 2, "alpha [spaxel]"))
        ):
            axis = figure.add_subplot(grid[row, 0])
            axis.errorbar(wavelength, values[:, n], errors[:, n], fmt="o", ms=3, color=_DATA,
                          label="metaslices")  # fmt: skip
            axis.plot(found.wavelength, curve, color=_MODEL, label="3-D fit")
            axis.set_ylabel(name)
        axis.set_xlabel("wavelength [Å]")
        axis.legend()
        sky = figure.add_subplot(grid[:, 1])
        sky.errorbar(values[:, 0], values[:, 1], errors[:, 1], errors[:, 0], fmt="none",
                     ecolor="#999999", lw=0.8)  # fmt: skip
        points = sky.scatter(values[:, 0], values[:, 1], c=wavelength, cmap="turbo", s=14, zorder=3)
        sky.plot(x, y, color=_MODEL, lw=1)
        sky.set_aspect("equal", adjustable="datalim")
        sky.set_xlabel("x [spaxel]")
        sky.set_ylabel("y [spaxel]")
        figure.colorbar(points, ax=sky, label="wavelength [Å]", shrink=0.7)
        _save(figure, path)


def plot_spectrum(path: str, found: Extraction) -> None:
    """Plot the spectrum with its error, its signal to noise, and the sky."""
    error = np.sqrt(found.flux_variance)
    sky = found.solved.coefficients[:, 1] / STEP_ARCSEC**2
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8, 6), layout="constrained")
        figure.suptitle(f"{_title(found)}: point source and sky")
        top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(2, 1, 1))
        top.fill_between(found.wavelength, found.flux - error, found.flux + error, step="mid",
                         color=_DATA, alpha=0.3, lw=0)  # fmt: skip
        top.step(found.wavelength, found.flux, where="mid", color=_DATA, lw=1)
        top.set_ylabel("source [e-/bin]")
        middle.step(found.wavelength, found.flux / error, where="mid", color=_DATA, lw=1)
        middle.set_ylabel("signal / error")
        bottom.step(found.wavelength, sky, where="mid", color=_SKY, lw=1)
        bottom.set_ylabel("sky [e-/bin/arcsec²]")
        bottom.set_xlabel("wavelength [Å]")
        _save(figure, path)
