"""Each fault does what its name says, to the frames it is meant for, and to no other."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from snfpipe.errors import UsageError
from snfpipe.simulate.changes import change
from snfpipe.simulate.faults import FAULTS
from snfpipe.simulate.layouts import Kind
from snfpipe.simulate.night import frame_content, planned_frames
from snfpipe.simulate.presets import NightPlan, Preset, find_preset
from snfpipe.simulate.schedule import Frame
from snfpipe.simulate.survey import simulate_survey

PRESET = find_preset("tiny")
PLAN = PRESET.nights[0]
CLEAN = {frame.name: frame for frame in planned_frames(PRESET, PLAN)}


def with_fault(name: str) -> tuple[Preset, NightPlan, dict[str, Frame]]:
    """Return the tiny preset's first night with a fault, and its frames by name."""
    preset = change(PRESET, nights=[PLAN.night], faults=[f"{PLAN.night}:{name}"])
    plan = preset.nights[0]
    return preset, plan, {frame.name: frame for frame in planned_frames(preset, plan)}


def made(
    name: str, channel: str, target: str, exposure: int = 3, layout: Kind = "camera"
) -> tuple[bytes | None, Frame]:
    """Return the bytes of one frame of a night with a fault."""
    preset, plan, frames = with_fault(name)
    preset = replace(preset, layout=layout)
    frame = next(
        frame
        for frame in frames.values()
        if (frame.channel, frame.target, frame.exposure) == (channel, target, exposure)
    )
    return frame_content(preset, plan, frame)[0], frame


def opened(content: bytes | None) -> tuple[fits.Header, np.ndarray]:
    """Return primary header and pixels of a file's bytes, those of its extensions side by side."""
    assert content is not None
    with fits.open(io.BytesIO(content)) as file:
        images = [hdu.data for hdu in file if hdu.header["NAXIS"] == 2]
        return file[0].header, np.hstack(images).astype(float)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_changes_few_frames_and_leaves_the_others(name: str) -> None:
    frames = with_fault(name)[2]
    assert set(frames) <= set(CLEAN)
    changed = [text for text, frame in frames.items() if frame != CLEAN[text]]
    gone = set(CLEAN) - set(frames)
    assert 1 <= len(changed) + len(gone) <= 4


def test_missing_arc_takes_all_arcs_of_the_night() -> None:
    frames = with_fault("missing_arc")[2]
    assert {frame.fclass for frame in CLEAN.values()} - {f.fclass for f in frames.values()} == {3}


@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyUserWarning")
@pytest.mark.parametrize("layout", ["camera", "single"])
def test_a_corrupt_header_hides_the_image(layout: Kind) -> None:
    content, _ = made("corrupt_header", "B", "SNF20061129-003", layout=layout)
    assert content is not None
    with pytest.raises((KeyError, OSError)), fits.open(io.BytesIO(content)) as file:
        len(file)  # what follows the header is not found


def test_a_truncated_file_ends_in_the_middle_of_its_pixels() -> None:
    content, frame = made("truncated_file", "R", "SNF20061129-003")
    whole, _ = frame_content(PRESET, PLAN, CLEAN[frame.name])
    assert content is not None and whole is not None
    assert whole.startswith(content)
    assert len(content) == len(whole) // 2


def test_an_interrupted_exposure_is_short_and_said_so() -> None:
    frames = with_fault("interrupted_exposure")[2]
    hit = [frame for frame in frames.values() if frame.interrupt > 1]
    assert {frame.channel for frame in hit} == set("BRP")
    assert {frame.exptime_s for frame in hit} == {240.0}
    assert {frame.target for frame in hit} == {"SNF20061129-003"}


def test_a_bad_standard_is_dimmer_than_its_table() -> None:
    preset, plan, frames = with_fault("bad_standard")
    name = next(n for n, f in frames.items() if f.star != 1)
    truth = frame_content(preset, plan, frames[name])[1]
    clean = frame_content(PRESET, PLAN, CLEAN[name])[1]
    assert frames[name].target == "GD71"
    np.testing.assert_allclose(np.divide(truth["point"], clean["point"]), 0.6, rtol=1e-4)


def test_a_saturated_frame_is_full_to_the_brim() -> None:
    _, pixels = opened(made("saturated_frame", "B", "GD71", exposure=1)[0])
    assert (pixels == 65535).mean() > 0.05


def test_a_raster_holds_the_middle_of_the_chip_and_no_card_of_that_name() -> None:
    header, pixels = opened(made("raster_continuum", "R", "GD71", exposure=1)[0])
    assert pixels.shape == (1152, 2 * 12 + 2 * 32)
    assert header["CCDSEC"] == "[245:268,2:1153]" and "RASTER" not in header
    assert header["DATASEC1"] == "[257:512,1:1152]", "outside the image, as Otcom writes it"
    whole = opened(frame_content(PRESET, PLAN, CLEAN["06_334_002_001_07_R.fits"])[0])[1]
    assert np.array_equal(pixels, np.hstack([whole[:, 244:268], whole[:, 512:]]))
    preset, plan, frames = with_fault("raster_continuum")
    content = frame_content(preset, plan, frames["06_334_002_001_07_B.fits"])[0]
    assert content is not None
    with fits.open(io.BytesIO(content)) as file:
        assert [hdu.data.shape for hdu in file[1:]] == [(1184, 3 + 12 + 29)] * 2
        assert [hdu.header["CCDSEC"] for hdu in file[1:]] == [
            "[245:256,1:1152]",
            "[268:257,1:1152]",
        ]


def test_an_empty_frame_holds_no_light() -> None:
    _, pixels = opened(made("empty_frame", "R", "GD71")[0])
    overscan, data = np.median(pixels[:, 512:544]), np.median(pixels[:, :256])
    assert abs(data - overscan) < 4


def test_darktime_sensors_and_sections_go_when_told() -> None:
    assert "DARKTIME" not in opened(made("no_darktime", "B", "SNF20061129-003")[0])[0]
    dead = opened(made("dead_sensors", "R", "SNF20061129-003")[0])[0]
    assert dead["PRESSURE"] == dead["TEMP"] == 0
    section = opened(made("bad_section", "R", "SNF20061129-003")[0])[0]["BIASSEC1"]
    assert section == "[5000:5031,1:9999]"


def test_lost_frames_stay_in_the_log_and_empty_videos_lie_beside_their_frame(
    tmp_path: Path,
) -> None:
    plan = replace(
        PLAN, targets=("SNF20061129-003",), biases=0, darks=0,
        faults=("lost_p_frame", "empty_guide_video", "missing_arc"),
    )  # fmt: skip
    preset = replace(PRESET, nights=(plan,))
    simulate_survey(preset, tmp_path)
    folder = tmp_path / "06/334"
    rows = list(csv.DictReader(io.StringIO((folder / "obslog.csv").read_text())))
    assert not (folder / "06_334_001_003_17_P.fits").exists()
    assert any((r["exposure"], r["channel"]) == ("003", "P") for r in rows)
    assert (folder / "06_334_001_003_17_001.vid").stat().st_size == 0
    assert (folder / "06_334_001_003_17_B.fits").stat().st_size > 1_000_000
    assert [r.present for r in simulate_survey(preset, tmp_path)] == [True]


@pytest.mark.parametrize("text", ["missing_arc", "06_334:nothing", "05_001:missing_arc", "::"])
def test_a_fault_must_name_a_chosen_night_and_a_known_fault(text: str) -> None:
    with pytest.raises(UsageError, match="is no fault"):
        change(PRESET, faults=[text])
