"""cube_generation: an exposure, its arc and its continuum -> a cube and a quick extraction.

The traces come from the continuum, wavelengths from the arc; the continuum's low-frequency
flat takes throughput and dichroic out.  What an arc and a continuum give is used for all items
of a worklist that share them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from snfpipe.reduce.errors import BadInput
from snfpipe.reduce.formats import (
    Cube,
    Frame,
    kept,
    read_frame,
    save,
    write_euro3d,
    write_spectrum,
)
from snfpipe.reduce.optics import Optics
from snfpipe.reduce.programs.program import Result, Work, make_options
from snfpipe.reduce.spectra.extraction import Extracted, extract
from snfpipe.reduce.spectra.quick import quick_extract
from snfpipe.reduce.spectra.traces import Traces, find_traces
from snfpipe.reduce.spectra.wavelength import Dispersion, fit_dispersion, rebin

Array = NDArray[np.float64]

# Where the dichroic parts the channels, and how far its edge reaches; how far the flat is smoothed
# at least and at most [Angstrom].
_DICHROIC, _DICHROIC_HALF = 5075.0, 130.0
_SHORTEST, _LONGEST = 70.0, 600.0


@dataclass(frozen=True)
class Options:
    """Options of the plan.

    Attributes
    ----------
    scattered_light : bool
        Fit the light between the spectra and take it off.
    cosmics : bool
        Reject cosmics.
    cosmic_sigma : float
        How far above the model a cosmic stands.
    dispersion_degree : int
        Degree of the correction to the nominal dispersion.
    flat : bool
        Divide by the low-frequency flat.
    """

    scattered_light: bool = True
    cosmics: bool = True
    cosmic_sigma: float = 6.0
    dispersion_degree: int = 3
    flat: bool = True


@dataclass(frozen=True)
class Calibrated:
    """What a continuum and an arc give: geometry, wavelengths, flat, shape (225, bins)."""

    traces: Traces
    dispersion: Dispersion
    flat: Array
    continuum: Extracted


def reducer(given: Mapping[str, Any]) -> Callable[[Work], Result]:
    """Return what makes one item with these options."""
    options = make_options(Options, given)

    @lru_cache(maxsize=4)
    def calibrated(arc: str, continuum: str) -> Calibrated:
        return calibrate(arc, continuum, options)

    return lambda work: _reduce(
        work, calibrated(work.inputs["arc"], work.inputs["continuum"]), options
    )


def calibrate(arc_path: str, continuum_path: str, options: Options) -> Calibrated:
    """Measure traces, dispersion and flat."""
    continuum, arc = _read(continuum_path, "continuum"), _read(arc_path, "arc")
    channel = _channel(continuum)
    ny, nx = continuum.data.shape
    if arc.data.shape != continuum.data.shape or _channel(arc) != channel:
        raise BadInput("arc and continuum differ in size or channel")
    try:
        optics = Optics.of(channel, nx, ny)
    except ValueError as error:
        raise BadInput(str(error)) from error
    traces = find_traces(continuum, optics)
    lamp = extract(continuum, traces, scattered_light=options.scattered_light,
                   cosmic_sigma=options.cosmic_sigma if options.cosmics else None)  # fmt: skip
    lines = extract(arc, traces, scattered_light=options.scattered_light, cosmic_sigma=None)
    relative = _throughput(lamp)
    dispersion = fit_dispersion(
        lines.data, lines.variance, optics, options.dispersion_degree, relative
    )
    flat = _flat(*rebin(lamp.data, lamp.variance, dispersion, optics.grid), optics)
    return Calibrated(traces, dispersion, flat, lamp)


#: Role of a frame -> its class once preprocessed.
_CLASSES = {"arc": 4, "continuum": 8, "object": 18}


def _read(path: str, role: str) -> Frame:
    """Read the frame of a role; one that says it is something else is refused."""
    frame = read_frame(path)
    said = str(frame.header.get("FCLASS", _CLASSES[role])).strip()
    if said != str(_CLASSES[role]):
        raise BadInput(f"{Path(path).name} is no {role}: FCLASS is {said}, not {_CLASSES[role]}")
    if "CCDSEC" in frame.header:
        part = frame.header["CCDSEC"]
        raise BadInput(f"{Path(path).name} is a raster, {part} of the chip, not all spectra")
    return frame


def _channel(frame: Frame) -> str:
    """Return a frame's channel."""
    return str(frame.header.get("CHANNEL", "")).strip()


def _throughput(lamp: Extracted) -> Array:
    """Return each spaxel's mean throughput, spread over its rows."""
    good = np.where(np.isfinite(lamp.variance), lamp.data, np.nan)
    light = np.nanmedian(good, axis=1)
    if not (light > 0).all():
        raise BadInput("some spectra of the continuum are empty")
    return np.broadcast_to((light / light.mean())[:, None], lamp.data.shape)


def _flat(data: Array, variance: Array, optics: Optics) -> Array:
    """Return the low-frequency flat: each spectrum over the mean of all, smoothed.

    A parabola is fitted around every bin by least squares.  It reaches as far as it may, so that
    the lamp's photons cost nothing, but from neither side into the dichroic's edge.
    """
    good = np.isfinite(variance) & (data > 0)
    mean = np.where(good, data, 0).sum(axis=0) / np.maximum(good.sum(axis=0), 1)
    ratio = np.where(good & (mean > 0), data / np.maximum(mean, 1e-9), 0)
    # the share of a lens is near 1: the mean tells the photons' noise better than its own light
    noise2 = np.where(good & (mean > 0), variance, np.inf) / np.maximum(mean, 1e-9) ** 2
    weight = 1 / noise2
    grid = optics.grid
    reach = np.clip(np.abs(grid - _DICHROIC) - _DICHROIC_HALF, _SHORTEST, _LONGEST)
    reach = np.maximum(reach, 2.6 * optics.dispersion)[:, None]
    x = (grid[None, :] - grid[:, None]) / reach
    kernel = np.maximum(1 - x**2, 0)
    powers = [(kernel * x**n) @ weight.T for n in range(5)]
    normal = np.stack([np.stack([powers[i + j] for j in range(3)], -1) for i in range(3)], -2)
    right = np.stack([(kernel * x**n) @ (weight * ratio).T for n in range(3)], -1)
    normal += 1e-9 * powers[0][..., None, None] * np.eye(3) + 1e-30 * np.eye(3)
    smooth: Array = np.linalg.solve(normal, right[..., None])[..., 0, 0].T
    return np.maximum(np.where(powers[0].T > 0, smooth, 1.0), 0.02)


def make_cube(object_path: str, calibrated: Calibrated, options: Options) -> tuple[Cube, Extracted]:
    """Return the cube of an exposure."""
    frame = _read(object_path, "object")
    optics = calibrated.traces.optics
    if frame.data.shape != (optics.ny, optics.nx) or _channel(frame) != optics.channel:
        raise BadInput("exposure and continuum differ in size or channel")
    spectra = extract(frame, calibrated.traces, scattered_light=options.scattered_light,
                      cosmic_sigma=options.cosmic_sigma if options.cosmics else None)  # fmt: skip
    data, variance = rebin(spectra.data, spectra.variance, calibrated.dispersion, optics.grid)
    if options.flat:
        data, variance = data / calibrated.flat, variance / calibrated.flat**2
    return Cube(kept(frame.header), optics.grid, data, variance, optics.lens), spectra


def _reduce(work: Work, calibrated: Calibrated, options: Options) -> Result:
    """Make one cube and what comes with it."""
    cube, spectra = make_cube(work.inputs["object"], calibrated, options)
    quick = quick_extract(cube)
    writers: dict[str, Callable[[str], None]] = {
        "cube": lambda path: write_euro3d(path, cube),
        "quick": lambda path: write_spectrum(path, quick.spectrum),
        "table": lambda path: _write_table(path, cube.header, calibrated),
        "background": lambda path: _write_background(path, cube.header, spectra),
    }
    for role, path in work.outputs.items():
        writers[role](path)
    values = {
        "target_f": quick.flux,
        "target_x": quick.x,
        "target_y": quick.y,
        "wave_rms_bins": calibrated.dispersion.rms_bins,
        "cosmics": float(spectra.cosmics),
        "background": float(np.median(spectra.background)),
    }
    return Result(list(work.outputs), values)


def _write_table(path: str, header: fits.Header, calibrated: Calibrated) -> None:
    """Write what the continuum gave: traces, dispersion, flat, a row a lens."""
    optics = calibrated.traces.optics
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("NO", "J", array=np.arange(1, optics.lens.shape[0] + 1)),
            fits.Column("I", "J", array=optics.lens[:, 0]),
            fits.Column("J", "J", array=optics.lens[:, 1]),
            fits.Column("TRACE", f"{calibrated.traces.coefficients.shape[1]}D",
                        array=calibrated.traces.coefficients),
            fits.Column("DISPERSION", f"{calibrated.dispersion.coefficients.shape[1]}D",
                        array=calibrated.dispersion.coefficients),
            fits.Column("FLAT", f"{optics.grid.size}E", array=calibrated.flat.astype(np.float32)),
        ],
        name="TIGERTBL",
    )  # fmt: skip
    table.header["PSIGMA"] = (round(calibrated.traces.sigma, 5), "[pixel] Width of the profile")
    table.header["PWING"] = (round(calibrated.traces.wing, 5), "Part of the light in its wings")
    save(path, fits.HDUList([fits.PrimaryHDU(header=kept(header)), table]))


def _write_background(path: str, header: fits.Header, spectra: Extracted) -> None:
    """Write the scattered light on every eighth row and column."""
    grid = spectra.background[::8, ::8]
    row, column = np.mgrid[: grid.shape[0], : grid.shape[1]] * 8
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("X", "I", array=column.ravel()),
            fits.Column("Y", "I", array=row.ravel()),
            fits.Column("BKG", "E", unit="electron", array=grid.ravel().astype(np.float32)),
        ],
        name="BACKGROUND",
    )
    save(path, fits.HDUList([fits.PrimaryHDU(header=kept(header)), table]))
