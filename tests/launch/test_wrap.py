"""wrap_batch_jobs and snf_qsub: parts side by side, and single scripts under their names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from snfpipe.cli.snf_qsub import snf_qsub
from snfpipe.cli.wrap_batch_jobs import wrap_batch_jobs
from tests.e2e.project import Project
from tests.launch.conftest import LIST, NIGHTS, call, holds_schema, make_project
from tests.launch.farm import to_farm

NO_FRAMES = "failed: no raw frames of night {} have arrived"


def wait_for(path: Path, text: str, timeout_s: float = 90) -> str:
    deadline = time.monotonic() + timeout_s
    while not path.exists() or text not in path.read_text():
        said = path.read_text() if path.exists() else "nothing"
        assert time.monotonic() < deadline, f"{path}: {said}"
        time.sleep(0.2)
    return path.read_text()


@pytest.fixture
def long_list(project: Project) -> list[str]:
    """A list of 120 nights, two of which were observed."""
    nights = [*NIGHTS, *(f"07_{day:03}" for day in range(1, 119))]
    (project.root / "long.list").write_text("\n".join(nights) + "\n")
    return nights


def test_a_long_list_is_created_and_submitted_in_parts(project, long_list):
    words = ("-b", "-p P -m z", "-l", "long.list", "--parts", "3")
    shown = call(project, *words, "-D", "--json", command=wrap_batch_jobs).out
    assert [it["units"] for it in holds_schema("wrap_batch_jobs", shown)["would_run"]] == [40] * 3
    assert project.query("SELECT count(*) FROM job") == [(0,)]
    done = call(project, *words, "-a", "--json", command=wrap_batch_jobs)
    told = holds_schema("wrap_batch_jobs", done.out)
    assert done.code == 0, done.err
    assert (told["parts"], told["submitted"]) == (3, 2)
    why = {(it["action"], it["state"], it["reason"]): it["units"] for it in told["actions"]}
    unseen = {("finish", "not created", NO_FRAMES.format(night)): 1 for night in long_list[2:]}
    assert why == {("submit", "not created", ""): 2, **unseen}
    units = [unit for (unit,) in project.query("SELECT unit FROM job ORDER BY unit")]
    assert units == sorted(long_list)
    assert project.query("SELECT count(*) FROM production") == [(1,)]
    project.wait_for_jobs()


def test_what_is_wrong_is_said_before_any_part_begins(project, long_list):
    for words, said in (
        (("-b", "-p P -m q", "-l", "long.list"), "there is no plan"),
        (("-b", "-p P -m z 06_334", "-l", "long.list"), "takes no units"),
        (("-b", "-p P -m z -D", "-l", "long.list"), "takes no units, -D"),
        (("-b", "-p P --nope", "-l", "long.list"), "--nope"),
        (("-b", "-p P -m z; touch x", "-l", "long.list"), "takes no units"),
        (("-b", "-p P -m z", "-l", "none.list"), "there is no list"),
    ):
        done = call(project, *words, command=wrap_batch_jobs)
        assert done.code == 2
        assert said in done.err
    assert not list((project.root / "work").glob("jobs/*/*/lists"))


@pytest.mark.parametrize("more", [(), ("--farm",), ("-D",)])
@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ("-p P -m z --retry", 2, "--retry goes with -s"),
        ("-p P -m z -s -L --retry", 2, "--retry goes with -s, and without -L"),
        ("-p P -m e -a '-j SNF-0203-NOPEc'", 2, "there is no production SNF-0203-NOPEc"),
        ("-p MINE -m z", 3, "production SNF-0203-MINEz was begun by SNF-02-02"),
    ],
)
def test_an_order_that_cannot_work_is_refused_before_any_part_begins(
    project, options, code, said, more
):
    call(project, "-p", "MINE", "-m", "z", LIST)
    project.query("UPDATE production SET version = 'SNF-02-02'")
    done = call(project, "-b", options, "-l", LIST, *more, command=wrap_batch_jobs)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert not list((project.root / "work").glob("jobs/*/*/lists"))


def test_a_production_of_another_version_is_no_trouble_where_nothing_is_registered(project):
    call(project, "-p", "MINE", "-m", "z", LIST)
    project.query("UPDATE production SET version = 'SNF-02-02'")
    words = ("-b", "-p MINE -m z -L", "-l", LIST, "-D")
    done = call(project, *words, command=wrap_batch_jobs)
    assert done.code == 0, done.err
    assert "would run, over 2 units" in done.out


def test_a_part_that_fails_is_named_and_the_same_again_goes_on(project, long_list):
    text = (project.root / "long.list").read_text().replace("07_118", "not-a-night")
    words = ("-b", "-p P -m z", "-l", "long.list", "--parts", "3")
    (project.root / "bad.list").write_text(text)
    assert call(project, "-b", "-p P -m z", "-l", "bad.list", command=wrap_batch_jobs).code == 2
    os.environ["SNF_KILL_AT"] = "plan:before-claim-commit"
    try:
        done = call(project, *words, "-a", command=wrap_batch_jobs)
    finally:
        del os.environ["SNF_KILL_AT"]
    assert done.code == 3
    assert done.err.count("batch_jobs ended with -9") == 3
    done = call(project, *words, "-a", command=wrap_batch_jobs)
    lines = [f"     1 finished: {NO_FRAMES.format(night)}" for night in long_list[2:]]
    assert done.out.splitlines()[1:] == [
        *sorted(lines), "     2 submitted", "     2 handed to the engine"
    ]  # fmt: skip
    project.wait_for_jobs()


def test_a_script_runs_in_its_own_environment_with_its_arguments(project, monkeypatch):
    monkeypatch.setenv("CANARY", "a secret")
    script = project.root / "odd name.sh"
    script.write_text('printf "<%s>" "$@"; env; pwd; echo the end\n')
    words = ("-N", "odd", "odd name.sh", "a b", "$(touch pwned)", "--flag")
    assert "odd name.sh" in call(project, "-D", *words, command=snf_qsub).out
    assert not (project.root / "odd.log").exists()
    done = call(project, "--json", *words, command=snf_qsub)
    assert holds_schema("snf_qsub", done.out)["name"] == "odd"
    said = wait_for(project.root / "odd.log", "the end")
    assert said.startswith("<a b><$(touch pwned)><--flag>")
    assert f"SNF_PROJECT={project.root}" in said and "SNF_VERSION=SNF-02-03" in said
    assert "CANARY" not in said and not (project.root / "pwned").exists()
    assert call(project, "gone.sh", command=snf_qsub).code == 2
    script.rename(project.root / "1st.sh")
    done = call(project, "1st.sh", command=snf_qsub)
    assert (done.code, "no job's name" in done.err) == (2, True)


def test_all_that_follows_a_script_is_its_own(project):
    (project.root / "hello.sh").write_text('printf "<%s>" "$@"; echo the end\n')
    words = ("-n", "-t", "5", "--name", "foo", "--json", "--", "--help")
    done = call(project, "hello.sh", *words, command=snf_qsub)
    assert done.code == 0, done.err
    said = wait_for(project.root / "hello.log", "the end")
    assert said == "".join(f"<{word}>" for word in words) + "the end\n"


def test_a_dry_run_of_a_script_is_told_as_json(project):
    (project.root / "hello.sh").write_text("echo hello\n")
    done = call(project, "-n", "--json", "hello.sh", "a b", command=snf_qsub)
    assert holds_schema("snf_qsub", done.out) == {
        "name": "hello",
        "log": str(project.root / "hello.log"),
        "would_run": ["/bin/bash", str(project.root / "hello.sh"), "a b"],
    }
    assert not (project.root / "hello.log").exists()


def test_no_password_comes_into_a_script(project, monkeypatch):
    (project.root / "job.sh").write_text("echo hello\n")
    monkeypatch.setenv("SNF_DATABASE_URL", "postgresql://snf:canary-4711@localhost/snf")
    done = call(project, "job.sh", command=snf_qsub)
    assert done.code == 3
    assert "~/.pgpass" in done.err and "canary" not in done.err
    for path in (project.root / "work").rglob("*.sh"):
        assert "canary" not in path.read_text()


@pytest.mark.services
def test_on_slurm_a_script_has_its_name_and_its_own_environment(project, slurm, monkeypatch):
    monkeypatch.setenv("CANARY", "a secret")
    to_farm(project, slurm, poll_s=1)
    script = project.root / "hello.sh"
    script.write_text("env; echo hello from $SLURM_JOB_ID in $(pwd); squeue -h -o %j; echo bye\n")
    script.chmod(0o755)
    ident = json.loads(project.run("snf_qsub", "--json", "hello.sh").stdout)["engine_id"]
    said = wait_for(project.root / "hello.log", "bye")
    assert f"hello from {ident} in {project.root}\nhello\nbye" in said
    assert "SNF_VERSION=SNF-02-03" in said and "CANARY" not in said


@pytest.mark.services
@pytest.mark.parametrize("engine", ["grid_engine", "slurm"])
def test_what_the_scheduler_refuses_is_said_at_once_and_tried_again_by_retry(
    engine, project, request
):
    service = request.getfixturevalue(engine)
    to_farm(project, service, poll_s=0.5)
    site = project.root / "configs" / "sites" / "farm.toml"
    good = site.read_text()
    site.write_text(good.replace("[settings.environment]", '[settings]\nqueue = "nosuch"\n\n'
                                                           "[settings.environment]"))  # fmt: skip
    words = ("batch_jobs", "-s", "-p", "SAMPLE", "-m", "z")
    done = project.run(*words, LIST, exit_code=3)
    assert "2 not submitted: it was refused" in done.stderr
    assert "handed" not in done.stdout
    assert "2 refused" in done.stdout
    assert project.query("SELECT DISTINCT state FROM job") == [("failed",)]
    (project.root / "hello.sh").write_text("echo hello\n")
    done = project.run("snf_qsub", "-q", "nosuch", "hello.sh", exit_code=3)
    assert "hello is refused" in done.stderr
    site.write_text(good)
    assert "2 left alone (failed)" in project.run(*words, LIST).stdout
    assert "2 handed" in project.run(*words, "--retry", LIST).stdout
    assert "2 done" in project.doit("file_quality")


@pytest.mark.services
@pytest.mark.parametrize(("engine", "option"), [("grid_engine", "-foo"), ("slurm", "--time=long")])
def test_an_option_of_the_site_that_is_no_option_is_a_refusal(engine, option, project, request):
    to_farm(project, request.getfixturevalue(engine), poll_s=0.5)
    site = project.root / "configs" / "sites" / "farm.toml"
    good = site.read_text()
    site.write_text(good.replace("[settings.environment]", f'[settings]\noptions = ["{option}"]\n\n'
                                                           "[settings.environment]"))  # fmt: skip
    words = ("batch_jobs", "-s", "-p", "SAMPLE", "-m", "z", "--retry", LIST)
    for _again in range(2):
        assert option.strip("-").partition("=")[0] in project.run(*words, exit_code=3).stderr
    assert "06_336 failed: it was refused" in project.doit("file_quality", exit_code=1)
    site.write_text(good)
    assert "2 handed" in project.run(*words).stdout
    assert "2 done" in project.doit("file_quality")


@pytest.mark.services
def test_a_scheduler_that_is_away_is_told_from_an_error(project, grid_engine):
    to_farm(project, grid_engine, poll_s=0.5)
    site = project.root / "configs" / "sites" / "farm.toml"
    good = site.read_text()
    port = grid_engine.environment["SGE_QMASTER_PORT"]
    site.write_text(good.replace(f'"{port}"', '"9"'))
    words = ("wrap_batch_jobs", "-b", "-p SAMPLE -m z", "-l", LIST, "-a")
    assert "qmaster" in project.run(*words, exit_code=4).stderr
    site.write_text(good)
    assert "2 handed" in project.run(*words).stdout
    assert "2 done" in project.doit("file_quality")


def test_a_script_whose_output_has_no_place_is_refused(project):
    (project.root / "hello.sh").write_text("echo hello\n")
    gone = project.root / "gone"
    gone.mkdir()
    words = [str(Path(sys.executable).with_name("snf_qsub")), str(project.root / "hello.sh")]
    done = subprocess.run(
        ["/bin/sh", "-c", 'rmdir "$PWD"; exec "$@"', "sh", *words], cwd=gone, capture_output=True,
        text=True, check=False, env={**project.environment, "SNF_PROJECT": str(project.root)},
    )  # fmt: skip
    assert done.returncode in (2, 3)
    assert "Traceback" not in done.stderr
    assert "next:" in done.stderr


@pytest.mark.services
def test_on_a_farm_scripts_have_their_names_and_creators_create(tmp_path, grid_engine, postgresql):
    project = make_project(tmp_path / "project", postgresql.new_database())
    to_farm(project, grid_engine, poll_s=1)
    (project.root / "hello.sh").write_text("echo hello from $JOB_ID; sleep 1\n")
    ident = json.loads(project.run("snf_qsub", "--json", "hello.sh").stdout)["engine_id"]
    assert f"hello from {ident}" in wait_for(project.root / "hello.log", "hello from")
    wait_for(grid_engine.common / "accounting", f":hello:{ident}:")

    words = ("-b", "-p SAMPLE -m z", "-l", LIST, "-a", "--farm", "--json")
    told = holds_schema("wrap_batch_jobs", project.run("wrap_batch_jobs", *words).stdout)
    (creator,) = told["jobs"]
    assert creator["name"] == "create.SNF-0203-SAMPLEz-01"
    wait_for(Path(creator["log"]), "2 handed to the engine")
    project.doit("file_quality")
    rows = project.query("SELECT job.state, engine FROM attempt JOIN job ON job.id = job_id")
    assert rows == [("done", "grid_engine")] * 2
