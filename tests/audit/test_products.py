"""What is expected against what is declared, registered and archived."""

from __future__ import annotations

import hashlib

from snfpipe.audit.findings import Finding, Kind, Report
from snfpipe.flags import encode
from snfpipe.names import ProductName
from snfpipe.plans.selection import select
from tests.e2e import survey

CUBE = "06_334_001_003_4_022_000_02-03_000.fits"
SPECTRUM = "06_334_001_003_4_038_100_02-03_000.fits"


def found(report: Report, kind: Kind) -> dict[str, Finding]:
    return {finding.object: finding for finding in report.findings if finding.kind is kind}


def test_a_finished_production_is_clean_and_its_counts_agree(case):
    report = case.products(verify=True)
    assert report.verdict == "OK"
    rows = {(row["step"], row["class"]): row for row in report.to_json()["table"]}
    cubes = rows["cube_generation", "022_000"]
    assert [cubes[name] for name in ("expected", "declared", "registered", "archived")] == [8] * 4
    assert cubes["meaning"] == "object cube, reduced (Euro3D)"


def test_what_a_plan_leaves_out_with_a_reason_is_excused(case):
    case.driven.query("UPDATE pose SET quality = 0 WHERE id_pose = 63340010034")
    outdated = found(case.products(), Kind.UNEXPECTED)
    assert "pose quality 0" in outdated[CUBE].what
    case.driven.doit()
    report = case.products()
    assert report.clean
    row = next(row for row in report.to_json()["table"] if row["class"] == "022_000")
    assert (row["expected"], row["excused"]) == (7, 1)


def test_a_cube_marked_as_bad_by_hand_excuses_its_spectrum(case):
    case.driven.query("UPDATE process SET quality = 2 WHERE id_process LIKE '63340010034022%'")
    case.driven.doit()
    report = case.products()
    assert report.clean, report.findings
    row = next(row for row in report.to_json()["table"] if row["class"] == "038_100")
    assert (row["expected"], row["excused"]) == (7, 1)


def test_a_flagged_spectrum_is_a_note_and_no_finding(case):
    assert case.products().notes == ()
    flagged = encode(["ES_LOW_SN"])
    bad = encode(["ES_NO_SOURCE", "ES_PRIOR_POSITION"])
    [good, faint, empty, *_] = [ident for (ident,) in case.driven.query(
        "SELECT id_process FROM process WHERE fclass = 38 AND xfclass = 100 AND state = 'live' "
        "ORDER BY id_process"
    )]  # fmt: skip
    case.driven.query(f"UPDATE process SET quality_s = '{flagged}' WHERE id_process = '{faint}'")
    case.driven.query(
        f"UPDATE process SET quality = 2, quality_s = '{bad}' WHERE id_process = '{empty}'"
    )
    report = case.products()
    assert report.clean, report.findings
    first, second = report.notes
    assert str(ProductName.from_id(faint)) in first and "quality 1, ES_LOW_SN" in first
    assert str(ProductName.from_id(empty)) in second
    assert "quality 2, ES_PRIOR_POSITION, ES_NO_SOURCE" in second
    assert good not in "".join(report.notes)
    shown = case.driven.run("snf", "audit", "--only", "products").stdout
    assert first in shown and second in shown


def test_a_bad_spectrum_keeps_no_cube_from_being_read(case):
    step = next(step for step in case.project.steps if step.key == "extract_star")
    with case.database.read() as session:
        before = select(session, step, step.units)
    assert sum(len(plan.items) for plan in before.values()) == 8
    case.driven.query("UPDATE process SET quality = 2 WHERE fclass = 38 AND xfclass = 100")
    case.driven.query(
        "UPDATE measurement SET quality = 2 WHERE job_id IN (SELECT job_id FROM process "
        "WHERE fclass = 38 AND xfclass = 100)"
    )
    with case.database.read() as session:
        assert select(session, step, step.units) == before


def test_a_unit_that_was_not_made_is_one_finding(case):
    case.driven.set_nights(["06_334", "06_336", "06_337"])
    survey.write_night(case.driven.root / "work" / "raw", "06_337")
    case.driven.arrive()
    done = case.driven.run("snf", "audit", "--only", "products", "--json", exit_code=1)
    assert done.stdout.count('"waiting"') == 3
    assert "cube_generation:06_337" in done.stdout


def test_a_failed_unit_and_everything_it_owes_are_named_with_the_reason(case):
    case.driven.query("UPDATE process SET state = 'superseded' WHERE fclass = 3 AND "
                      "night = '06_334'")  # fmt: skip
    case.driven.doit(exit_code=1)
    report = case.products()
    assert set(found(report, Kind.FAILED)) == {"cube_generation:06_334"}
    missing = found(report, Kind.MISSING)
    assert len(missing) == 4 * (4 + 2)  # cubes with what comes with them, and spectra
    # both were made before: what is missed now would be their next generation
    assert "no arc in night 06_334" in missing[CUBE.replace("_000.fits", "_001.fits")].what
    assert "no cube" in missing[SPECTRUM.replace("_000.fits", "_001.fits")].what


def test_files_that_are_gone_short_changed_or_strange_are_told_apart(case):
    gone, short, changed = (case.file(f"06_336_00{run}_003_{channel}_022_*.fits")
                            for run, channel in ((1, 2), (1, 4), (2, 2)))  # fmt: skip
    gone.unlink()
    short.write_bytes(short.read_bytes()[:2880])
    content = bytearray(changed.read_bytes())
    content[-2880] ^= 1
    changed.write_bytes(content)
    strange = changed.with_name("06_336_009_003_2_022_000_02-03_000.fits")
    strange.write_bytes(b"x")

    report = case.products()
    assert set(found(report, Kind.MISSING)) == {gone.name}
    assert set(found(report, Kind.WRONG)) == {short.name}
    assert set(found(report, Kind.UNEXPECTED)) == {strange.name}
    row = next(row for row in report.to_json()["table"] if row["class"] == "022_000")
    assert (row["registered"], row["archived"]) == (8, 6)
    assert set(found(case.products(verify=True), Kind.WRONG)) == {short.name, changed.name}


def test_a_fits_file_that_was_registered_unreadable_is_found_by_verifying(case):
    path = case.file(CUBE)
    content = path.read_bytes().replace(
        b"NAXIS1  =                   32", b"NAXIS1  =                 9932"
    )
    path.write_bytes(content)
    checksum = hashlib.sha256(content).hexdigest()
    case.driven.query("UPDATE file SET checksum = :sum WHERE name = :name", sum=checksum, name=CUBE)
    assert case.products().clean
    wrong = found(case.products(verify=True), Kind.WRONG)
    assert "no good FITS file" in wrong[CUBE].what


def test_a_raw_frame_that_cannot_be_read_is_a_finding_until_it_is_mended(case):
    frame = case.project.site.raw / "06" / "334" / "06_334_001_003_17_B.fits"
    whole = frame.read_bytes()
    frame.write_bytes(whole[:2900])
    case.driven.arrive()
    assert frame.name in found(case.products(), Kind.WRONG)
    frame.write_bytes(whole)
    case.driven.arrive()
    assert case.products().clean
