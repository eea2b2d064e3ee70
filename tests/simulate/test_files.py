"""What is written: whole, the same every time, and named as raw frames are."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from snfpipe.errors import Refused
from snfpipe.names import RawName
from snfpipe.simulate.changes import change
from snfpipe.simulate.headers import sexagesimal
from snfpipe.simulate.instrument import frame_shape
from snfpipe.simulate.layouts import (
    DETCOM,
    OTCOM,
    extension_sections,
    image_sections,
    layout_of,
)
from snfpipe.simulate.logs import target_list
from snfpipe.simulate.night import frame_content, planned_frames
from snfpipe.simulate.presets import PRESETS, find_preset
from snfpipe.simulate.survey import simulate_survey
from tests.simulate.conftest import CALIBRATIONS, Made, chip_image


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_frame_made_alone_has_the_bytes_of_the_whole_night(tiny: Made) -> None:
    frames = planned_frames(tiny.preset, tiny.plan)
    for frame in [*frames[3:6], frames[-1]]:
        content, truth = frame_content(tiny.preset, tiny.plan, frame)
        assert content == (tiny.folder / frame.name).read_bytes()
        assert truth == tiny.truth["frames"][frame.name]


def test_two_processes_write_the_same_bytes_as_one(tmp_path: Path) -> None:
    simulate_survey(CALIBRATIONS, tmp_path / "one", jobs=1)
    simulate_survey(CALIBRATIONS, tmp_path / "two", jobs=2)
    one, two = contents(tmp_path / "one"), contents(tmp_path / "two")
    assert len(one) == 4 + 5  # frames; logs, truth, stamp, targets
    assert one == two


def test_another_seed_gives_other_pixels() -> None:
    plan = CALIBRATIONS.nights[0]
    frame = planned_frames(CALIBRATIONS, plan)[0]
    other = replace(CALIBRATIONS, seed=1)
    assert frame_content(CALIBRATIONS, plan, frame)[0] != frame_content(other, plan, frame)[0]


@pytest.mark.parametrize("name", PRESETS)
def test_names_of_all_presets_parse_and_differ(name: str) -> None:
    preset = PRESETS[name]
    names = [frame.name for plan in preset.nights for frame in planned_frames(preset, plan)]
    assert len(set(names)) == len(names)
    assert all(str(RawName.parse(text)) == text for text in names)
    assert {RawName.parse(text).channel for text in names} == set(preset.channels)


@pytest.mark.parametrize("name", PRESETS)
def test_a_run_holds_continuum_object_and_arc_in_each_channel(name: str) -> None:
    preset = PRESETS[name]
    for plan in preset.nights:
        frames = planned_frames(preset, plan)
        for run in range(1, len(plan.targets) + 1):
            found = {(f.exposure, f.fclass, f.channel) for f in frames if f.run == run}
            wanted = {(e, c, ch) for e, c in ((1, 7), (3, 17), (4, 3)) for ch in "BR"}
            if "P" in preset.channels:
                wanted |= {(2, 17, "P"), (3, 17, "P")}
            assert found == wanted


def test_the_sample_has_final_references_long_after_its_supernovae() -> None:
    preset = find_preset("sample")
    jds = {
        plan.final_reference: frame.jd
        for plan in preset.nights
        for frame in planned_frames(preset, plan)
        if frame.target == "SNF20061129-003"
    }
    assert jds[True] - jds[False] > 250
    kinds = {f.run_kind for f in planned_frames(preset, preset.nights[-1]) if f.run < 900}
    assert kinds == {"StdStar", "FinalRef"}


def test_frames_are_valid_and_say_what_they_are(tiny: Made) -> None:
    paths = sorted(tiny.folder.glob("*.fits"))
    assert len(paths) == len(tiny.truth["frames"]) == 20
    for path in paths:
        name = RawName.parse(path.name)
        with fits.open(path) as file:
            file.verify("exception")
            header, images = file[0].header, [hdu.data for hdu in file if hdu.data is not None]
            own = [hdu.header for hdu in file[1:]]
        nx, ny = frame_shape(name.channel, "reduced")
        assert {image.dtype.kind for image in images} == {"u"}
        assert int(header["FCLASS"]) == name.fclass
        assert header["CHANNEL"] == name.channel
        assert header["FILENAME"] == path.stem
        assert header["RUNID"] == path.name[:10]
        assert "RASTER" not in header
        if name.channel == "B":
            assert [image.shape for image in images] == [(1152 + 32, 3 + 256 + 29)] * 2
            assert [one["EXTNAME"] for one in own] == ["chip00", "chip01"]
            assert {one["DATASEC"] for one in own} == {"[4:259,1:1152]"}
            assert {one["BIASSEC"] for one in own} == {"[260:288,1:1152]"}
            assert [one["CCDSEC"] for one in own] == ["[1:256,1:1152]", "[512:257,1:1152]"]
        else:
            assert [image.shape for image in images] == [(ny, nx + 64)]
            assert header["BIASSEC1"] == f"[545:576,1:{ny}]"
            assert header["DATASEC1"] == f"[257:512,1:{ny}]"
            assert header["CCDSEC1"] == f"[257:512,2:{ny + 1}]"
            assert header["CCDSEC"] == f"[1:512,2:{ny + 1}]"
            junk = np.median(images[0][:, [543, 544]], axis=0).tolist()
            assert junk == [519, 316], "columns of the overscan that hold none"
        assert 1 <= header["AIRMASS"] < 3
        assert 610 < header["PRESSURE"] < 622


def test_headers_carry_the_dirt_of_real_ones(tiny: Made) -> None:
    headers = {path.name: fits.getheader(path) for path in tiny.folder.glob("*.fits")}
    assert headers["06_334_001_001_07_B.fits"]["FCLASS"] == 7
    raw = (tiny.folder / "06_334_001_001_07_B.fits").read_bytes()
    assert b"FCLASS  =                   07 " in raw, "a number with a zero before it"
    assert headers["06_334_001_001_07_R.fits"]["FCLASS"] == 7
    assert headers["06_334_001_001_07_B.fits"]["EXPTIME"] == 11.0
    assert headers["06_334_001_001_07_R.fits"]["EXPTIME"] == 1.0
    assert all("MJD-OBS" not in header for header in headers.values())
    assert all(header["RAIN"] == 9999999 for header in headers.values())
    late = [name for name, h in headers.items() if h["UTC"][3:5] != h["DATE-OBS"][14:16]]
    assert late
    assert all(name.endswith("_B.fits") for name in late)


def test_sections_at_full_size_are_those_of_real_frames() -> None:
    full = image_sections(OTCOM, 2048, 4096, raster=False)
    assert full == {
        "DATASEC": "[1:2048,1:4096]", "BIASSEC": "[2049:2112,1:4096]",
        "CCDSEC": "[1:2048,2:4097]", "DATASEC0": "[1:1024,1:4096]",
        "DATASEC1": "[1025:2048,1:4096]", "BIASSEC0": "[2049:2080,1:4096]",
        "BIASSEC1": "[2081:2112,1:4096]", "CCDSEC0": "[1:1024,2:4097]",
        "CCDSEC1": "[1025:2048,2:4097]",
    }  # fmt: skip
    raster = image_sections(OTCOM, 2048, 4096, raster=True)
    assert (raster["DATASEC"], raster["BIASSEC"]) == ("[1:102,1:4096]", "[103:166,1:4096]")
    assert raster["CCDSEC"] == "[974:1075,2:4097]"
    assert raster["BIASSEC1"] == full["BIASSEC1"], "outside the raster's 166 columns"
    first, second = extension_sections(DETCOM, 2048, 4096, raster=True)
    assert first["DATASEC"] == second["DATASEC"] == "[4:54,1:4096]"
    assert first["BIASSEC"] == second["BIASSEC"] == "[55:83,1:4096]"
    assert (first["CCDSEC"], second["CCDSEC"]) == ("[974:1024,1:4096]", "[1075:1025,1:4096]")


@pytest.mark.parametrize("name", ["06_334_001_003_17_B.fits", "06_334_002_004_03_R.fits",
                                  "06_334_001_003_17_P.fits"])  # fmt: skip
def test_the_older_layout_holds_the_same_light(name: str, tiny: Made, tmp_path: Path) -> None:
    single = replace(tiny.preset, layout="single")
    frame = next(f for f in planned_frames(single, tiny.plan) if f.name == name)
    content, truth = frame_content(single, tiny.plan, frame)
    assert content is not None and truth == tiny.truth["frames"][name]
    (tmp_path / name).write_bytes(content)
    header = fits.getheader(tmp_path / name)
    assert (header["DATASEC2"][:9], header["RASTER"]) == ("[257:512,", "FULL")
    off = chip_image(tmp_path / name) - chip_image(tiny.folder / name)
    # columns run backwards in one of B's extensions, and odd ones stand above even ones
    assert np.abs(off).max() <= 2
    assert abs(off.mean()) < 0.01


def test_a_mixed_survey_lays_out_every_other_exposure_of_a_run_as_the_older_one() -> None:
    kinds = {
        (run, exposure): layout_of("mixed", "B", run, exposure).name
        for run in (1, 2)
        for exposure in (1, 3, 4)
    }
    assert kinds == {
        (1, 1): "single", (1, 3): "single", (1, 4): "DetCom",
        (2, 1): "DetCom", (2, 3): "DetCom", (2, 4): "single",
    }  # fmt: skip


def test_logs_list_all_frames_and_all_targets(tiny: Made) -> None:
    rows = list(csv.DictReader(io.StringIO((tiny.folder / "obslog.csv").read_text())))
    stems = {f"06_334_{r['run']}_{r['exposure']}_{r['fclass']}_{r['channel']}.fits" for r in rows}
    assert stems == {path.name for path in tiny.folder.glob("*.fits")}
    object_rows = [r for r in rows if r["exposure"] == "003" and r["run"] < "900"]
    assert all(float(r["guide_x"]) > 2048 and r["guide"] == "1" for r in object_rows)
    assert {r["run_kind"] for r in object_rows} == {"StdStar", ""}
    targets = list(csv.DictReader(io.StringIO((tiny.out / "targets.csv").read_text())))
    assert {r["name"] for r in targets} == {r["object"] for r in rows} - {""}


def test_a_complete_night_is_left_alone_and_a_changed_one_made_again(tmp_path: Path) -> None:
    assert [r.present for r in simulate_survey(CALIBRATIONS, tmp_path)] == [False]
    folder = tmp_path / "06/334"
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert [r.present for r in simulate_survey(CALIBRATIONS, tmp_path)] == [True]
    assert before == {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    (folder / "06_334_900_001_24_B.fits").unlink()
    assert [r.present for r in simulate_survey(CALIBRATIONS, tmp_path)] == [False]
    fewer = replace(CALIBRATIONS, nights=(replace(CALIBRATIONS.nights[0], darks=0),))
    simulate_survey(fewer, tmp_path)
    assert sorted(path.name for path in folder.glob("*.fits")) == [
        "06_334_900_001_24_B.fits",
        "06_334_900_001_24_R.fits",
    ]


def test_files_of_others_are_never_touched(tmp_path: Path) -> None:
    folder = tmp_path / "06/334"
    folder.mkdir(parents=True)
    (folder / "06_334_001_001_07_B.fits").write_bytes(b"real")
    with pytest.raises(Refused, match="did not write"):
        simulate_survey(CALIBRATIONS, tmp_path)
    assert contents(folder) == {"06_334_001_001_07_B.fits": b"real"}


def test_a_file_put_into_a_simulated_night_is_never_removed(tmp_path: Path) -> None:
    simulate_survey(CALIBRATIONS, tmp_path)
    (tmp_path / "06/334/06_334_123_001_07_B.fits").write_bytes(b"real")
    with pytest.raises(Refused, match="06_334_123_001_07_B"):
        simulate_survey(replace(CALIBRATIONS, seed=7), tmp_path)
    assert (tmp_path / "06/334/06_334_123_001_07_B.fits").read_bytes() == b"real"


def test_a_killed_call_is_taken_up_by_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "06/334"
    simulate_survey(CALIBRATIONS, tmp_path)
    whole = contents(folder)
    stamp = json.loads(whole[".simulated.json"])
    stamp["complete"] = False
    (folder / ".simulated.json").write_text(json.dumps(stamp))
    (folder / "truth.json").unlink()
    (folder / ".06_334_900_001_24_B.fits.4711").write_bytes(b"half")
    assert [r.present for r in simulate_survey(CALIBRATIONS, tmp_path)] == [False]
    assert contents(folder) == whole


def test_the_target_list_grows_and_keeps_the_lines_it_has(tmp_path: Path) -> None:
    path = tmp_path / "targets.csv"
    one, two = find_preset("tiny"), find_preset("sample")
    path.write_bytes(target_list(one).replace(b"0.0382", b"0.0390"))
    first = path.read_bytes()
    grown = target_list(two, first)
    assert grown.startswith(first)
    names = [row["name"] for row in csv.DictReader(io.StringIO(grown.decode()))]
    assert sorted(names) == sorted({name for plan in two.nights for name in plan.targets})
    assert target_list(one, grown) == grown


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    results = simulate_survey(CALIBRATIONS, tmp_path / "raw", dry_run=True)
    assert [(r.frames, r.present) for r in results] == [(4, False)]
    assert not (tmp_path / "raw").exists()


def test_a_night_that_the_preset_lacks_is_made_like_its_first() -> None:
    preset = change(find_preset("tiny"), nights=["05_100", "06_336"])
    assert [plan.night for plan in preset.nights] == ["05_100", "06_336"]
    assert preset.nights[0].targets == find_preset("tiny").nights[0].targets


@pytest.mark.parametrize(
    ("value", "text"),
    [(-2.515168, "-02:30:54.60"), (0.0, "+00:00:00.00"), (23.999999, "+24:00:00.00")],
)
def test_sexagesimal_never_shows_sixty(value: float, text: str) -> None:
    assert sexagesimal(value) == text
