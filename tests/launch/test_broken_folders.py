"""A folder that is gone or closed is its own job's problem: the others are finished all the same.

Tests run as root, whom no permission stops: a folder is closed by a file in its place.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from snfpipe.cli.batch_jobs import batch_jobs
from snfpipe.cli.manage.jobs import manage_jobs
from snfpipe.cli.osiris import osiris
from tests.e2e.project import Project
from tests.launch.conftest import LIST, call

TRY = ("-s", "-p", "TRY", "-m", "z")
FOLDER = Path("work", "jobs", "SNF-02-03", "PFQ", "06")


@pytest.fixture
def project(produced: Project) -> Project:
    """Two nights, produced; their jobs wait for a second from now on, and are given up soon."""
    produced.write_behaviour(sleep_s=1)
    site = produced.root / "configs" / "sites" / "local.toml"
    lines = site.read_text().splitlines()
    site.write_text("\n".join("grace_s = 2" if it.startswith("grace_s") else it for it in lines))
    return produced


def states(project: Project, prefix: str = "TRY") -> dict[str, str]:
    return dict(project.query(
        "SELECT unit, state FROM job JOIN production ON production.id = production_id "
        f"WHERE production.name = 'SNF-0203-{prefix}z'"
    ))  # fmt: skip


def reason(project: Project, prefix: str = "TRY") -> str:
    name = f"SNF-0203-{prefix}z-06336"
    return str(project.query("SELECT reason FROM job WHERE name = :name", name=name)[0][0])


def close(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.write_text("no folder")


def open_again(folder: Path) -> None:
    folder.unlink()


@pytest.mark.parametrize("closed", [False, True])
def test_a_job_whose_folder_goes_while_it_runs_ends_alone(project, closed):
    call(project, *TRY, LIST)
    folder = project.root / FOLDER / "336"
    shutil.rmtree(folder)
    if closed:
        close(folder)
    done = call(project, "--once", command=osiris)
    assert (done.code, done.err) == (0, ""), done.err
    while "queued" in states(project).values() or "running" in states(project).values():
        assert call(project, "--once", command=osiris).code == 0
    found = states(project)
    assert found.pop("06_336") in ("lost", "failed", "killed")
    assert found == {"06_334": "done"}
    assert reason(project)
    if closed:
        open_again(folder)
    project.write_behaviour()
    assert call(project, *TRY, LIST).out.count("left alone (") == 2
    assert call(project, *TRY, "--retry", LIST).code == 0
    project.wait_for_jobs()
    assert call(project, "--once", command=osiris).code == 0
    assert set(states(project).values()) == {"done"}


def test_a_folder_that_cannot_be_made_fails_its_job_and_no_other(project):
    folder = project.root / FOLDER / "336"
    close(folder)
    done = call(project, *TRY, LIST)
    assert done.code == 3
    assert "1 handed to the engine" in done.out
    assert "1 not submitted: its folder cannot be written" in done.err
    assert "--retry" in done.err
    assert states(project)["06_336"] == "failed"
    assert str(folder) in reason(project)
    project.wait_for_jobs()
    assert call(project, "--once", command=osiris).code == 0
    assert states(project)["06_334"] == "done"
    open_again(folder)
    assert call(project, *TRY, "--retry", "-n", LIST).out.count("submit") == 1
    assert call(project, *TRY, "--retry", LIST).code == 0
    project.wait_for_jobs()
    assert call(project, "--once", command=osiris).code == 0
    assert set(states(project).values()) == {"done"}


def test_doit_goes_on_beside_a_folder_that_is_closed(project):
    project.query("UPDATE job SET state = 'created' WHERE name LIKE '%SAMPLEz-%'")
    folder = project.root / FOLDER / "336"
    close(folder)
    said = project.doit("file_quality", exit_code=1)
    assert "driver stopped" not in said
    assert states(project, "SAMPLE") == {"06_334": "done", "06_336": "failed"}
    assert "cannot be written" in said
    open_again(folder)
    project.run("snf", "retry", "file_quality:06_336")
    project.doit("file_quality")
    assert set(states(project, "SAMPLE").values()) == {"done"}


def test_jobs_of_any_production_are_ended_by_name(project):
    project.write_behaviour(sleep_s=60)
    call(project, *TRY, LIST)
    told = call(project, "-j", "SNF-0203-TRYz-*", "-k", command=manage_jobs)
    assert told.code == 0
    assert told.out.count("cancelled") == 2
    assert set(states(project).values()) == {"cancelled"}
    refused = call(project, "-j", "SNF-0203-TRYz-*", "-r", command=manage_jobs)
    assert refused.code == 3
    assert "--retry" in refused.err


def test_a_job_that_another_engine_has_is_not_ended_but_named(project):
    project.write_behaviour(sleep_s=2)
    call(project, *TRY, LIST)
    project.query("UPDATE attempt SET engine = 'slurm' WHERE ended_at IS NULL")
    done = call(project, "-j", "SNF-0203-TRYz-*", "-k", command=manage_jobs)
    assert (done.code, "not with the local of this site" in done.err) == (3, True)
    assert states(project).keys() == {"06_334", "06_336"}
    project.wait_for_jobs()


def test_a_folder_that_is_no_folder_is_an_error_and_no_traceback(project):
    (project.root / "file").write_text("")
    done = project.run("snf", "engine", "up", "--folder", "file/below", "grid_engine", exit_code=3)
    assert "file/below" in done.stderr
    assert "next:" in done.stderr


def test_without_a_database_no_two_jobs_make_the_same_products(project):
    words = ("-L", "-s", "-p", "T", "-m", "z", "06_334")
    place = project.root / "try"
    place.mkdir()
    there = Project(place)
    assert "1 handed" in call(there, *words).out
    again = call(there, *words)
    assert "1 left alone (" in again.out
    assert "it is on its way" in again.out
    project.wait_for_jobs()
    assert "1 handed" in call(there, *words, command=batch_jobs).out
    project.wait_for_jobs()
