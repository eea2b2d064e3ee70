"""Extraction of made-up cubes: flags, holes, cosmics, and cubes without a star."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from snfpipe.reduce.errors import BadInput
from snfpipe.reduce.formats import Cube
from snfpipe.reduce.optics import Optics
from snfpipe.reduce.point_source.extract_star import extract_star
from snfpipe.reduce.point_source.extraction import Extraction, Options
from snfpipe.reduce.point_source.judgement import flags, quality
from snfpipe.reduce.point_source.psf import FAMILIES, images
from snfpipe.reduce.point_source.refraction import Air
from snfpipe.reduce.programs.program import BadOption, make_options, run
from tests.closure.night import Work
from tests.reduce.conftest import STAR

OPTICS = Optics.of("B", 512, 1152)
KNOWN = {"airmass": 1.3, "parang": 40.0, "pressure": 616.0, "temperature": 2.0}
FLUX = 20_000.0


def cube(
    x: float = 0.3, y: float = -0.2, alpha: float = 2.2, airmass: float = 1.3, parang: float = 40.0,
    flux: float = FLUX, seed: int = 3,
) -> Cube:  # fmt: skip
    """Return a cube of a star of even flux on an even sky, with noise."""
    wavelength = OPTICS.grid
    shift = np.sqrt(airmass**2 - 1) * Air(616.0, 2.0).shift(wavelength)
    angle = np.radians(parang)
    radius = alpha * (wavelength / 5000) ** -0.2
    star = images(
        FAMILIES["gaussian-moffat"], OPTICS.lens.astype(float), x + shift * np.sin(angle),
        y + shift * np.cos(angle), radius, (1.05, 0.02),
    ).T  # fmt: skip
    expected = flux * star + 30.0
    variance = expected + 40.0
    noise = np.random.default_rng(seed).normal(0, np.sqrt(variance))
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
def test_what_is_far_from_what_was_known_is_flagged(made: dict[str, Any], told: list[str]) -> None:
    found = extracted(cube(**made))
    assert flags(found, Options()) == told
    assert abs(relative_flux(found).mean() - 1) < 0.02


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_no_source_and_of_bad_quality(seed: int) -> None:
    found = extracted(cube(flux=0.0, seed=seed))
    assert {"ES_NO_SOURCE", "ES_PLACE_UNSURE"} <= set(flags(found, Options()))
    assert quality(found, Options()) == 2


def test_a_faint_star_is_flagged_and_good() -> None:
    found = extracted(cube(flux=60.0))
    assert flags(found, Options()) == ["ES_LOW_SN"] and quality(found, Options()) == 1
    assert 0.5 < found.signal < 2.0 and np.hypot(*(found.place - [0.3, -0.2])) < 0.5


def test_a_second_star_is_light_beside_a_supernova_and_no_matter_beside_a_standard() -> None:
    made, second = cube(), cube(x=4.0, y=3.0, flux=FLUX / 80).data - cube(flux=0.0).data
    both = Cube(made.header, made.wavelength, made.data + second, made.variance, made.lens)
    supernova = extract_star(both, Options(), 1, KNOWN)
    assert flags(supernova, Options()) == ["ES_EXTRA_LIGHT"]
    assert quality(supernova, Options()) == 2
    assert "ES_EXTRA_LIGHT" not in flags(extract_star(both, Options(), 0, KNOWN), Options())


def test_channels_that_show_different_places_are_of_bad_quality() -> None:
    found = extract_star(cube(), Options(), 0, KNOWN, cube(x=1.0))
    assert found.channels_apart == pytest.approx(0.7, abs=0.05)
    assert flags(found, Options()) == ["ES_PLACE_UNSURE"] and quality(found, Options()) == 2


def test_the_channel_that_shows_the_star_better_tells_the_other_where_it_is() -> None:
    bright, faint = cube(x=0.6), cube(x=0.6, flux=60.0, seed=5)
    alone, told = extracted(faint), extract_star(faint, Options(), 0, KNOWN, bright)
    true = np.array([0.6, -0.2])
    assert told.follows and np.hypot(*(told.place - true)) < 0.2
    assert np.hypot(*(told.place - true)) < np.hypot(*(alone.place - true))
    assert abs(told.flux.mean() - 60) < 4 * np.sqrt(told.flux_variance.sum()) / told.flux.size
    assert not extract_star(bright, Options(), 0, KNOWN, faint).follows


def test_a_damaged_cube_of_the_other_channel_costs_nothing(star: Work, tmp_path: Path) -> None:
    damaged = tmp_path / "other.fits"
    damaged.write_bytes(b"no cube")
    item = {
        "item": STAR, "values": {"sky_degree": 0},
        "inputs": {"cube": str(star.path(STAR, "cube")), "other": str(damaged)},
        "outputs": {"spectrum": str(tmp_path / "spectrum.fits")},
    }  # fmt: skip
    worklist, results = tmp_path / "work.json", tmp_path / "results.jsonl"
    worklist.write_text(json.dumps({"program": "extract_star", "options": {}, "items": [item]}))
    assert run("extract_star", ["--worklist", str(worklist), "--results", str(results)]) == 0
    line = json.loads(results.read_text())
    assert (line["ok"], line["quality"], line["flags"]) == (True, 1, [])
    assert "channels_apart" not in line["values"]


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
