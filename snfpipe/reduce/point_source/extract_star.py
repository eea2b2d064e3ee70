"""extract_star: a cube -> the spectrum of its point source, and of the sky around it.

After Buton (2009) and Buton et al. (2013, A&A 549, A8): the image of a point is fitted to
metaslices one by one, then to all of the cube together, where refraction ties the slices; with
the shape so known, each slice is solved for the source's flux and the sky.  Both channels of an
exposure look at one place: the one that shows the source better tells the other where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from snfpipe.reduce.errors import BadInput
from snfpipe.reduce.formats import Cube, read_cube
from snfpipe.reduce.optics import STEP_ARCSEC
from snfpipe.reduce.point_source import judgement, plots, products
from snfpipe.reduce.point_source.extraction import Extraction, Options
from snfpipe.reduce.point_source.host import with_host
from snfpipe.reduce.point_source.photometry import (
    Prior,
    expected,
    first_guess,
    fit_all,
    fit_metaslices,
)
from snfpipe.reduce.point_source.psf import FAMILIES
from snfpipe.reduce.point_source.refraction import Air
from snfpipe.reduce.point_source.scene import Scene
from snfpipe.reduce.point_source.search import find_place, other_light
from snfpipe.reduce.point_source.slices import METASLICES, binned, solve
from snfpipe.reduce.programs.program import BadOption, Result, Work, make_options

_ALPHA = Prior(2.2, 0.7)  # spaxels: seeing of 1.1 +- 0.3 arcsec
_CHANNELS = 0.1  # spaxel: how well B and R agree on a place
_AT_FIRST = 0.5  # how well the first guess knows an image, as a part of its light


def reducer(given: Mapping[str, Any]) -> Callable[[Work], Result]:
    """Return what makes one item with these options."""
    options = make_options(Options, given)
    if options.psf not in FAMILIES:
        raise BadOption(f"option psf: {options.psf!r} is none of {', '.join(FAMILIES)}")
    if options.sky_degree not in (None, 0, 1, 2):
        raise BadOption(f"option sky_degree: {options.sky_degree} is none of 0, 1, 2")
    return lambda work: _reduce(work, options)


def extract_star(
    cube: Cube,
    options: Options,
    sky_degree: int,
    values: Mapping[str, Any],
    other: Cube | None = None,
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
    other : Cube, optional
        The other channel of the same exposure: it shows the same place.

    Raises
    ------
    BadInput
        The cube is empty, or too short.
    """
    cubes = [_truncated(one, options) for one in (cube, other) if one is not None]
    known = {
        name: values[name] if values.get(name) is not None else cubes[0].header.get(card)
        for name, card in _CARDS.items()
    }
    air = Air.of(known["pressure"], known["temperature"])
    priors = _priors(known, options)
    scenes = [Scene(one, FAMILIES[options.psf], air, sky_degree) for one in cubes]
    guess = expected(priors)
    guess["x"], guess["y"] = find_place(scenes, guess)
    found = [_fit(scene, guess, priors, options) for scene in scenes]
    if options.host and sky_degree > 0:
        found = [with_host(alone, options) for alone in found]
    own = found[0]
    if len(found) == 1:
        return own
    theirs = found[1]
    apart = float(np.hypot(*(own.place - theirs.place)))
    follows = theirs.signal > own.signal and not (own.scene.host or theirs.scene.host)
    if follows:
        own = _fit(scenes[0], guess | _place(theirs), priors, options, theirs)
    return replace(own, other=theirs, channels_apart=apart, follows=follows)


def _place(found: Extraction) -> dict[str, float]:
    """Return the place of a source by parameter."""
    return {name: found.fit.values[name] for name in ("x", "y")}


def _fit(
    scene: Scene,
    guess: Mapping[str, float],
    priors: Mapping[str, Prior],
    options: Options,
    shown: Extraction | None = None,
) -> Extraction:
    """Fit a source on a smooth sky; `shown` is where the other channel shows it."""
    model = solve(scene.slices, scene.design(guess, scene.cube.wavelength)).model
    scene.reweigh(model, options.clip_sigma, _AT_FIRST)
    metaslices = fit_metaslices(scene, binned(scene.slices, METASLICES), guess)
    place = {}
    if shown is not None:
        errors = shown.fit.errors
        place = {
            name: Prior(value, float(np.hypot(errors[name], _CHANNELS)))
            for name, value in _place(shown).items()
        }
    else:
        guess = first_guess(scene, metaslices, guess)
    fit, solved = fit_all(scene, guess, {**priors, **place}, options.clip_sigma)
    light = other_light(scene, scene.slices, fit.values)
    return Extraction(scene, scene.slices, metaslices, fit, solved, priors, light)


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
    cube_path = work.inputs["cube"]
    degree = options.sky_degree
    if degree is None:
        degree = int(work.values.get("sky_degree") or 0)
    other = _other_cube(work.inputs.get("other"), options)
    found = extract_star(read_cube(cube_path), options, degree, work.values, other)
    header = products.make_header(found, Path(cube_path).name, options.psf)
    writers: dict[str, Callable[[str], None]] = {
        "spectrum": lambda path: products.write_term(path, header, found, 0, 1.0, "electron"),
        "background": lambda path: products.write_term(path, header, found, 1, STEP_ARCSEC**-2,
                                                       "electron arcsec-2"),
        "log": lambda path: products.write_log(path, found),
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
        "signal": found.signal,
        "metaslices_off": found.metaslices_off,
        "wide_light": found.light.wide,
        "point_light": found.light.point,
    }
    if found.channels_apart is not None:
        measured["channels_apart"] = found.channels_apart
    told, quality = judgement.flags(found, options), judgement.quality(found, options)
    return Result(list(work.outputs), measured, quality, told)


def _other_cube(path: str | None, options: Options) -> Cube | None:
    """Return the exposure's other channel, as far as there is one that shows anything."""
    if not path:
        return None
    try:
        cube = read_cube(path)
        _truncated(cube, options)
    except BadInput:
        return None  # the item of that channel says why
    return cube if np.isfinite(cube.variance).any() else None
