"""What re-runs after a change, and what does not: the units are named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from tests.e2e import survey
from tests.e2e.conftest import NIGHTS, make_project
from tests.e2e.project import SOURCE, Project

A, B, C = NIGHTS
STEPS = ("file_quality", "cube_generation", "extract_star")


def reached(project: Project, change: Callable[[], object], exit_code: int = 0) -> set[str]:
    """Return the units that made an attempt after `change`."""
    before = project.attempts_of()
    change()
    project.doit(exit_code=exit_code)
    after = project.attempts_of()
    return {unit.partition("/")[2] for unit, count in after.items() if count > before.get(unit, 0)}


def test_a_second_doit_makes_no_attempt(finished):
    before = finished.attempts()
    finished.doit()
    assert finished.attempts() == before


def test_losing_every_cache_makes_no_attempt(finished):
    def lose():
        for manifest in finished.root.glob("work/jobs/*/P*/**/*.manifest"):
            manifest.unlink()
        shutil.rmtree(finished.root / "work" / "jobs" / ".doit", ignore_errors=True)
        shutil.rmtree(finished.root / "work" / ".cache", ignore_errors=True)

    assert reached(finished, lose) == set()
    assert len(list(finished.root.glob("work/jobs/*/P*/**/*.manifest"))) == 9


def test_a_changed_raw_frame_reaches_its_night_only(finished):
    folder = finished.root / "work" / "raw" / A.replace("_", "/")

    def change():
        survey.write_frame(folder, A, 1, 3, 17, "B", "GD71", salt="again")

    assert reached(finished, change) == {f"{step}:{A}" for step in STEPS}
    assert finished.query("SELECT name FROM frame_change") == [(f"{A}_001_003_17_B.fits",)]


def test_a_frame_that_was_only_touched_reaches_nothing(finished):
    frame = next((finished.root / "work" / "raw").rglob("*_17_B.fits"))
    assert reached(finished, frame.touch) == set()


def test_an_option_reaches_every_unit_of_its_plan_and_what_its_bytes_change(finished):
    def change():
        finished.change_option("extract_star", "truncate_r", [5200, 9700])

    assert reached(finished, change) == {f"extract_star:{night}" for night in NIGHTS}

    def change_first():
        finished.change_option("file_quality", "overscan_median_rows", 7)

    assert reached(finished, change_first) == {f"{s}:{n}" for s in STEPS for n in NIGHTS}


def _pin(project: Project, plan: str, version: str) -> None:
    """Change what a version file pins for one program, and what that program reports."""
    import tomlkit

    path = project.root / "versions" / "SNF-02-03.toml"
    content = tomlkit.parse(path.read_text())
    program = content["programs"][plan]
    program["version"] = version
    script = project.root / f"{plan}_{version}.py"
    source = Path(str(program["command"][1])).read_text()
    script.write_text(source.replace('VERSION = "1.0.0"', f'VERSION = "{version}"'))
    program["command"][1] = str(script)
    path.write_text(tomlkit.dumps(content))


def test_a_new_program_version_reaches_its_plan_and_stops_at_unchanged_bytes(finished):
    found = reached(finished, lambda: _pin(finished, "cube_generation", "1.0.1"))
    assert found == {f"cube_generation:{night}" for night in NIGHTS}


def test_a_released_version_refuses_a_program_that_reports_another_version(finished):
    path = finished.root / "versions" / "SNF-02-03.toml"
    text = path.read_text().replace("released = false", "released = true")
    head, tail = text.split("[programs.cube_generation]")
    path.write_text(head + "[programs.cube_generation]" + tail.replace('"1.0.0"', '"1.0.1"', 1))
    told = finished.doit(exit_code=None)
    assert "SNF-02-03" in told
    assert "1.0.1" in told
    assert "1.0.0" in told


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            "UPDATE run SET kind = 'FinalRef' WHERE night = '06_334' AND run = 2",
            {f"extract_star:{A}"},
        ),
        (
            "UPDATE pose SET quality = 0 WHERE id_pose = 63340010034",
            {f"cube_generation:{A}", f"extract_star:{A}"},
        ),
        (
            "UPDATE process SET quality = 2 WHERE night = '06_334' AND fclass = 22 AND id_run = "
            "6334001 AND channel = 4",
            {f"extract_star:{A}"},
        ),
        ("UPDATE target SET pi = 'somebody else'", set()),
    ],
)
def test_a_change_by_hand_in_the_database_reaches_exactly(finished, statement, expected):
    assert reached(finished, lambda: finished.query(statement)) == expected


def test_a_deselected_cube_leaves_no_live_spectrum_behind(finished):
    spectra = "SELECT count(*) FROM process WHERE fclass = 38 AND xfclass = 100 AND state = 'live'"
    before = finished.query(spectra)[0][0]
    finished.query(
        "UPDATE process SET quality = 2 WHERE night = '06_334' AND fclass = 22 "
        "AND id_run = 6334001 AND channel = 4"
    )
    finished.doit()
    assert finished.query(spectra)[0][0] == before - 1


def test_a_new_night_reruns_no_unit_of_another_night(finished):
    def add():
        survey.write_night(finished.root / "work" / "raw", "06_341")
        finished.set_nights([*NIGHTS, "06_341"])

    assert reached(finished, add) == {f"{step}:06_341" for step in STEPS}


def test_switching_the_version_makes_products_beside_the_old_and_back_makes_no_attempt(finished):
    old = finished.products()
    finished.run("snf_version", "SNF-02-02")
    finished.doit()
    both = finished.products()
    assert old.items() <= both.items()
    assert {path.split("/")[1] for path in both} == {"02-02", "02-03"}
    before = finished.attempts_of()
    finished.run("snf_version", "SNF-02-03")
    finished.doit()
    assert finished.attempts_of() == before


def test_two_runs_in_different_folders_give_identical_products(finished, tmp_path):
    other = make_project(tmp_path / "other place", NIGHTS)
    other.doit()
    assert other.products() == finished.products()


def test_why_names_what_differs(finished):
    told = finished.run("snf", "why", f"extract_star:{A}", exit_code=None).stdout
    assert "fresh" in told or "up to date" in told
    finished.query("UPDATE run SET kind = 'FinalRef' WHERE night = '06_334' AND run = 2")
    told = finished.run("snf", "why", f"extract_star:{A}", exit_code=None).stdout
    assert "06_334_002_003" in told or "6334002003" in told
    finished.change_option("extract_star", "truncate_r", [5200, 9700])
    told = finished.run("snf", "why", f"extract_star:{B}", exit_code=None).stdout
    assert "truncate_r" in told
    assert "5200" in told


def test_status_counts_every_unit_of_every_step_once(finished):
    status = finished.status()
    assert status["attempts"] == 9
    for step in status["steps"]:
        assert sum(step["states"].values()) == len(NIGHTS)
        assert step["states"]["done"] == len(NIGHTS)
    assert json.loads(finished.run("snf", "status", "--json").stdout) == status


@pytest.mark.parametrize("words", [("status",), ("summary",), ("why", "*")])
def test_json_is_as_its_schema_in_the_docs_says(finished, words):
    schema = json.loads((SOURCE / "docs" / "schemas" / f"{words[0]}.json").read_text())
    jsonschema.validate(json.loads(finished.run("snf", *words, "--json").stdout), schema)
