"""Faults: each is named with its reason, spoils nothing else, and leaves nothing half-done."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.e2e import survey
from tests.e2e.conftest import NIGHTS, make_project
from tests.e2e.project import Project

A, B, C = NIGHTS
SIX = ["06_334", "06_335", "06_336", "06_337", "06_338", "06_339"]


def test_a_night_without_an_arc_fails_by_name_and_the_others_go_on(tmp_path):
    project = Project.make(tmp_path / "project", SIX)
    raw = project.root / "work" / "raw"
    survey.write_targets(raw)
    for night in SIX:
        survey.write_night(raw, night, arcs=night != "06_336")
    project.arrive()

    told = project.doit(exit_code=1)
    assert "cube_generation:06_336" in told
    assert "arc" in told
    states = {step["key"]: step["states"] for step in project.status()["steps"]}
    assert states["file_quality"]["done"] == 6
    assert states["cube_generation"]["done"] == 5
    assert states["cube_generation"]["failed"] == 1
    assert states["extract_star"]["done"] == 5

    before = project.attempts()
    told = project.doit(exit_code=1)
    assert "cube_generation:06_336" in told
    assert project.attempts() == before

    project.run("snf", "retry", "cube_generation:06_336")
    project.doit(exit_code=1)
    assert project.attempts() == before + 1

    survey.write_night(raw, "06_336")
    project.doit()
    assert project.status()["steps"][1]["states"]["done"] == 6


def test_a_corrupt_and_a_truncated_frame_are_reported_and_the_night_goes_on(tmp_path):
    project = Project.make(tmp_path / "project", [A])
    raw = project.root / "work" / "raw"
    survey.write_targets(raw)
    folder = survey.write_night(raw, A)
    corrupt = folder / f"{A}_001_003_17_B.fits"
    corrupt.write_bytes(b"\0" * 2880 + corrupt.read_bytes()[2880:])
    truncated = folder / f"{A}_002_003_17_B.fits"
    truncated.write_bytes(truncated.read_bytes()[:2900])
    (folder / "not a frame.fits").write_bytes(b"x")
    report = project.run("snf", "ingest", exit_code=None)
    for name in (corrupt.name, truncated.name, "not a frame.fits"):
        assert name in report.stdout + report.stderr
    project.doit(exit_code=None)
    made = {path.rsplit("/", 1)[1] for path in project.products() if "_022_000_" in path}
    assert len(made) == 2  # the red cubes of both runs
    assert all(f"{A}_00{run}_003_2_022" in " ".join(made) for run in (1, 2))


def test_a_frame_truncated_after_it_arrived_fails_its_item_only(project):
    """The bytes on disk are not those that were registered: that frame alone is refused."""
    project.doit()
    frame = project.root / "work" / "raw" / A.replace("_", "/") / f"{A}_001_003_17_B.fits"
    frame.write_bytes(frame.read_bytes()[:2900])
    told = project.doit(exit_code=None)
    live = " ".join(project.products())
    assert f"{A}_001_003_4_022" not in live
    assert f"{A}_001_003_2_022" in live
    assert f"{A}_002_003_4_022" in live
    found = project.run("snf", "audit", exit_code=1)
    assert f"{A}_001_003" in told + found.stdout


@pytest.mark.parametrize(("leave", "count"), [("nothing", 0), ("half", 6)])
def test_cubes_silently_not_left_are_named_by_the_audit(project, leave, count):
    project.write_behaviour(leave=leave, only="cube_generation")
    project.doit(exit_code=1)
    cubes = project.query("SELECT id_exposure, channel FROM process WHERE fclass = 22")
    assert len(cubes) == count
    done = project.run("snf", "audit", exit_code=1)
    missing = 0
    for night in NIGHTS:
        for run in (1, 2):
            for channel, bit in (("B", 4), ("R", 2)):
                exposure = int(f"{night.replace('_', '').lstrip('0')}{run:03}003")
                if (exposure, bit) not in cubes:
                    missing += 1
                    name = f"{night}_{run:03}_003"
                    lines = [line for line in done.stdout.splitlines() if name in line]
                    assert any(channel in line or f"_{bit}_" in line for line in lines), name
    assert missing == 12 - count
    # the spectra that follow are missed as well, though no job ever declared them
    assert any("038_100" in line or "38/100" in line for line in done.stdout.splitlines())
    project.write_behaviour()
    project.run("snf", "retry", "cube_generation:*")
    project.doit()
    project.run("snf", "audit")


def test_items_that_fail_leave_the_good_ones_registered(project):
    item = project.query(
        "SELECT id_pose FROM pose WHERE night = '06_334' AND channel = 4 ORDER BY 1"
    )
    assert item
    project.write_behaviour(
        fail=[str(ident) for (ident,) in item] + [f"{A}_001_003_B"], only="cube_generation"
    )
    told = project.doit(exit_code=1)
    assert f"cube_generation:{A}" in told
    assert "told to fail" in project.run("snf", "status", "--json", exit_code=None).stdout + told
    live = " ".join(project.products())
    assert f"{A}_001_003_2_022" in live
    assert f"{A}_001_003_4_022" not in live


def test_a_step_validates_itself_where_nothing_is_missing(project):
    """And what takes validated products only reads no others."""
    path = project.root / "configs" / "productions" / "sample.toml"
    text = path.read_text().replace('validate = "none"', 'validate = "audit"')
    path.write_text(text.replace("inputs = { cubes", "minimum_status = 2\ninputs = { cubes"))
    item = f"{A}_001_003_B"
    project.write_behaviour(fail=[item], only="cube_generation")
    told = project.doit(exit_code=1)
    found = project.query(
        "SELECT night, fclass, min(status), max(status) FROM process WHERE state = 'live' "
        "AND (fclass, xfclass) IN ((22, 0), (38, 100)) GROUP BY night, fclass"
    )
    status = {(night, fclass): (low, high) for night, fclass, low, high in found}
    assert status.pop((A, 22)) == (1, 1)  # one is missing: what is there waits for a person
    assert status == {(n, f): (2, 2) for n in NIGHTS if n != A for f in (22, 38)}
    assert f"extract_star:{A} nothing to do: no validated cube" in told
    project.write_behaviour()
    project.run("snf", "retry", "cube_generation:*")
    project.doit()
    made = "SELECT DISTINCT status FROM process WHERE state = 'live' AND job_id IS NOT NULL"
    assert project.query(made) == [(2,)]
    project.run("snf", "audit")


@pytest.mark.services
def test_a_full_disk_fails_the_unit_with_its_reason_and_registers_nothing_half(tmp_path):
    """The archive lies on a small tmpfs (mounting it needs root)."""
    assert os.geteuid() == 0, "this test mounts a tmpfs: run `make test` as root"
    project = make_project(tmp_path / "project", NIGHTS)
    archive = project.root / "work" / "archive"
    archive.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", archive], check=True)
    try:
        told = project.doit(exit_code=1)
        assert "No space left" in told or "no space left" in told
        for path, size in project.query("SELECT path, size FROM file WHERE area = 'archive'"):
            assert (archive / path).stat().st_size == size
        registered = {path for (path,) in project.query(
            "SELECT path FROM file WHERE area = 'archive'")}  # fmt: skip
        on_disk = {str(p.relative_to(archive)) for p in (archive / "Prod").rglob("*.fits")}
        assert on_disk == {path for path in registered if path.endswith(".fits")}
        subprocess.run(["mount", "-o", "remount,size=64m", archive], check=True)
        project.run("snf", "retry", "*")
        project.doit()
        project.run("snf", "audit", "--verify")
    finally:
        subprocess.run(["umount", archive], check=True)


@pytest.mark.parametrize(
    ("where", "content", "told"),
    [
        ("lists/sample_nights.list", "06_334\n06_3a4\n", ["sample_nights.list:2", "06_3a4"]),
        ("lists/sample_nights.list", "06_334\n06_336\n06_334\n", ["sample_nights.list:3", "1"]),
        ("lists/sample_nights.list", "../../x; rm -rf $HOME #\n", ["sample_nights.list:1"]),
        ("lists/sample_nights.list", "06_400\n", ["sample_nights.list:1"]),
        ("configs/production.toml",
         'version = "SNF-09-09"\nproduction = "sample"\nsite = "local"\n',
         ["SNF-09-09", "SNF-02-03", "production.toml"]),
        ("configs/production.toml", 'version = \n', ["production.toml:1"]),
        ("configs/production.toml",
         'version = "SNF-02-03"\nproduction = "sampel"\nsite = "local"\n',
         ["sampel", "sample"]),
    ],
)  # fmt: skip
def test_bad_configuration_is_refused_with_its_place(project, where, content, told):
    (project.root / where).write_text(content)
    for command in (("doit",), ("snf", "status")):
        done = project.run(*command, exit_code=2 if command[0] == "snf" else None)
        assert done.returncode not in (0, 1)
        for word in told:
            assert word in done.stderr + done.stdout, (command, word, done.stderr)


HOSTILE = ["../../x; rm -rf $HOME #", "a'b\"c", "two\nlines", "`id`", "x" * 200, "%s", "-rf"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_target_name_is_refused_and_the_night_goes_on(tmp_path, name):
    project = Project.make(tmp_path / "project", [A])
    raw = project.root / "work" / "raw"
    stars = (survey.Star("GD71", "StdStar"), survey.Star(name, "SuperNova", "Ia"))
    survey.write_targets(raw, stars)
    header_name = survey.Star("".join(c for c in name if c.isprintable())[:60], "SuperNova", "Ia")
    survey.write_night(raw, A, (stars[0], header_name))
    project.run("snf", "ingest", exit_code=None)
    project.doit(exit_code=None)
    live = " ".join(project.products())
    assert f"{A}_001_003_4_038_100" in live
    assert project.query("SELECT count(*) FROM target WHERE name LIKE '%/%'") == [(0,)]
    assert not list(tmp_path.glob("x*"))
    jobs = project.root / "work" / "jobs"
    assert all(name not in script.read_text() for script in jobs.rglob("*.sh"))


def test_a_canary_password_appears_nowhere(postgresql, tmp_path):
    canary = "canary-3f9c-secret"
    url = postgresql.new_database().replace("//snf@", f"//snf:{canary}@")
    project = make_project(tmp_path / "project", [A], url)
    told = project.doit("-v2", exit_code=0, SNF_CANARY=canary, PGPASSWORD=canary, MY_PASS=canary)
    for words in (("snf", "status", "--json"), ("snf", "audit"), ("snf", "db", "current"),
                  ("snf", "why", f"extract_star:{A}")):  # fmt: skip
        done = project.run(*words, exit_code=None, SNF_CANARY=canary)
        told += done.stdout + done.stderr
    broken = project.url.replace("port=5432", "port=5433")
    done = Project(project.root, broken).run("snf", "status", exit_code=4)
    told += done.stdout + done.stderr
    assert canary not in told
    searched = 0
    for path in project.root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            searched += 1
            assert canary.encode() not in path.read_bytes(), path
    assert searched > 50
    dump = subprocess.run(
        [postgresql.bin / "pg_dump", "-h", postgresql.folder, "-p", str(postgresql.port), "-U",
         "snf", url.split("@/")[1].split("?")[0]], capture_output=True, check=True,
    )  # fmt: skip
    assert len(dump.stdout) > 10_000
    assert canary.encode() not in dump.stdout
