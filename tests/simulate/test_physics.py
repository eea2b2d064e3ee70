"""The formulas: against other programs' figures, published ones, and conservation of light."""

from __future__ import annotations

import numpy as np
import pytest

from snfpipe.simulate import spectra
from snfpipe.simulate.atmosphere import (
    Air,
    extinction,
    make_clouds,
    refraction_shift,
    refractivity,
    telluric,
)
from snfpipe.simulate.instrument import SETUPS, SPAXEL, Size, dichroic, lens_indices
from snfpipe.simulate.optics import light_between, make_flat, make_geometry, project, spread_lines
from snfpipe.simulate.presets import TARGETS
from snfpipe.simulate.psf import Host, Psf, host_parts, point_parts
from snfpipe.simulate.schedule import julian_date, pointing, sidereal_h

AIR = Air(257, 0.0076, 1.26, 1.0, 1.0, 616.0, 2.0)
PSF = Psf(2.0, -0.4, 0.15, 1.08, 0.04)

# Fluxes in erg/s/cm2/A that sncosmo 2.13.1 gives for SALT3-NIR (P22) with its F99 dust at
# z=0.0382, x0=2.8e-3, x1=0.6, c=0.03, mwebv=0.045: days from t0 -> at the wavelengths below.
WAVELENGTHS = np.array([3697.0, 4502.0, 5503.0, 6504.0, 8100.0])
SNCOSMO = {
    -8.3: (6.32743e-16, 4.84089e-16, 3.24369e-16, 2.58044e-16, 1.14329e-16),
    0.0: (1.01231e-15, 6.74213e-16, 4.61192e-16, 4.1172e-16, 1.56796e-16),
    12.6: (2.85487e-16, 3.19483e-16, 4.85058e-16, 2.58591e-16, 7.48207e-17),
    30.1: (4.57442e-17, 8.18034e-17, 1.65385e-16, 1.16921e-16, 1.37485e-16),
}


@pytest.mark.parametrize("phase", SNCOSMO)
def test_supernovae_are_those_of_sncosmo(phase: float) -> None:
    supernova = spectra.Supernova(0.0382, 0.0, 2.8e-3, 0.6, 0.03)
    flux = spectra.supernova_flux(supernova, phase, WAVELENGTHS)
    flux = flux * spectra.dust(0.045, WAVELENGTHS)
    np.testing.assert_allclose(flux, SNCOSMO[phase], rtol=3e-3)


def test_a_supernova_has_faded_when_its_final_reference_is_taken() -> None:
    supernova = spectra.Supernova(0.0382, 0.0, 2.8e-3, 0.6, 0.03)
    assert not spectra.supernova_flux(supernova, 250.0, WAVELENGTHS).any()


@pytest.mark.parametrize(
    ("name", "mag"),
    [("GD71", 13.03), ("GD153", 13.35), ("Feige110", 11.83), ("HZ44", 11.67), ("BD+17d4708", 9.46)],
)
def test_standards_have_their_v_magnitudes(name: str, mag: float) -> None:
    wavelength = np.linspace(5100, 5900, 400)
    flux = (spectra.standard_flux(name, wavelength) * wavelength).sum()
    reference = (spectra.ab_flux(0.0, wavelength) * wavelength).sum()
    assert -2.5 * np.log10(flux / reference) == pytest.approx(mag, abs=0.06)


def test_every_standard_among_the_targets_has_a_table() -> None:
    stars = {target.name for target in TARGETS.values() if target.kind == "StdStar"}
    assert stars == set(spectra.standards())


def test_dust_reddens_by_the_fitzpatrick_law() -> None:
    dimming = -2.5 * np.log10(spectra.dust(0.1, np.array([4400.0, 5500.0])))
    assert dimming[1] == pytest.approx(0.306, abs=0.005)
    assert dimming[0] - dimming[1] == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(
    ("wavelength", "mag"), [(3400, 0.513), (4000, 0.264), (5000, 0.124), (6000, 0.097)]
)
def test_extinction_is_that_of_mauna_kea(wavelength: float, mag: float) -> None:
    # Buton et al. (2013), the site's mean curve.
    assert extinction(AIR, np.array([wavelength]))[0] == pytest.approx(mag, abs=0.005)


def test_telluric_bands_deepen_slower_than_the_airmass() -> None:
    band = np.array([7600.0, 9370.0])
    one, two = (np.log(telluric(AIR, band, airmass)) for airmass in (1.0, 2.0))
    assert np.all(two / one > 1.3)
    assert np.all(two / one < 1.7)
    assert telluric(AIR, np.array([5500.0]), 2.0)[0] == pytest.approx(1, abs=1e-6)


def test_air_refracts_as_edlen_measured() -> None:
    # Standard dry air at the D line: n - 1 = 2.7652e-4 (15 C, 760 mm of mercury).
    standard = Air(257, 0, 1, 1, 1, 1013.25, 15.0)
    assert refractivity(standard, 5893.0) == pytest.approx(2.765e-4, rel=3e-3)


def test_blue_light_lies_towards_the_zenith() -> None:
    x, y = refraction_shift(AIR, np.array([3500.0, 5000.0, 9000.0]), 1.5, 30.0)
    assert x[1] == y[1] == 0
    assert x[0] / y[0] == pytest.approx(np.tan(np.radians(30)))
    assert y[0] > 0 > y[2]
    assert 1.0 < np.hypot(x[0], y[0]) * SPAXEL < 1.6  # arcsec


def test_a_stars_parallactic_angle_and_airmass_follow_the_sky() -> None:
    jd = julian_date("06_334")
    star = TARGETS["GD71"]
    transit = jd + ((star.ra_deg / 15 - sidereal_h(jd)) % 24) / 24.06571
    before, at, after = (pointing(star, transit + hours / 24) for hours in (-3, 0, 3))
    assert at[0] == pytest.approx(1.0024, abs=0.001)
    assert before[0] == pytest.approx(after[0], abs=0.01)
    assert before[1] == pytest.approx(-after[1], abs=0.5)
    assert before[2] < 0 < after[2]
    assert before[1] < 0 < after[1]


def test_clear_nights_have_no_clouds_and_others_do() -> None:
    assert make_clouds(1, "06_334", True).transparency.min() == 1
    cloudy = make_clouds(1, "06_334", False)
    assert 0.3 < cloudy.transparency.mean() < 0.95
    lag = np.corrcoef(cloudy.transparency[:-5], cloudy.transparency[5:])[0, 1]
    assert lag > 0.6


def test_a_points_image_adds_up_and_is_centred() -> None:
    wavelength = np.array([3500.0, 5000.0, 9000.0])
    x, y = np.array([0.3, 0.0, -0.2]), np.array([-0.4, 0.1, 0.0])
    parts = point_parts(PSF, wavelength, x, y)
    assert np.all(parts.sum(axis=0) > 0.95)
    assert np.all(parts.sum(axis=0) < 1)
    i, j = lens_indices()
    np.testing.assert_allclose((parts * i[:, None]).sum(0) / parts.sum(0), x, atol=0.02)
    np.testing.assert_allclose((parts * j[:, None]).sum(0) / parts.sum(0), y, atol=0.02)


def test_a_very_small_galaxy_looks_like_a_point() -> None:
    host = Host(0.4, -0.3, 1e-3, 1e-3, 1.0, 0.0, 0.5, 18.0)
    wavelength = np.array([4000.0, 6000.0])
    zero = np.zeros(2)
    galaxy = host_parts(PSF, host, wavelength, zero, zero)
    point = point_parts(PSF, wavelength, zero + 0.4, zero - 0.3)
    np.testing.assert_allclose(galaxy, point, atol=2e-3)


def test_a_galaxys_light_adds_up() -> None:
    host = Host(2.0, -1.5, 1.2, 0.5, 0.65, 35.0, 0.3, 17.0)
    parts = host_parts(PSF, host, np.array([5000.0]), np.zeros(1), np.zeros(1))
    assert 0.93 < parts.sum() < 0.995
    i, j = lens_indices()
    assert (parts[:, 0] * i).sum() / parts.sum() == pytest.approx(2.0, abs=0.25)
    assert (parts[:, 0] * j).sum() / parts.sum() == pytest.approx(-1.5, abs=0.25)


@pytest.mark.parametrize("key", [("B", "reduced"), ("R", "reduced")])
def test_optics_keep_the_light_and_the_blocks_apart(key: tuple[str, str]) -> None:
    setup = SETUPS[key]
    geometry = make_geometry(3, "06_334", setup.channel, "reduced")
    grid = np.arange(setup.first - 100, setup.last + 100, 2.0)
    density = np.where((grid > setup.first) & (grid < setup.last), 1.0, 0.0)
    light = light_between(grid, spread_lines(setup, grid, density), geometry.edges)
    total = density.sum() * 2.0
    np.testing.assert_allclose(light.sum(axis=1), total, rtol=1e-3)
    image = project(geometry, light)
    # Only what the outermost spectra lose at the chip's edges is missing.
    assert image.sum() == pytest.approx(225 * total, rel=5e-3)


@pytest.mark.parametrize("key", [("B", "reduced"), ("R", "reduced"), ("B", "full"), ("R", "full")])
def test_departures_stay_within_what_reductions_tolerate(key: tuple[str, Size]) -> None:
    setup, size = SETUPS[key], key[1]
    number = np.arange(225)
    block, slot = number % setup.blocks, number // setup.blocks
    pitch = setup.nx / setup.slots
    nominal_x = (slot + 0.5 + 0.12 * (block - (setup.blocks - 1) / 2)) * pitch
    height = setup.ny / setup.blocks
    margin = (height - (setup.last - setup.first) / setup.step) / 2
    first = block * setup.ny // setup.blocks
    for seed in range(3 if setup.ny < 2000 else 1):
        geometry = make_geometry(seed, "06_334", setup.channel, size)
        assert abs(geometry.centre - nominal_x[:, None]).max() <= 1.0
        rows = first[:, None] + np.arange(geometry.rows)
        nominal = setup.first + setup.step * (rows - (block * height + margin)[:, None])
        away = (geometry.wavelength - nominal) / setup.step
        inside = (nominal > setup.first) & (nominal < setup.last)
        common = np.median(away[inside])
        assert abs(common) <= 1.6
        assert abs(away[inside] - common).max() <= 0.8


def test_each_lens_sees_its_own_dichroic_edge_and_their_mean_is_one() -> None:
    flat = make_flat(5, "B", "reduced")
    wavelength = np.tile(np.linspace(3300, 5500, 50), (225, 1))
    relative = flat.relative(wavelength)
    np.testing.assert_allclose(relative.mean(axis=0), 1, atol=1e-3)
    assert relative[:, 40:45].std(axis=0).max() > relative[:, :20].std(axis=0).max()
    assert dichroic("B", np.array([4900.0]))[0] > 0.95
    assert dichroic("R", np.array([5250.0]))[0] > 0.95
