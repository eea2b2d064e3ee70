"""batch_jobs and plan_*: jobs created, submitted, adopted; killed anywhere, each starts once."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from snfpipe.cli.plan import plan
from tests.e2e.project import Project
from tests.launch.conftest import LIST, NIGHTS, call, finish, make_project, ordered

QUALITY = ("-p", "SAMPLE", "-m", "z")


def jobs(project: Project) -> list[tuple[object, ...]]:
    return project.query("SELECT name, state, attempts FROM job ORDER BY name")


def counts(project: Project) -> list[int]:
    tables = ("production", "job", "attempt", "expected", "product_index", "process", "file")
    return [int(project.query(f"SELECT count(*) FROM {table}")[0][0]) for table in tables]


def starts(project: Project) -> Counter[str]:
    """Count starts by attempt's folder, as the programs themselves wrote them."""
    log = (project.root / "starts.log").read_text().splitlines()
    return Counter(Path(line.split(" ", 1)[1]).parts[-3] for line in log)


def test_jobs_are_created_in_folders_by_night_and_the_command_is_kept(project):
    call(project, *QUALITY, "-D", LIST)
    assert counts(project)[:2] == [0, 0]
    for _again in range(2):
        assert call(project, *QUALITY, LIST).code == 0
        assert jobs(project) == [(f"SNF-0203-SAMPLEz-{n.replace('_', '')}", "created", 0)
                                 for n in NIGHTS]  # fmt: skip
    folder = project.root / "work" / "jobs" / "SNF-02-03" / "PFQ"
    assert (folder / "06" / "334").is_dir() and (folder / "06" / "336").is_dir()
    lines = (folder / "CMD").read_text().splitlines()
    assert lines[1::2] == [f"batch_jobs -p SAMPLE -m z {LIST}"] * 2
    told = json.loads(project.run("snf", "status", "--json").stdout)
    assert told["steps"][0]["states"] == {"created": 2}


def test_units_may_stand_on_the_command_line_and_be_targets(produced):
    call(produced, "-p", "T", "-m", "plan_extract_star", "GD71", "SNF20061129-003")
    assert jobs(produced)[-2:] == [
        ("SNF-0203-Te-20061129-003", "created", 0), ("SNF-0203-Te-GD71", "created", 0),
    ]  # fmt: skip
    assert (produced.root / "work/jobs/SNF-02-03/PES/SNF20061129-003").is_dir()


@pytest.mark.services
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_doit_adopts_what_batch_jobs_submitted(kind, request, tmp_path, project):
    if kind == "postgresql":
        url = request.getfixturevalue("postgresql").new_database()
        project = make_project(tmp_path / "other", url)
    project.write_behaviour(log=str(project.root / "starts.log"), sleep_s=2)
    project.run("batch_jobs", *QUALITY, "-s", LIST)
    states = {state for _name, state, _attempts in jobs(project)}
    assert states <= {"queued", "running"}, "batch_jobs does not wait for the end"
    project.doit("file_quality")
    assert [(state, attempts) for _name, state, attempts in jobs(project)] == [("done", 1)] * 2
    assert starts(project) == Counter(
        {f"SNF-0203-SAMPLEz-{n.replace('_', '')}.attempts": 1 for n in NIGHTS}
    )
    told = project.run("batch_jobs", *QUALITY, "-s", LIST).stdout
    assert "2 left alone (done)" in told


@pytest.mark.parametrize(
    "point",
    ["plan:before-claim-commit", "plan:after-claim-commit", "submit:before", "submit:after-call"],
)
def test_killed_anywhere_the_same_again_starts_each_unit_once(project, point):
    project.write_behaviour(log=str(project.root / "starts.log"))
    done = project.run("batch_jobs", *QUALITY, "-s", LIST, exit_code=None, SNF_KILL_AT=point)
    assert done.returncode == -9
    call(project, *QUALITY, "-s", LIST)
    commands = (project.root / "work/jobs/SNF-02-03/PFQ/CMD").read_text()
    assert commands.count(" -s ") == 2, "the killed one is kept, too"
    assert set(finish(ordered(project, mode="z", prefix="SAMPLE")).values()) == {"done"}
    assert [(state, attempts) for _name, state, attempts in jobs(project)] == [("done", 1)] * 2
    assert sorted(starts(project).values()) == [1, 1]


def test_without_database_nothing_is_registered_and_products_stay(produced):
    before = counts(produced)
    place = produced.root / "try"
    place.mkdir()
    words = ("-L", "-s", "-p", "TRY", "-m", "e", "-a", "-j SNF-0203-SAMPLEc")
    there = Project(place)
    for keep in ((), ("-k",)):
        assert call(there, *words, *keep, "06_334").code == 0
        produced.wait_for_jobs()
    assert counts(produced) == before
    names = sorted(path.name for path in place.glob("*.fits"))
    assert names == [f"06_334_001_003_{channel}_038_{xfclass}_02-03_{index}.fits"
                     for channel in (2, 4) for xfclass in (100, 110)
                     for index in ("000", "001")]  # fmt: skip
    first, second = sorted(place.glob("*.attempts/*/work"))
    assert not list(first.glob("*.fits"))
    assert len(list(second.glob("*.fits"))) == len(names) / 2
    assert not list((produced.root / "work" / "archive").glob(".incoming/*"))
    assert (place / "CMD").read_text().count("batch_jobs -L -s") == 2


def test_plan_commands_show_what_jobs_would_read_and_make(produced):
    before = counts(produced)
    shown = json.loads(produced.run("plan_extract_star", "--json", *NIGHTS).stdout)
    assert counts(produced) == before
    assert [(it["unit"], it["products"]) for it in shown["units"]] == [(n, 4) for n in NIGHTS]
    registered = {name for (name,) in produced.query(
        "SELECT file.name FROM file JOIN process USING (id_process) "
        "WHERE fclass = 38 AND xfclass >= 100 AND role = 'main'"
    )}  # fmt: skip
    made = {name.replace("_III.", "_000.") for it in shown["work"] for name in it["products"]}
    assert made == registered
    told = call(produced, "e", "-i", "--truncateR", "5200,9600", "06_334", command=plan).out
    assert "reads cube: 06_334_001_003_2_022_000_02-03_000.fits" in told


def test_a_unit_with_nothing_to_read_is_settled_with_its_reason(project):
    told = call(project, "-s", "-p", "SAMPLE", "-m", "e", *NIGHTS).out
    assert "2 finished: nothing to do: no cube" in told
    rows = project.query("SELECT state, reason FROM job WHERE name LIKE 'SNF-0203-SAMPLEe-%'")
    assert rows == [("nothing to do", "no cube")] * 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-m", "q", "06_334"), "there is no plan 'q'"),
        (("-m", "e"), "there are no units"),
        (("-m", "e", "gone.list"), "there is no list 'gone.list'"),
        (("-m", "e", "../../x; rm -rf $HOME #"), "there is no list"),
        (("-m", "e", "06_334", "06_334"), "listed twice"),
        (("-m", "e", "06_334", "GD71"), "'GD71'"),
        (("-m", "e", "-a", "-j SNF-0203-NOPEc", "06_334"), "there is no production SNF-0203-NOPEc"),
        (("-m", "e", "-a", "--psf 'x", "06_334"), "cannot be split"),
        (("-m", "e", "--outver", "203", "06_334"), "released version SNF-02-03"),
        (("-m", "e", "--outver", "0", "06_334"), "HEAD"),
        (("-m", "e", "--outver", "77", "06_334"), "nobody's"),
        (("-m", "e", "--outver", "10000", "06_334"), "10000"),
        (("-m", "e", "--meta_prefix", "x/", "06_334"), "meta prefix"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_made(project, words, said):
    project.release("SNF-02-03")
    done = call(project, "-p", "P", *words)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert counts(project)[:2] == [0, 0]
    assert not list((project.root / "work").glob("jobs/*/*/CMD"))


def test_words_that_contradict_a_configured_step_are_refused(produced):
    words = ("-s", "-p", "SAMPLE", "-m", "e", "-a")
    done = call(produced, *words, "--truncateR 5200,9600", LIST)
    assert done.code == 3
    assert "does not agree" in done.err
    assert "2 left alone (done)" in call(produced, *words, "--truncateR 5100,9700 -R", LIST).out
