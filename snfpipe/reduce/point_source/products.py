"""The files of an extraction: spectra of source and sky, and the log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from snfpipe.reduce.formats import MASKED, Spectrum, kept, write_spectrum
from snfpipe.reduce.optics import STEP_ARCSEC
from snfpipe.reduce.point_source.extraction import Extraction
from snfpipe.reduce.point_source.psf import REFERENCE


def make_header(found: Extraction, cube: str, psf: str) -> fits.Header:
    """Return the header of the spectra: how they were extracted."""
    header = kept(found.scene.cube.header)
    fitted, errors = found.fit.values, found.fit.errors
    shown = found.other if found.follows and found.other is not None else found
    apart = None if found.channels_apart is None else round(found.channels_apart, 4)
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
        ("ES_PSF", psf, "Family of images"),
        ("ES_TFLUX", round(flux, 3), "[electron] Sum of the spectrum"),
        ("ES_SFLUX", round(sky, 3), "[electron arcsec-2] Sum of the sky"),
        ("ES_HOST", found.scene.host, "A galaxy was fitted beside the source"),
        ("ES_PRIOR", " ".join(sorted(found.priors)), "What was known beforehand"),
        ("ES_SN", round(found.signal, 4), "Median of the spectrum over its error"),
        ("ES_PLACE", shown.channel, "Channel that shows the place best"),
        ("ES_DMETA", round(shown.metaslices_off, 4), "[spaxel] Metaslices off the fit, median"),
        ("ES_DCHAN", apart, "[spaxel] Between the places of B and R"),
        ("ES_WIDE", round(found.light.wide, 3), "Errors of an image 2.5 times as wide"),
        ("ES_POINT", round(found.light.point, 3), "Errors of the brightest other point"),
        ("SEEING", round(found.seeing, 4), "[arcsec] FWHM at ES_LREF"),
    ]
    for card, value, comment in cards:
        header[card] = (value, comment)
    for name in ("delta", "theta", "x", "y"):
        header[f"ES_D{name[:1].upper()}"] = (round(errors[name], 6), f"Error of {name}")
    return header


def write_term(
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


def write_log(path: str, found: Extraction) -> None:
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
