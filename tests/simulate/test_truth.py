"""The pixels hold what the truth file says, found again with the simplest of means."""

from __future__ import annotations

import numpy as np
import pytest

from snfpipe.simulate.instrument import DETECTORS, SETUPS, Array
from tests.simulate.conftest import Made, amplifiers, chip_image


def assembled(tiny: Made, name: str) -> Array:
    """Return electrons of an assembled image: overscan off, gains on, R turned."""
    gains = DETECTORS[name[-6]].gains
    parts = [
        gain * (data - np.median(overscan, axis=1, keepdims=True))
        for (data, overscan), gain in zip(amplifiers(tiny.folder / name), gains, strict=True)
    ]
    image = np.concatenate(parts, axis=1)
    return image[::-1, ::-1] if name[-6] == "R" else image


def lens_light(tiny: Made, channel: str, image: Array, row: int) -> Array:
    """Return the light of each lens in the row number `row` of the truth's five."""
    truth, setup = tiny.truth["channels"][channel], SETUPS[channel, "reduced"]
    found = np.empty(225)
    for lens in range(225):
        y = lens % setup.blocks * setup.ny // setup.blocks + truth["trace_rows"][row]
        x = round(truth["trace_column"][lens][row])
        low, high = max(0, x - 5), min(512, x + 6)
        found[lens] = image[y, low:high].sum()
    return found


@pytest.mark.parametrize("channel", "BR")
def test_a_standards_light_is_where_and_what_the_truth_says(tiny: Made, channel: str) -> None:
    name = next(
        name
        for name, truth in tiny.truth["frames"].items()
        if truth.get("target") == "GD71" and name.endswith(f"_003_17_{channel}.fits")
    )
    truth, fixed = tiny.truth["frames"][name], tiny.truth["channels"][channel]
    image = assembled(tiny, name) - assembled(tiny, f"06_334_900_001_24_{channel}.fits")
    bins = fixed["bins"]
    grid = bins["start"] + bins["step"] * np.arange(bins["count"])
    row = 1
    wavelength = np.array(fixed["trace_wavelength"])[:, row]
    light = lens_light(tiny, channel, image, row)
    i, j = np.arange(225) // 15 - 7, np.arange(225) % 15 - 7
    light -= np.median(light[np.hypot(i - truth["x_spaxel"], j - truth["y_spaxel"]) > 7])
    expected = np.interp(wavelength, grid, truth["point_blurred"]) * bins["step"]
    share = light / np.array(fixed["flat_level"]) / expected
    # 1.5 % of a star's light misses the array; about 1 % of stray light stands in for it.
    assert share.sum() == pytest.approx(0.995, abs=0.02)
    # The centroid is the place at 5000 A plus refraction towards the zenith.
    core = share > 0.02
    x, y = ((share * axis)[core].sum() / share[core].sum() for axis in (i, j))
    angle = np.radians(truth["adr"]["theta_deg"])
    along = (x - truth["x_spaxel"]) * np.sin(angle) + (y - truth["y_spaxel"]) * np.cos(angle)
    across = (x - truth["x_spaxel"]) * np.cos(angle) - (y - truth["y_spaxel"]) * np.sin(angle)
    blue = wavelength.mean() < 5000
    assert (along > 0.2) if blue else (along < -0.2)
    assert abs(across) < 0.15


def test_the_sky_of_an_empty_field_is_the_truths(tiny: Made) -> None:
    name = next(
        name
        for name, truth in tiny.truth["frames"].items()
        if truth.get("target") == "SNF20061129-003" and name.endswith("_R.fits")
    )
    truth, fixed = tiny.truth["frames"][name], tiny.truth["channels"]["R"]
    bins, row = fixed["bins"], 3
    light = lens_light(tiny, "R", assembled(tiny, name), row) / np.array(fixed["flat_level"])
    i, j = np.arange(225) // 15 - 7, np.arange(225) % 15 - 7
    corner = np.hypot(i - truth["host"]["x"], j - truth["host"]["y"]) > 8.5
    grid = bins["start"] + bins["step"] * np.arange(bins["count"])
    wavelength = np.array(fixed["trace_wavelength"])[:, row]
    expected = np.interp(wavelength, grid, truth["sky_blurred"]) * bins["step"]
    dark = 11 * DETECTORS["R"].dark * truth["exptime_s"]
    assert corner.sum() > 15
    # A little of the galaxy and of the stray light is everywhere.
    assert 0.95 < np.median((light - dark)[corner] / expected[corner]) < 1.3


@pytest.mark.parametrize("channel", "BR")
def test_arc_lines_lie_at_the_truths_wavelengths(tiny: Made, channel: str) -> None:
    setup, truth = SETUPS[channel, "reduced"], tiny.truth["channels"][channel]
    image = assembled(tiny, f"06_334_001_004_03_{channel}.fits")
    line = {"B": 4358.33, "R": 5460.74}[channel]
    away = []
    for lens in range(0, 225, 7):
        first = lens % setup.blocks * setup.ny // setup.blocks
        rows, wavelength = truth["trace_rows"], truth["trace_wavelength"][lens]
        curve = np.polynomial.Polynomial.fit(wavelength, rows, 3)
        expected = float(curve(line))
        near = np.arange(round(expected) - 3, round(expected) + 4)
        x = round(np.interp(expected, rows, truth["trace_column"][lens]))
        signal = image[first + near, max(0, x - 3) : x + 4].sum(axis=1)
        signal -= signal.min()
        away.append((near * signal).sum() / signal.sum() - expected)
    # The cubic through five points is not quite the simulator's; a tenth of a row is enough.
    assert abs(np.median(away)) < 0.1
    assert np.std(away) < 0.1


@pytest.mark.parametrize("channel", "BRP")
def test_levels_of_overscans_are_the_truths(tiny: Made, channel: str) -> None:
    name = f"06_334_001_003_17_{channel}.fits"
    levels = tiny.truth["frames"][name]["bias_adu"]
    for amplifier, (_data, overscan) in enumerate(amplifiers(tiny.folder / name)):
        level = levels[amplifier]
        gain = DETECTORS[channel].gains[amplifier]
        assert overscan.mean() == pytest.approx(level, abs=0.15)
        # Read noise, rounding, the drift over the rows and the odd-even step.
        noise = np.diff(overscan[:, ::2], axis=0).std() / np.sqrt(2)
        assert noise == pytest.approx(np.hypot(4.5 / gain, 0.29), rel=0.03)
        odd_even = overscan[:, 1::2].mean() - overscan[:, ::2].mean()
        assert odd_even == pytest.approx((0.9, -0.6)[amplifier], abs=0.15)


def test_bad_columns_stand_out_of_a_bias(tiny: Made) -> None:
    for channel in "BR":
        bias = chip_image(tiny.folder / f"06_334_900_001_24_{channel}.fits")
        for column, row in tiny.truth["channels"][channel]["bad_columns"]:
            step = np.median(bias[row:, column]) - np.median(bias[:row, column])
            assert step == pytest.approx(1500, abs=10)


def test_flats_have_the_mean_of_one_and_stay_within_a_tenth(tiny: Made) -> None:
    for fixed in tiny.truth["channels"].values():
        level = np.array(fixed["flat_level"])
        assert level.mean() == pytest.approx(1, abs=0.01)
        assert abs(level - 1).max() <= 0.101
        assert abs(np.array(fixed["dichroic_shift"])).max() <= 15
        assert abs(fixed["shift_rows"]) <= 1.5


def test_stars_of_the_imager_lie_at_the_truths_places(tiny: Made) -> None:
    name = "06_334_001_003_17_P.fits"
    truth = tiny.truth["frames"][name]
    pixels = chip_image(tiny.folder / name)
    assert 20 <= len(truth["stars"]) <= 80
    ratios = []
    for _, x, y, light in truth["stars"]:
        column, row = round(x), round(y)
        if not (8 < column < 248 or 264 < column < 504) or not 8 < row < 1016:
            continue
        stamp = pixels[row - 7 : row + 8, column - 7 : column + 8]
        edge = np.concatenate([stamp[0], stamp[-1], stamp[:, 0], stamp[:, -1]])
        flux = (stamp - np.median(edge)).sum() * DETECTORS["P"].gains[int(column > 255)]
        if light > 50 * np.sqrt(225 * max(np.median(edge) - 3000, 1)) and stamp.max() < 60000:
            ratios.append(flux / light)
    assert len(ratios) >= 4
    assert np.median(ratios) == pytest.approx(0.97, abs=0.04)  # less what the stamps' edges cut


def test_the_truth_file_is_small(tiny: Made) -> None:
    assert (tiny.folder / "truth.json").stat().st_size < 2_000_000
