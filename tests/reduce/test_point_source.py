"""Extraction of made-up cubes: flags, holes, cosmics, and cubes without a star."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from snfpipe.reduce.errors import BadInput
from snfpipe.reduce.formats import Cube
from snfpipe.reduce.optics import Optics
from snfpipe.reduce.point_source.extract_star import Extraction, Options, extract_star, flags
from snfpipe.reduce.point_source.psf import FAMILIES, images
from snfpipe.reduce.point_source.refraction import Air
from snfpipe.reduce.programs.program import BadOption, make_options

OPTICS = Optics.of("B", 512, 1152)
KNOWN = {"airmass": 1.3, "parang": 40.0, "pressure": 616.0, "temperature": 2.0}
FLUX = 20_000.0


def cube(
    x: float = 0.3, y: float = -0.2, alpha: float = 2.2, airmass: float = 1.3, parang: float = 40.0
) -> Cube:
    """Return a cube of a star of even flux on an even sky, with noise."""
    wavelength = OPTICS.grid
    shift = np.sqrt(airmass**2 - 1) * Air(616.0, 2.0).shift(wavelength)
    angle = np.radians(parang)
    radius = alpha * (wavelength / 5000) ** -0.2
    star = images(
        FAMILIES["gaussian-moffat"], OPTICS.lens.astype(float), x + shift * np.sin(angle),
        y + shift * np.cos(angle), radius, (1.05, 0.02),
    ).T  # fmt: skip
    expected = FLUX * star + 30.0
    variance = expected + 40.0
    noise = np.random.default_rng(3).normal(0, np.sqrt(variance))
    header = fits.Header({"CHANNEL": "B", "OBJECT": "made up"})
    return Cube(header, wavelength, expected + noise, variance, OPTICS.lens)


def extracted(made: Cube, **options: Any) -> Extraction:
    """Extract a cube as the item of a standard."""
    return extract_star(made, Options(**options), 0, KNOWN)


def relative_flux(found: Extraction) -> NDArray[np.float64]:
    """Return the spectrum over the truth."""
    return found.flux / FLUX


def test_a_star_where_it_should_be_has_no_flags() -> None:
    found = extracted(cube())
    assert flags(found, Options()) == []
    assert abs(relative_flux(found).mean() - 1) < 0.003
    pull = (found.flux - FLUX) / np.sqrt(found.flux_variance)
    assert 0.85 < pull.std() < 1.15


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ({"x": 3.4}, ["ES_PRIOR_POSITION"]),
        ({"y": -4.6}, ["ES_MIS-CENTERED", "ES_PRIOR_POSITION"]),
        ({"alpha": 5.2}, ["ES_PRIOR_SEEING"]),
        ({"airmass": 1.9}, ["ES_PRIOR_AIRMASS"]),
        ({"parang": 70.0}, ["ES_PRIOR_PARANGLE"]),
    ],
)
def test_what_is_far_from_what_was_known_is_flagged(
    made: dict[str, float], told: list[str]
) -> None:
    found = extracted(cube(**made))
    assert flags(found, Options()) == told
    assert abs(relative_flux(found).mean() - 1) < 0.02


def test_lost_spaxels_and_cosmics_cost_no_flux() -> None:
    made = cube()
    chance = np.random.default_rng(5)
    lost = chance.random(made.data.shape) < 0.03
    made.variance[lost], made.data[lost] = np.inf, 0.0
    hit = chance.random(made.data.shape) < 0.002
    made.data[hit & ~lost] += 5_000.0
    made.variance[:, 70], made.data[:, 70] = np.inf, 0.0
    found = extracted(made)
    assert found.flux[70] == 0
    there = np.arange(found.flux.size) != 70
    assert abs(relative_flux(found)[there].mean() - 1) < 0.005
    assert relative_flux(found)[there].std() < 0.05


def test_dead_sensors_and_unknown_air_are_replaced_by_the_sites_mean() -> None:
    dead = {"airmass": 1.3, "parang": 40.0, "pressure": 0.0, "temperature": None}
    found = extract_star(cube(), Options(), 0, dead)
    assert abs(found.fit.values["theta"] - 40) < 0.5
    assert Air.of(0.0, None) == Air.of(None, 99.0) == Air(616.0, 2.0)


def test_a_cube_without_a_star_or_without_anything_is_refused() -> None:
    made = cube()
    empty = Cube(made.header, made.wavelength, made.data * 0, made.variance * np.inf, made.lens)
    with pytest.raises(BadInput, match="empty"):
        extracted(empty)
    short = Cube(
        made.header, made.wavelength[:5], made.data[:, :5], made.variance[:, :5], made.lens
    )
    with pytest.raises(BadInput, match="5 slices"):
        extracted(short)


@pytest.mark.parametrize(
    "given", [{"psf": 1}, {"host": "yes"}, {"truncate_r": [5100]}, {"clip_sigma": float("nan")}]
)
def test_options_of_the_wrong_kind_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(BadOption, match="not like its default"):
        make_options(Options, given)
