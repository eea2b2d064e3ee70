"""extract_star: a cube -> the spectrum of its point source, and of the sky around it.

After Buton (2009) and Buton et al. (2013, A&A 549, A8): the image of a point is fitted to
metaslices one by one, then to all of the cube together, where refraction ties the slices; with
the shape so known, each slice is solved for the source's flux and the sky.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from snfpipe.reduce.errors import BadInput
from snfpipe.reduce.formats import MASKED, Cube, Spectrum, kept, read_cube, write_spectrum
from snfpipe.reduce.optics import STEP_ARCSEC
from snfpipe.reduce.point_source.galaxy import NAMES as GALAXY
from snfpipe.reduce.point_source.photometry import (
    COARSE,
    FIT_SLICES,
    METASLICES,
    Fit,
    MetasliceFit,
    Prior,
    Scene,
    Slices,
    Solved,
    binned,
    covariance,
    first_guess,
    fit_cube,
    fit_metaslices,
    guess_host,
    solve,
)
from snfpipe.reduce.point_source.psf import FAMILIES, REFERENCE, seeing_arcsec
from snfpipe.reduce.point_source.refraction import Air
from snfpipe.reduce.programs.program import BadOption, Result, Work, make_options
from snfpipe.reduce.spectra.quick import quick_extract

Array = NDArray[np.float64]

_ALPHA = Prior(2.2, 0.7)  # spaxels: seeing of 1.1 +- 0.3 arcsec
_CENTRED = 4.0  # spaxels from the middle of the array


@dataclass(frozen=True)
class Options:
    """Options of the plan.

    Attributes
    ----------
    psf : str
        Family of images, see :data:`snfpipe.reduce.point_source.psf.FAMILIES`.
    sky_degree : int or None
        Degree of the sky's polynomial, 0 to 2; None: as the item asks, or 0.
    airmass_sigma, parang_sigma : float
        How well the refraction's power (tan z) and angle [deg] are known beforehand.
    position_sigma : float
        How near the pointing brings the source to the middle of the array, spaxels.
    flag_sigma : float
        How far from what was known a value lies that is flagged, in these units.
    truncate_r : pair of float
        The range of R cubes that is extracted [Angstrom]; their ends hold no light to speak of.
    clip_sigma : float
        How far from the model a spaxel of a slice stands that is left out.
    host : bool
        Fit a galaxy beside the source where the item's sky has a slope: for supernovae.
    """

    psf: str = "gaussian-moffat"
    sky_degree: int | None = None
    airmass_sigma: float = 0.1
    parang_sigma: float = 5.0
    position_sigma: float = 1.0
    flag_sigma: float = 3.0
    truncate_r: Sequence[float] = (5100.0, 9700.0)
    clip_sigma: float = 6.0
    host: bool = True


@dataclass(frozen=True)
class Extraction:
    """All that is known of a point source.

    Attributes
    ----------
    scene : Scene
        The cube, and what fits share.
    slices : Slices
        The cube's slices as the last solve saw them.
    metaslices : list of MetasliceFit
    fit : Fit
    solved : Solved
        Flux and sky by slice.
    priors : dict
        What was known beforehand, by parameter.
    seeing : float
        Full width at half maximum at 5000 Angstrom, arcsec.
    """

    scene: Scene
    slices: Slices
    metaslices: list[MetasliceFit]
    fit: Fit
    solved: Solved
    priors: Mapping[str, Prior]
    seeing: float

    @property
    def wavelength(self) -> Array:
        """Wavelengths of the slices, Angstrom."""
        return self.slices.wavelength

    @property
    def chi2(self) -> float:
        """Chi2 a degree of freedom of the slices' solves."""
        rest = self.slices.pull_scale * (self.slices.data - self.solved.model)
        free = int(self.slices.there.sum()) - self.solved.coefficients.size - len(self.fit.values)
        return float((rest**2).sum()) / max(free, 1)

    @property
    def distance(self) -> float:
        """Chi2 of all that the cube holds; what stands off counts as one at its limit."""
        cube = self.scene.cube
        good = np.isfinite(cube.variance.T)
        rest2 = np.where(good, (cube.data.T - self.solved.model) ** 2, 0)
        return float(np.minimum(rest2 / np.where(good, cube.variance.T, 1), 36.0).sum())

    @property
    def flux(self) -> Array:
        """Flux of the source, electrons a bin."""
        return self.solved.coefficients[:, 0]

    @cached_property
    def covariance(self) -> Array:
        """Covariance of the terms by slice: flux, sky."""
        return covariance(self.slices, self.solved)

    @property
    def flux_variance(self) -> Array:
        """Variance of the flux."""
        return self.covariance[:, 0, 0]


def reducer(given: Mapping[str, Any]) -> Callable[[Work], Result]:
    """Return what makes one item with these options."""
    options = make_options(Options, given)
    if options.psf not in FAMILIES:
        raise BadOption(f"option psf: {options.psf!r} is none of {', '.join(FAMILIES)}")
    if options.sky_degree not in (None, 0, 1, 2):
        raise BadOption(f"option sky_degree: {options.sky_degree} is none of 0, 1, 2")
    return lambda work: _reduce(work, options)


def extract_star(
    cube: Cube, options: Options, sky_degree: int, values: Mapping[str, Any]
) -> Extraction:
    """Extract the point source of a cube.

    Parameters
    ----------
    cube : Cube
        Electrons a bin.
    options : Options
        Of the plan.
    sky_degree : int
        Degree of the sky's polynomial.
    values : mapping
        airmass, parang [deg], pressure [mbar], temperature [deg C], as far as they are known;
        what is missing is taken from the cube's header.

    Raises
    ------
    BadInput
        No slice shows a source.
    """
    cube = _truncated(cube, options)
    known = {
        name: values[name] if values.get(name) is not None else cube.header.get(card)
        for name, card in _CARDS.items()
    }
    air = Air.of(known["pressure"], known["temperature"])
    priors = _priors(known, options)
    family = FAMILIES[options.psf]
    alone = _fit_alone(Scene(cube, family, air, sky_degree), priors, options)
    if not (options.host and sky_degree > 0):
        return alone
    on_galaxy = _fit_host(Scene(cube, family, air, sky_degree, host=True), priors, options)
    # a galaxy has to explain more than as many numbers do by chance, and be told from the source
    more = on_galaxy.solved.coefficients.shape[0] + len(GALAXY)
    explains = on_galaxy.distance + 3 * more < alone.distance
    apart = np.median(on_galaxy.flux_variance) < 4 * np.median(alone.flux_variance)
    return on_galaxy if explains and apart else alone


def _fit_alone(scene: Scene, priors: Mapping[str, Prior], options: Options) -> Extraction:
    """Fit a source on a smooth sky: the metaslices tell where to start."""
    quick = quick_extract(scene.cube)
    start = quick.x, quick.y
    metaslices = fit_metaslices(scene, binned(scene.slices, METASLICES), start)
    if len(metaslices) < 2:
        raise BadInput("no point source is seen in the cube")
    guess = first_guess(scene, metaslices, priors)
    fit, slices, solved = _fit_all(scene, guess, priors, options)
    seeing = seeing_arcsec(scene.family, fit.values["a0"])
    return Extraction(scene, slices, metaslices, fit, solved, priors, seeing)


def _fit_host(scene: Scene, priors: Mapping[str, Prior], options: Options) -> Extraction:
    """Fit a source on a galaxy: coarsely first; the metaslices are seen once it is taken off."""
    cube = scene.cube
    coarse = binned(scene.slices, COARSE)
    guess = fit_cube(scene, coarse, guess_host(scene, coarse, priors), priors).values
    fit, slices, solved = _fit_all(scene, guess, priors, options)
    light = solved.coefficients[:, -1:] * scene.design(fit.values, cube.wavelength)[:, -1]
    bare = replace(cube, data=cube.data - light.T)
    metaslices = fit_metaslices(
        Scene(bare, scene.family, scene.air, scene.sky_degree),
        binned(replace(slices, data=bare.data.T), METASLICES),
        (fit.values["x"], fit.values["y"]),
    )
    seeing = seeing_arcsec(scene.family, fit.values["a0"])
    return Extraction(scene, slices, metaslices, fit, solved, priors, seeing)


def _fit_all(
    scene: Scene, guess: Mapping[str, float], priors: Mapping[str, Prior], options: Options
) -> tuple[Fit, Slices, Solved]:
    """Fit all slices together, then solve each; the first round finds what the second weighs by."""
    cube = scene.cube
    for _ in range(2):
        fit = fit_cube(scene, binned(scene.slices, FIT_SLICES), guess, priors)
        guess = fit.values
        design = scene.design(fit.values, cube.wavelength)
        solved = solve(scene.slices, design)
        scene.reweigh(solved.model, options.clip_sigma)
    return fit, scene.slices, solve(scene.slices, design)


_CARDS = {"airmass": "AIRMASS", "parang": "PARANG", "pressure": "PRESSURE", "temperature": "TEMP"}


def _truncated(cube: Cube, options: Options) -> Cube:
    """Return the range of a cube that is extracted."""
    is_red = str(cube.header.get("CHANNEL", "")).strip() == "R"
    low, high = options.truncate_r if is_red else (0.0, np.inf)
    use = (cube.wavelength >= low) & (cube.wavelength <= high)
    if use.sum() < METASLICES:
        raise BadInput(f"the cube has {use.sum()} slices to extract, {METASLICES} are needed")
    return replace(
        cube,
        wavelength=cube.wavelength[use],
        data=cube.data[:, use],
        variance=cube.variance[:, use],
    )


def _priors(known: Mapping[str, Any], options: Options) -> dict[str, Prior]:
    """Return what is known of the parameters before the fit."""
    priors = {"a0": _ALPHA, "ell": Prior(1.0, 0.2), "xy": Prior(0.0, 0.15)}
    priors |= {name: Prior(0.0, options.position_sigma) for name in ("x", "y")}
    airmass, parang = known["airmass"], known["parang"]
    if airmass is not None and airmass >= 1:
        priors["delta"] = Prior(float(np.sqrt(airmass**2 - 1)), options.airmass_sigma)
    if parang is not None:
        priors["theta"] = Prior(float(parang), options.parang_sigma)
    return priors


def _reduce(work: Work, options: Options) -> Result:
    """Extract one cube's star and write what is asked for."""
    from snfpipe.reduce.point_source import plots

    cube_path = work.inputs["cube"]
    degree = options.sky_degree
    if degree is None:
        degree = int(work.values.get("sky_degree") or 0)
    found = extract_star(read_cube(cube_path), options, degree, work.values)
    header = _header(found, Path(cube_path).name, options)
    writers: dict[str, Callable[[str], None]] = {
        "spectrum": lambda path: _write(path, header, found, 0, 1.0, "electron"),
        "background": lambda path: _write(path, header, found, 1, STEP_ARCSEC**-2,
                                          "electron arcsec-2"),
        "log": lambda path: _write_log(path, found),
        "plot_fit": lambda path: plots.plot_fit(path, found),
        "plot_adr": lambda path: plots.plot_adr(path, found),
        "plot_spectrum": lambda path: plots.plot_spectrum(path, found),
    }  # fmt: skip
    for role, path in work.outputs.items():
        writers[role](path)
    fitted = found.fit.values
    measured = {
        "seeing": found.seeing,
        "airmass_fit": float(np.hypot(1, fitted["delta"])),
        "parang_fit": fitted["theta"],
        "x": fitted["x"],
        "y": fitted["y"],
        "chi2": found.chi2,
    }
    return Result(list(work.outputs), measured, flags=flags(found, options))


#: Parameter -> flag of a value far from what was known beforehand.
_FLAGS = {
    "x": "ES_PRIOR_POSITION",
    "y": "ES_PRIOR_POSITION",
    "a0": "ES_PRIOR_SEEING",
    "delta": "ES_PRIOR_AIRMASS",
    "theta": "ES_PRIOR_PARANGLE",
}


def flags(found: Extraction, options: Options) -> list[str]:
    """Return the quality flags of an extraction, in order and once."""
    fitted = found.fit.values
    far = {
        flag
        for name, flag in _FLAGS.items()
        if (prior := found.priors.get(name))
        and abs(fitted[name] - prior.mean) > options.flag_sigma * prior.sigma
    }
    if max(abs(fitted["x"]), abs(fitted["y"])) > _CENTRED:
        far.add("ES_MIS-CENTERED")
    return sorted(far)


def _header(found: Extraction, cube: str, options: Options) -> fits.Header:
    """Return the header of the spectra: how they were extracted."""
    header = kept(found.scene.cube.header)
    fitted, errors = found.fit.values, found.fit.errors
    flux = float(found.flux.sum())
    sky = float(found.solved.coefficients[:, 1].sum()) / STEP_ARCSEC**2
    cards: list[tuple[str, Any, str]] = [
        ("ES_CUBE", cube, "Input cube"),
        ("ES_LREF", REFERENCE, "[Angstrom] Reference wavelength"),
        ("ES_SDEG", round(np.sqrt(8 * len(found.scene.sky) + 1) / 2 - 1.5), "Degree of the sky"),
        ("ES_CHI2", round(found.chi2, 4), "chi2 a degree of freedom"),
        ("ES_AIRM", round(float(np.hypot(1, fitted["delta"])), 5), "Airmass, fitted"),
        ("ES_PARAN", round(fitted["theta"], 4), "[deg] Parallactic angle, fitted"),
        ("ES_XC", round(fitted["x"], 5), "[spaxel] Place at ES_LREF"),
        ("ES_YC", round(fitted["y"], 5), "[spaxel] Place at ES_LREF"),
        ("ES_XY", round(fitted["xy"], 5), "Shape: cross term"),
        ("ES_E0", round(fitted["ell"], 5), "Shape: ellipticity"),
        *((f"ES_A{n}", round(fitted[f"a{n}"], 5), f"alpha: coefficient {n}") for n in range(3)),
        ("ES_LMIN", float(found.wavelength[0]), "[Angstrom] First bin"),
        ("ES_LMAX", float(found.wavelength[-1]), "[Angstrom] Last bin"),
        ("ES_METH", "psf", "Method of extraction"),
        ("ES_PSF", options.psf, "Family of images"),
        ("ES_TFLUX", round(flux, 3), "[electron] Sum of the spectrum"),
        ("ES_SFLUX", round(sky, 3), "[electron arcsec-2] Sum of the sky"),
        ("ES_HOST", found.scene.host, "A galaxy was fitted beside the source"),
        ("ES_PRIOR", " ".join(sorted(found.priors)), "What was known beforehand"),
        ("SEEING", round(found.seeing, 4), "[arcsec] FWHM at ES_LREF"),
    ]
    for card, value, comment in cards:
        header[card] = (value, comment)
    for name in ("delta", "theta", "x", "y"):
        header[f"ES_D{name[:1].upper()}"] = (round(errors[name], 6), f"Error of {name}")
    return header


def _write(
    path: str, header: fits.Header, found: Extraction, term: int, scale: float, unit: str
) -> None:
    """Write the spectrum of a term of the solve, and its variance."""
    data = found.solved.coefficients[:, term] * scale
    variance = np.maximum(found.covariance[:, term, term] * scale**2, 1e-30)
    there = found.slices.there.any(axis=1)
    with_unit = header.copy()
    with_unit["BUNIT"] = unit
    write_spectrum(
        path,
        Spectrum(with_unit, found.wavelength, np.where(there, data, 0.0),
                 np.where(there, variance, MASKED)),
    )  # fmt: skip


def _write_log(path: str, found: Extraction) -> None:
    """Write how the fits went, as text."""
    lines = [
        "# 2-D fits of metaslices (spaxels)",
        "# wavelength      x      +-      y      +-   alpha      +-     ell      xy",
    ]
    for one in found.metaslices:
        x, y, alpha, ell, xy = one.values
        dx, dy, dalpha = one.errors[:3]
        lines.append(
            f"{one.wavelength:12.1f} {x:7.3f} {dx:7.4f} {y:7.3f} {dy:7.4f} "
            f"{alpha:7.3f} {dalpha:7.4f} {ell:7.3f} {xy:7.3f}"
        )
    lines += ["", "# 3-D fit", "# parameter     value         +-  known beforehand"]
    for name, value in found.fit.values.items():
        known = found.priors.get(name)
        told = f"{known.mean:.4f} +- {known.sigma:.4f}" if known else "-"
        lines.append(f"{name:11s} {value:9.4f} {found.fit.errors[name]:10.5f}  {told}")
    lines += ["", f"chi2 a degree of freedom  {found.chi2:.4f}",
              f"seeing                    {found.seeing:.3f} arcsec"]  # fmt: skip
    aside = Path(f"{path}.part")
    aside.write_text("\n".join(lines) + "\n", encoding="ascii")
    aside.replace(path)
