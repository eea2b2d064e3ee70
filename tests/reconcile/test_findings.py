"""What is found between archive and database, and what is not."""

from __future__ import annotations

import os
import shutil
import time

import pytest
import sqlalchemy as sa

from snfpipe.errors import Refused, SnfError
from tests.reconcile.conftest import CUBE, FOLDER, flip, problems, scan, scan_twice, words


def test_a_finished_production_is_clean_and_needs_no_repairs(case):
    found = scan_twice(case, verify=True)
    assert found.report.clean, found.report.findings
    assert found.plan.repairs == ()


def test_missing_short_and_changed_files_are_told_apart(case):
    gone, short, changed = (case.file(f"06_336_00{run}_003_{channel}_022_*.fits")
                            for run, channel in ((1, 2), (1, 4), (2, 2)))  # fmt: skip
    gone.unlink()
    short.write_bytes(short.read_bytes()[:2880])
    flip(changed)
    assert problems(scan(case)) == {gone.name: "missing", short.name: "wrong size"}
    found = scan(case, verify=True)
    assert problems(found) == {
        gone.name: "missing", short.name: "wrong size", changed.name: "wrong checksum",
    }  # fmt: skip
    assert words(found) == {
        gone.name: "mark lost", short.name: "quarantine", changed.name: "quarantine",
    }  # fmt: skip


def test_a_file_without_a_row_counts_when_two_scans_saw_it_unchanged(case):
    strange = case.archive / FOLDER / "strange.fits"
    strange.write_bytes(b"x")
    first = scan(case)
    assert first.report.clean
    assert "1 without a row were seen for the first time" in first.report.notes[1]
    second = scan(case)
    assert problems(second) == {"strange.fits": "orphaned"}
    assert words(second) == {"strange.fits": "quarantine"}
    strange.write_bytes(b"xy")
    assert scan(case).report.clean
    assert not scan(case).report.clean


def test_a_file_without_a_row_that_is_young_does_not_count(case):
    strange = case.archive / FOLDER / "strange.fits"
    strange.write_bytes(b"x")
    assert scan_twice(case, min_age_s=3600.0).report.clean
    an_hour_ago = time.time() - 3601
    os.utime(strange, (an_hour_ago, an_hour_ago))
    assert problems(scan_twice(case, min_age_s=3600.0)) == {"strange.fits": "orphaned"}


def test_a_dry_scan_remembers_nothing(case):
    (case.archive / FOLDER / "strange.fits").write_bytes(b"x")
    scan(case, remember=False)
    assert scan(case).report.clean


def test_a_file_that_a_job_in_hand_may_be_registering_does_not_count(case):
    name = CUBE.replace("_000.fits", "_001.fits")
    (case.archive / FOLDER / name).write_bytes(b"linked, not committed yet")
    case.driven.query(
        "UPDATE expected SET id_process = :new WHERE id_process LIKE '63340010034022000%'",
        new="633400100340220000203001",
    )
    case.driven.query("UPDATE job SET state = 'running' WHERE name LIKE '%SAMPLEc-06334'")
    assert scan_twice(case).report.clean
    case.driven.query("UPDATE job SET state = 'done' WHERE name LIKE '%SAMPLEc-06334'")
    assert problems(scan(case)) == {name: "orphaned"}


def test_equal_bytes_alone_are_no_finding(case):
    one, other = (case.file(f"06_336_001_003_{channel}_022_*.fits") for channel in (2, 4))
    other.write_bytes(one.read_bytes())
    case.driven.query(
        "UPDATE file SET checksum = (SELECT checksum FROM file WHERE name = :one), "
        "size = (SELECT size FROM file WHERE name = :one) WHERE name = :other",
        one=one.name, other=other.name,
    )  # fmt: skip
    assert scan_twice(case, verify=True).report.clean


def test_a_product_in_a_second_place_is_named_with_the_first(case):
    second = case.archive / "Prod/02-03/06/336" / CUBE
    shutil.copy2(case.file(CUBE), second)
    found = scan_twice(case)
    (finding,) = found.report.findings
    assert finding.what == f"one product in two places: it is registered at {FOLDER}/{CUBE}"
    assert words(found) == {CUBE: "quarantine"}
    assert found.plan.repairs[0].path == f"Prod/02-03/06/336/{CUBE}"


def test_two_live_generations_are_found_and_the_manifest_decides(case):
    case.driven.query(
        "INSERT INTO process (id_process, fclass, xfclass, channel, version, idx, night, job_id, "
        "status, quality, quality_s, state) SELECT '633400100340220000203001', fclass, xfclass, "
        "channel, version, 1, night, job_id, status, quality, quality_s, 'live' FROM process "
        "WHERE id_process = '633400100340220000203000'"
    )
    found = scan(case)
    (finding,) = found.report.findings
    assert finding.what.startswith("two live generations: 633400100340220000203000 is live too")
    (repair,) = found.plan.repairs
    assert repair.repair == "supersede"
    assert repair.rows[0].key == "633400100340220000203001"


def test_one_path_cannot_stand_in_two_rows_but_in_another_spelling(case):
    copy = (
        "INSERT INTO file (name, area, path, size, checksum, id_process, role, night) "
        "SELECT name, area, {}, size, checksum, id_process, role, night FROM file "
        f"WHERE name = '{CUBE}'"
    )
    with pytest.raises(sa.exc.IntegrityError):
        case.driven.query(copy.format("path"))
    case.driven.query(copy.format(f"'{FOLDER}/../334//{CUBE}'"))
    found = scan(case)
    assert problems(found) == {CUBE: "one path in two rows"}
    assert words(found) == {CUBE: "unregister"}


def test_a_row_that_leads_out_of_the_archive_is_never_followed(case):
    outside = case.driven.root / "outside.fits"
    outside.write_bytes(case.file(CUBE).read_bytes())
    path = os.path.relpath(outside, case.archive)
    case.driven.query("UPDATE file SET path = :path WHERE name = :name", path=path, name=CUBE)
    found = scan_twice(case)
    assert set(problems(found).values()) == {"wrong path"}
    (repair,) = found.plan.repairs
    assert repair.rows[0].becomes == {"path": f"{FOLDER}/{CUBE}"}


def test_a_row_edited_by_hand_is_mended_from_the_manifest(case):
    case.driven.query("UPDATE file SET checksum = :sum WHERE name = :name", sum="0" * 64, name=CUBE)
    found = scan(case, verify=True)
    assert problems(found) == {CUBE: "wrong checksum"}
    assert words(found) == {CUBE: "re-register"}


def test_a_file_row_that_has_gone_is_registered_again_from_the_manifest(case):
    case.driven.query("DELETE FROM file WHERE name = :name", name=CUBE)
    found = scan_twice(case)
    assert problems(found) == {CUBE: "orphaned"}
    assert words(found) == {CUBE: "re-register"}


def test_what_interrupted_writes_left_is_a_leftover(case):
    incoming = case.archive / ".incoming"
    ((finished,),) = case.driven.query("SELECT token FROM job WHERE name LIKE '%SAMPLEc-06334'")
    ((waiting,),) = case.driven.query("SELECT token FROM job WHERE name LIKE '%SAMPLEc-06336'")
    case.driven.query("UPDATE job SET state = 'running' WHERE name LIKE '%SAMPLEc-06336'")
    for token in (finished, waiting, "feedfeedfeedfeed"):
        (incoming / token).mkdir(parents=True)
        (incoming / token / f"{token}.fits").write_bytes(b"x")
    (case.archive / FOLDER / f"{CUBE}.part").write_bytes(b"x")
    found = scan_twice(case)
    assert problems(found) == {
        f"{finished}.fits": "leftover", "feedfeedfeedfeed.fits": "leftover",
        f"{CUBE}.part": "leftover",
    }  # fmt: skip


def test_links_and_hostile_names_are_files_without_a_row_and_harmless(case):
    folder = case.archive / FOLDER
    (folder / "link.fits").symlink_to("/etc/passwd")
    (folder / "'; DROP TABLE file; --\n%*?").write_bytes(b"x")
    (folder / os.fsdecode(b"\xff\xfe.fits")).write_bytes(b"x")
    (folder / "loop").symlink_to(folder)
    found = scan_twice(case)
    assert len(found.report.findings) == 4
    assert set(problems(found).values()) == {"orphaned"}
    assert case.driven.query("SELECT count(*) FROM file") != [(0,)]


def test_a_registered_file_that_has_become_a_link_is_wrong(case):
    path = case.file(CUBE)
    path.rename(case.driven.root / "elsewhere")
    path.symlink_to(case.driven.root / "elsewhere")
    (finding,) = scan(case).report.findings
    assert "no regular file" in finding.what


@pytest.mark.parametrize("away", ["Prod", "Prod/02-03/06/334"])
def test_a_mount_that_is_away_stops_the_scan_and_plans_nothing(case, away):
    (case.archive / away).rename(case.driven.root / "away")
    with pytest.raises(Refused, match="nothing was planned"):
        scan(case, max_wrong=0.02)
    if away == "Prod":
        with pytest.raises(Refused, match=r"none of .* files is there"):
            scan(case, max_wrong=1.0)
    (case.archive / away).mkdir()
    with pytest.raises(Refused):
        scan(case, max_wrong=0.02)


def test_a_folder_that_cannot_be_read_is_an_error_and_nothing_missing(case, monkeypatch):
    real = os.listdir

    def fails(folder):
        if isinstance(folder, int) and os.readlink(f"/proc/self/fd/{folder}").endswith("06/334"):
            raise PermissionError(13, "Permission denied")
        return real(folder)

    monkeypatch.setattr(os, "listdir", fails)
    with pytest.raises(SnfError, match="cannot be read"):
        scan(case)


def test_rows_and_files_that_come_and_go_during_the_scan_are_nothing(case, monkeypatch):
    """What is registered, or deleted, between the look at rows and that at files."""
    from snfpipe.reconcile import reconcile as module

    real = module._scan
    path = case.file(CUBE)
    ((row,),) = case.driven.query("SELECT id FROM file WHERE name = :name", name=CUBE)

    def meanwhile(*arguments):
        case.driven.query("UPDATE file SET area = 'lost' WHERE id = :id", id=row)
        found = real(*arguments)  # the file has no row, and then has one again
        case.driven.query("UPDATE file SET area = 'archive' WHERE id = :id", id=row)
        return found

    monkeypatch.setattr(module, "_scan", meanwhile)
    assert scan_twice(case).report.clean

    def gone(*arguments):
        path.rename(path.with_suffix(".moved"))
        found = real(*arguments)  # the row has no file, and then is gone as well
        path.with_suffix(".moved").rename(path)
        return found

    monkeypatch.setattr(module, "_scan", gone)
    assert scan(case).report.clean
