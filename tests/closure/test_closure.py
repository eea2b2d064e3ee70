"""The reduction against the simulator's truth; run with -s, every test prints its figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from snfpipe.reduce import formats
from snfpipe.reduce.optics import Optics
from snfpipe.reduce.spectra.cube_generation import Options, calibrate
from snfpipe.reduce.spectra.traces import find_traces
from snfpipe.simulate import exposure
from snfpipe.simulate.exposure import expected_image, night_truth
from snfpipe.simulate.instrument import SETUPS, dichroic
from snfpipe.simulate.optics import WING_FRACTION
from snfpipe.simulate.presets import find_preset
from tests.closure.conftest import Reduced, reduce_night
from tests.closure.night import Work, compare


def test_frames_have_the_true_level_and_their_noise_the_true_size(tiny: Reduced) -> None:
    levels, pulls = [], []
    for name in tiny.truth:
        frame = formats.read_frame(str(tiny.work.path(name, "frame")))
        expected, _truth = expected_image(tiny.work.preset, tiny.work.plan, tiny.work.frames[name])
        off = frame.data - expected
        pull = off / np.sqrt(frame.variance)
        # cosmics and the hot pixels are no matter of level and noise
        usual = (np.abs(pull) < 5) & frame.good & (expected < 1000)
        half = frame.data.shape[1] // 2
        for side in (slice(None, half), slice(half, None)):
            levels.append(off[:, side][usual[:, side]].mean())
            pulls.append(pull[:, side][usual[:, side]].std())
    print(f"\nlevel off by at most {np.abs(levels).max():.3f} e- (limit 0.3)")
    print(f"variance pull {min(pulls):.3f} to {max(pulls):.3f} (1 +- 0.03)")
    assert np.abs(levels).max() < 0.3
    assert min(pulls) > 0.97 and max(pulls) < 1.03


def test_good_frames_are_called_good(tiny: Reduced) -> None:
    assert {line["quality"] for line in tiny.quality.values()} == {1}


def test_saturated_empty_and_dark_less_frames_are_called_bad(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    preset = find_preset("tiny")
    faults = ("saturated_frame", "empty_frame", "no_darktime")
    plan = replace(preset.nights[0], faults=faults)
    work = Work(preset, plan, tmp_path_factory.mktemp("faults"))
    injected = {
        name
        for name, frame in work.frames.items()
        if frame.light != 1.0 or frame.star != 1.0 or frame.damages
    }
    assert len(injected) >= 4, "the faults were not injected"
    some_good = [name for name, frame in work.frames.items() if frame.fclass == 3]
    quality = work.file_quality(work.simulate([*sorted(injected), *some_good]))
    bad = {name for name, line in quality.items() if line["quality"] == 2}
    print(f"\n{len(injected)} frames with faults, {len(bad)} called bad: {', '.join(sorted(bad))}")
    assert bad == injected


@pytest.mark.parametrize("size", ["tiny", "full"])
def test_an_exposure_of_a_dark_sky_is_good_and_one_without_light_is_not(
    size: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposure, "host_of", lambda target: None)
    preset = find_preset(size)
    work = Work(preset, preset.nights[0], tmp_path)
    names = [name for name, frame in work.frames.items() if frame.fclass == 17][:2]
    for light, expected in ((1.0, 1), (0.0, 2)):
        for name in names:
            work.frames[name] = replace(
                work.frames[name], target="SNF20061129-003", exptime_s=1200.0, star=0.0, light=light
            )
        for name, line in work.file_quality(work.simulate(names)).items():
            values = line["values"]
            print(f"\n{size} {name[-1]} light {light}: sky {1e4 * values['sky_rate']:.1f}e-4 e-/s "
                  f"(limit 1), contrast {values['contrast']:.2f}", end="")  # fmt: skip
            assert line["quality"] == expected, name


@pytest.mark.parametrize("size", ["tiny", "full"])
def test_the_wings_of_spectra_are_told_from_scattered_light(size: str) -> None:
    work = Work(find_preset(size), find_preset(size).nights[0], Path())
    name = next(name for name, frame in work.frames.items() if frame.fclass == 7)
    image, _truth = expected_image(work.preset, work.plan, work.frames[name])
    variance = np.asarray(image + 20.0, np.float64)
    data = np.random.default_rng(1).normal(image, np.sqrt(variance))
    optics = Optics.of(name[-1], *reversed(data.shape))
    traces = find_traces(formats.Frame(fits.Header(), data, variance), optics)
    print(f"\n{size}: {traces.wing:.4f} of the light in the wings (truth {WING_FRACTION})")
    assert traces.wing == pytest.approx(WING_FRACTION, abs=0.005)


@pytest.mark.parametrize("channel", ["B", "R"])
def test_wavelengths_and_flat_are_the_true_ones(tiny: Reduced, channel: str) -> None:
    run = next(iter(tiny.cubes))[:10]
    found = calibrate(
        str(tiny.work.path(f"{run}_004_03_{channel}", "frame")),
        str(tiny.work.path(f"{run}_001_07_{channel}", "frame")),
        Options(),
    )
    truth = tiny.channels[channel]
    rows = np.array(truth["trace_rows"])
    wavelength = np.array(truth["trace_wavelength"])
    grid = found.dispersion.optics.grid
    inside = (wavelength > grid[0]) & (wavelength < grid[-1])
    there = np.stack([found.dispersion.rows(line)[k] for k, line in enumerate(wavelength)])
    off = (there - rows)[inside]
    column = np.empty(wavelength.shape)
    for block in range(found.traces.optics.blocks):
        own = found.traces.optics.block == block
        column[own] = found.traces.centres(block)[rows].T
    trace_off = (column - truth["trace_column"])[inside]

    setup = SETUPS[channel, "reduced"]
    u = 2 * (grid - setup.first) / (setup.last - setup.first) - 1
    level, tilt, shift = (
        np.array(truth[key])[:, None] for key in ("flat_level", "flat_tilt", "dichroic_shift")
    )
    flat = level * (1 + tilt * u) * dichroic(channel, grid, shift)
    flat = flat / flat.mean(axis=0)
    ratio = found.flat / flat - 1
    away = np.abs(grid - 5075) > 150
    print(
        f"\n{channel}: wavelengths {off.std():.3f} bins rms, mean {off.mean():+.3f} (limit 0.1); "
        f"traces {trace_off.std():.4f} pixels rms"
    )
    print(f"{channel}: flat {100 * ratio[:, away].std():.2f} % rms (limit 0.3), "
          f"at the dichroic's edge {100 * ratio[:, ~away].std():.2f} %")  # fmt: skip
    assert np.hypot(off.std(), off.mean()) < 0.1
    assert ratio[:, away].std() < 0.003


def test_spectra_hold_the_true_flux(tiny: Reduced) -> None:
    check_spectra(tiny)


@pytest.mark.soak
@pytest.mark.parametrize("night", [0, 1, 2])
def test_all_spectra_of_the_sample_hold_the_true_flux(
    night: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    preset = find_preset("sample")
    check_spectra(reduce_night(replace(preset, nights=(preset.nights[night],)), tmp_path_factory))


def check_spectra(night: Reduced) -> None:
    """Print and check flux, errors and refraction of every star of a night."""
    print()
    for name, found in night.compared().items():
        true = night.truth[name]
        header = found.spectrum.header
        turned = header["ES_PARAN"] - true["adr"]["theta_deg"]
        print(f"{name} {found}  angle {turned:+.2f} +- {header['ES_DT']:.2f} deg")
        assert abs(found.ratio - 1) < 0.01, name
        # a bright star's errors are the flat's and the image's, some thousandths of its light
        bright = found.signal_to_noise > 200
        assert bright or 0.9 < found.pull_rms < 1.15, name
        assert not bright or found.scatter < 0.01, name
        assert abs(turned) < max(0.5, 3 * header["ES_DT"]), name
        on_host = true["target"].startswith("SNF")
        assert night.stars[name]["flags"] == (["ES_HOST_MODEL"] if on_host else [])
        assert night.stars[name]["quality"] == 1
        assert header["ES_HOST"] == on_host


def test_a_wrong_family_of_images_biases_standards_and_supernovae_alike(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposure, "host_of", lambda target: None)
    preset = find_preset("tiny")
    work = Work(preset, preset.nights[0], tmp_path_factory.mktemp("family"))
    standard = "06_334_002_003_17_B"
    lamps = ["06_334_002_001_07_B", "06_334_002_004_03_B"]
    ratio: dict[tuple[str, str], float] = {}
    bins = night_truth(preset, work.plan)["channels"]["B"]["bins"]
    for target, exptime_s in (("GD71", 150.0), ("SNF20061129-003", 1200.0)):
        # the same exposure twice: place, seeing and refraction are the same for both targets
        frame = replace(work.frames[standard], target=target, exptime_s=exptime_s)
        work.frames[standard] = frame
        truth = work.simulate([standard, *lamps])
        work.file_quality(truth)
        work.cube_generation([standard])
        for family in ("gaussian-moffat", "moffat"):
            work.extract_star([standard], {"psf": family})
            found = compare(work.path(standard, "spectrum"), truth[standard], bins)
            ratio[target, family] = found.ratio
            assert found.spectrum.header["ES_HOST"] is False, "there is no galaxy"
            print(f"\n{family:16s} {found}", end="")
    bias = {
        target: ratio[target, "moffat"] / ratio[target, "gaussian-moffat"] - 1
        for target, _family in ratio
    }
    left = bias["SNF20061129-003"] - bias["GD71"]
    print(
        f"\nbias of the family: standard {100 * bias['GD71']:.2f} %, "
        f"supernova {100 * bias['SNF20061129-003']:.2f} %, left of it {100 * left:.2f} %"
    )
    assert min(bias.values()) > 0.02
    assert abs(left) < 0.01
    assert abs(ratio["SNF20061129-003", "gaussian-moffat"] - 1) < 0.01


@pytest.mark.soak
def test_full_size_spectra_hold_the_true_flux(tmp_path_factory: pytest.TempPathFactory) -> None:
    check_spectra(reduce_night(find_preset("full"), tmp_path_factory))
