"""What is written: whole, the same every time, and named as raw frames are."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from astropy.io import fits

from snfpipe.errors import Refused
from snfpipe.names import RawName
from snfpipe.simulate.changes import change
from snfpipe.simulate.headers import sexagesimal
from snfpipe.simulate.instrument import frame_shape
from snfpipe.simulate.logs import target_list
from snfpipe.simulate.night import frame_content, planned_frames
from snfpipe.simulate.presets import PRESETS, find_preset
from snfpipe.simulate.survey import simulate_survey
from tests.simulate.conftest import CALIBRATIONS, Made


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
            header, pixels = file[0].header, file[0].data
        nx, ny = frame_shape(name.channel, "reduced")
        assert pixels.dtype.kind == "u"
        assert pixels.shape == (ny, nx + 64)
        assert int(header["FCLASS"]) == name.fclass
        assert header["CHANNEL"] == name.channel
        assert header["FILENAME"] == path.stem
        assert header["RUNID"] == path.name[:10]
        assert header["BIASSEC2"] == f"[{nx + 33}:{nx + 64},1:{ny}]"
        assert header["DATASEC2"] == header["CCDSEC2"] == f"[{nx // 2 + 1}:{nx},1:{ny}]"
        assert header["RASTER"] == "FULL"
        assert 1 <= header["AIRMASS"] < 3
        assert 610 < header["PRESSURE"] < 622


def test_headers_carry_the_dirt_of_real_ones(tiny: Made) -> None:
    headers = {path.name: fits.getheader(path) for path in tiny.folder.glob("*.fits")}
    assert headers["06_334_001_001_07_B.fits"]["FCLASS"] == "07"
    assert headers["06_334_001_001_07_R.fits"]["FCLASS"] == 7
    assert headers["06_334_001_001_07_B.fits"]["EXPTIME"] == 11.0
    assert headers["06_334_001_001_07_R.fits"]["EXPTIME"] == 1.0
    assert all("MJD-OBS" not in header for header in headers.values())
    assert all(header["RAIN"] == 9999999 for header in headers.values())
    late = [name for name, h in headers.items() if h["UTC"][3:5] != h["DATE-OBS"][14:16]]
    assert late
    assert all(name.endswith("_B.fits") for name in late)


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
