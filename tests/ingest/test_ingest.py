"""Raw nights become rows, on both databases: once, whatever lies in the folder."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from snfpipe.db.models import Exposure, FrameChange, Pose, Process, Run
from snfpipe.errors import NotFound
from snfpipe.ingest.scan import anything_new
from snfpipe.names import RawName
from tests.ingest.conftest import JD, Survey, write_frame

pytestmark = pytest.mark.services

BLUE = "06_334_001_003_17_B.fits"
ID = RawName.parse(BLUE).id_process


def test_a_night_becomes_rows(survey: Survey) -> None:
    survey.frames()
    report = survey.ingest_one()
    assert (report.night, len(report.taken), report.warnings) == ("06_334", 6, [])
    (target,) = survey.rows("target")
    assert (target["name"], target["kind"], target["id_target"]) == ("GD71", "StdStar", "T06334001")
    (run,) = survey.rows("run")
    assert (run["id_run"], run["kind"], run["type"]) == (6334001, "StdStar", "SPECTRED")
    assert (run["target_id"], run["jd"]) == (target["id"], JD)
    exposures = {row["id_exposure"]: row for row in survey.rows("exposure")}
    assert sorted(exposures) == [6334001001, 6334001003, 6334001004]
    assert (exposures[6334001003]["exptime_s"], exposures[6334001003]["guide"]) == (300.0, 1)
    assert len(survey.rows("pose")) == 6
    processes = {row["id_process"]: row for row in survey.rows("process")}
    assert processes[ID]["target_id"] == target["id"]
    files = {row["name"]: row for row in survey.rows("file")}
    assert set(files) == set(report.taken)
    assert files[BLUE]["checksum"] == hashlib.sha256((survey.night / BLUE).read_bytes()).hexdigest()
    headers = {row["id_process"]: row for row in survey.rows("header")}
    assert set(headers) == set(processes)
    assert headers[ID]["cards"]["OBJECT"] == "GD71"


def test_doing_it_twice_changes_nothing(survey: Survey) -> None:
    survey.frames()
    (survey.night / "junk.fits").write_text("junk")
    survey.ingest()
    before = survey.everything()
    assert not anything_new(survey.project)
    assert survey.ingest() == [] == survey.ingest("06_334")
    assert survey.everything() == before


def test_a_dry_run_says_the_same_and_writes_nothing(survey: Survey) -> None:
    survey.frames()
    (survey.night / "junk.fits").write_text("junk")
    before = survey.everything()
    would = survey.ingest(dry_run=True)
    assert survey.everything() == before
    assert would == survey.ingest()
    write_frame(survey.night, BLUE, level=2000)
    (night,) = survey.ingest(dry_run=True)
    assert (night.taken, night.changed) == ([], [BLUE])
    assert survey.rows("frame_change") == []


def test_a_changed_frame_is_recorded_with_both_checksums(survey: Survey) -> None:
    survey.frames()
    survey.ingest()
    old = hashlib.sha256((survey.night / BLUE).read_bytes()).hexdigest()
    write_frame(survey.night, BLUE, level=2000, AIRMASS=1.4)
    new = hashlib.sha256((survey.night / BLUE).read_bytes()).hexdigest()
    report = survey.ingest_one()
    assert (report.taken, report.changed) == ([], [BLUE])
    (change,) = survey.rows("frame_change")
    assert (change["name"], change["old_checksum"], change["new_checksum"]) == (BLUE, old, new)
    files = {row["name"]: row["checksum"] for row in survey.rows("file")}
    assert files[BLUE] == new
    poses = {row["id_pose"]: row["airmass"] for row in survey.rows("pose")}
    assert (poses[63340010034], poses[63340010032]) == (1.4, 1.2)
    assert survey.ingest() == []


def test_a_frame_that_was_only_touched_is_no_change(survey: Survey) -> None:
    survey.frames()
    survey.ingest()
    stamps = survey.rows("change_stamp")
    os.utime(survey.night / BLUE, ns=(1, 1))
    report = survey.ingest_one()
    assert (report.taken, report.changed) == ([], [])
    assert survey.rows("frame_change") == []
    assert survey.ingest() == []
    assert len(survey.rows("change_stamp")) == len(stamps)


def test_what_was_set_by_hand_survives_every_ingest(survey: Survey) -> None:
    survey.frames()
    survey.ingest()
    with survey.database.write() as session:
        session.execute(sa.update(Run).values(kind="FinalRef"))
        session.execute(sa.update(Exposure).values(quality=2))
        session.execute(sa.update(Pose).values(quality=0))
    write_frame(survey.night, BLUE, level=2000)
    write_frame(survey.night, "06_334_001_003_17_P.fits")
    report = survey.ingest_one()
    assert (len(report.taken), len(report.changed)) == (1, 1)
    assert {row["kind"] for row in survey.rows("run")} == {"FinalRef"}
    by_id = {row["id_exposure"]: row["quality"] for row in survey.rows("exposure")}
    assert by_id[6334001003] == 2
    qualities = {row["id_pose"]: row["quality"] for row in survey.rows("pose")}
    assert (qualities.pop(63340010031), set(qualities.values())) == (1, {0})


def cut(path: Path) -> None:
    """Lose the end of a frame."""
    path.write_bytes(path.read_bytes()[:-2500])


def in_the_header(path: Path) -> None:
    """Lose all but the beginning of the header."""
    path.write_bytes(path.read_bytes()[:700])


def noise(path: Path) -> None:
    """Replace a frame by bytes of no meaning."""
    path.write_bytes(bytes(range(256)) * 100)


def damaged(path: Path) -> None:
    """Put bytes that are no text into the header."""
    content = bytearray(path.read_bytes())
    content[0:400] = b"\xff\x00" * 200
    path.write_bytes(content)


def imageless(path: Path) -> None:
    """Replace a frame by a header alone."""
    from astropy.io import fits

    fits.PrimaryHDU().writeto(path, overwrite=True)


def empty(path: Path) -> None:
    """Lose all bytes."""
    path.write_bytes(b"")


def folder(path: Path) -> None:
    """Put a folder in its place."""
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    """Put a named pipe in its place, which a reader would wait for."""
    path.unlink()
    os.mkfifo(path)


def dangling(path: Path) -> None:
    """Put a link to nowhere in its place."""
    path.unlink()
    path.symlink_to("nowhere.fits")


def loop(path: Path) -> None:
    """Put a link to itself in its place."""
    path.unlink()
    path.symlink_to(path.name)


SPOILT: dict[Callable[[Path], None], str] = {
    cut: "cut short: ",
    in_the_header: "not readable as FITS",
    noise: "not readable as FITS",
    damaged: "not readable as FITS",
    imageless: "no image in it",
    empty: "the file is empty",
    folder: "no plain file",
    pipe: "no plain file",
    dangling: "No such file",
    loop: "Too many levels of symbolic links",
}


def test_what_cannot_be_read_is_told_once_and_the_rest_goes_on(survey: Survey) -> None:
    survey.frames()
    spoilt = {f"06_334_002_{number:03}_17_B.fits": how for number, how in enumerate(SPOILT, 1)}
    for name, spoil in spoilt.items():
        spoil(write_frame(survey.night, name))
    report = survey.ingest_one()
    assert len(report.taken) == 6
    assert report.unreadable.keys() == {f"06/334/{name}" for name in spoilt}
    for name, spoil in spoilt.items():
        assert SPOILT[spoil] in report.unreadable[f"06/334/{name}"], spoil
    bad = survey.rows("bad_frame")
    assert {row["path"]: row["reason"] for row in bad} == report.unreadable
    assert {row["night"] for row in bad} == {"06_334"}
    assert len(survey.rows("process")) == 6
    assert survey.ingest() == []
    for name in spoilt:
        path = survey.night / name
        path.rmdir() if path.is_dir() else path.unlink()
        write_frame(survey.night, name)
    report = survey.ingest_one()
    assert (report.taken, report.unreadable) == (sorted(spoilt), {})
    assert survey.rows("bad_frame") == []


def test_a_frame_that_goes_bad_is_selected_no_longer_and_again_once_it_is_mended(
    survey: Survey,
) -> None:
    survey.frames()
    survey.ingest()
    path = survey.night / BLUE
    whole = path.read_bytes()
    cut(path)
    assert survey.ingest_one().unreadable
    states = {row["id_process"]: row["state"] for row in survey.rows("process")}
    assert states.pop(ID) == "unreadable"
    assert set(states.values()) == {"live"}
    path.write_bytes(whole)
    report = survey.ingest_one()
    assert (report.taken, report.changed, report.unreadable) == ([], [], {})
    assert {row["state"] for row in survey.rows("process")} == {"live"}
    assert survey.rows("bad_frame") == []


HOSTILE = [
    "; rm -rf $HOME #.fits", "it's.fits", "two\nlines.fits", "\x1b[31mred.fits", "-rf.fits",
    "06_334_001_009_17_B.fits\n.fits", "06_336_001_001_17_B.fits", "06_334_001_001_17_G.fits",
    os.fsdecode(b"caf\xe9.fits"), "\u202etxt.fits", "x" * 250 + ".fits",
]  # fmt: skip


def test_files_of_hostile_names_are_told_and_harm_nothing(survey: Survey) -> None:
    survey.frames()
    for name in HOSTILE:
        (survey.night / name).write_bytes((survey.night / BLUE).read_bytes())
    report = survey.ingest_one()
    assert len(report.taken) == 6
    assert len(report.unreadable) == len(HOSTILE) == len(survey.rows("bad_frame"))
    for path, reason in report.unreadable.items():
        assert path.isprintable() and reason.isprintable()
    told = " ".join(report.unreadable.values())
    assert "its name says night 06_336" in told and "is no raw file name" in told
    assert survey.ingest() == []
    for name in HOSTILE:
        (survey.night / name).unlink()
    assert len(survey.ingest_one().gone) == len(HOSTILE)
    assert survey.rows("bad_frame") == [] and survey.ingest() == []


OBJECTS = [
    "../../x; rm -rf $HOME #", "it's", 'say "no"', "$(id)", "two\nlines", "<script>", "x" * 60,
    "'; DROP TABLE target; --", "-rf", "caf\u00e9", "nul\0",
]  # fmt: skip


def test_hostile_objects_of_headers_give_no_target_and_the_night_goes_on(survey: Survey) -> None:
    survey.frames()
    (survey.night / "obslog.csv").unlink()
    for number, name in enumerate(OBJECTS, 2):
        path = write_frame(survey.night, f"06_334_{number:03}_001_17_B.fits", OBJECT="@" * 62)
        raw = name.replace("'", "''").encode("latin-1").ljust(62)
        path.write_bytes(path.read_bytes().replace(b"@" * 62, raw))
    report = survey.ingest_one()
    assert {row["name"] for row in survey.rows("target")} == {"GD71"}
    assert len(report.taken) + len(report.unreadable) == 6 + len(OBJECTS)
    for number, name in enumerate(OBJECTS, 2):
        run = f"06_334_{number:03}"
        told = [
            it.what
            for it in report.problems
            if it.object == f"run {run}" and "no target" in it.what
        ]
        told += [path for path in report.unreadable if run in path]
        assert told, f"nothing was said of {name!r}"
    assert all(str(it).isprintable() for it in report.problems)
    for path in survey.night.glob("*.fits"):
        os.utime(path, ns=(1, 1))
    assert survey.ingest_one().changed == []
    assert survey.ingest() == []
    json.dumps(survey.rows("header"))


def test_hostile_objects_of_a_log_give_no_target_and_the_night_goes_on(survey: Survey) -> None:
    survey.frames()
    lines = []
    for number, name in enumerate(OBJECTS, 2):
        write_frame(survey.night, f"06_334_{number:03}_001_17_B.fits", OBJECT="GD153")
        lines.append(f'{number},1,B,"{name}"'.replace('"say "no""', '"say ""no"""'))
    survey.table("06/334/obslog.csv", "run,exposure,channel,object", *lines)
    report = survey.ingest_one()
    assert len(report.taken) == 6 + len(OBJECTS)
    assert {row["name"] for row in survey.rows("target")} == {"GD71"}
    refused = [it for it in report.problems if "is no target name" in it.what]
    assert len(refused) == len(OBJECTS)
    assert all(str(it).isprintable() for it in report.problems)
    assert survey.ingest() == []


def test_calibrations_have_no_target(survey: Survey) -> None:
    write_frame(survey.night, "06_334_900_001_24_B.fits", OBJECT="unknown")
    write_frame(survey.night, "06_334_901_001_25_B.fits", OBJECT="GD71")
    survey.ingest()
    assert survey.rows("target") == []
    assert [row["target_id"] for row in survey.rows("run")] == [None, None]


def test_an_unknown_class_is_kept_with_a_warning(survey: Survey) -> None:
    write_frame(survey.night, "06_334_001_001_98_B.fits")
    report = survey.ingest_one()
    assert any("class 098_000 is not in the catalogue" in text for text in report.warnings)
    assert [row["fclass"] for row in survey.rows("process")] == [98]


def test_a_good_simulated_night_has_few_notes_and_no_problems(
    survey: Survey, tmp_path: Path
) -> None:
    """All that real headers have odd is told in a line each, not in a line a frame."""
    words = ("simulate", "--preset", "tiny", "--night", "06_334", "--out", str(survey.raw))
    subprocess.run([Path(sys.executable).with_name("snf"), *words], check=True, cwd=tmp_path)
    report = survey.ingest_one()
    assert (len(report.taken), report.problems, report.unreadable) == (20, [], {})
    assert 1 <= len(report.warnings) <= 10
    assert sum("MJD-OBS is missing" in note for note in report.warnings) == 1
    found = [note for row in survey.rows("header") for note in row["warnings"]]
    assert len(found) > 60


def test_a_target_keeps_its_row_over_nights(survey: Survey) -> None:
    survey.frames()
    survey.ingest()
    (survey.raw / "06/336").mkdir()
    write_frame(survey.raw / "06/336", "06_336_007_003_17_B.fits")
    assert [report.night for report in survey.ingest()] == ["06_336"]
    (target,) = survey.rows("target")
    assert target["id_target"] == "T06334001"
    assert {row["target_id"] for row in survey.rows("run")} == {target["id"]}


def test_a_night_without_a_folder_is_refused(survey: Survey) -> None:
    with pytest.raises(NotFound, match=r"no folder .*06/335 of night 06_335"):
        survey.ingest("06_335")
    (survey.raw / "06/366").mkdir()
    (survey.raw / "notes").mkdir()
    assert survey.ingest() == []


def test_two_ingests_at_once_take_every_frame_once(survey: Survey) -> None:
    for night in ("334", "336"):
        folder = survey.raw / "06" / night
        folder.mkdir(exist_ok=True)
        for number in range(1, 8):
            write_frame(folder, f"06_{night}_001_{number:03}_17_B.fits")
    taken: list[str] = []
    problems: list[BaseException] = []
    start = threading.Barrier(4)

    def ingest() -> None:
        start.wait()
        try:
            for report in survey.ingest():
                taken.extend(report.taken)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=ingest) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert len(taken) == len(set(taken)) == 14
    with survey.database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Process)) == 14
        assert session.scalar(sa.select(sa.func.count()).select_from(FrameChange)) == 0
    assert survey.ingest() == []
