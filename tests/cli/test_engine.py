"""``snf engine``: private services are started once, side by side, and leave nothing behind.

What a person has in their place is left alone, whoever is killed or calls at once.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from snfpipe.services import folders, make_service
from snfpipe.services.slurm import SlurmCluster
from snfpipe.worker import processes
from tests.cli.conftest import BIN, ROOT

SCHEMA = json.loads((ROOT / "docs" / "schemas" / "engine_status.json").read_text())


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that user postgres can reach."""
    made = Path(tempfile.mkdtemp(prefix="snf-engines-"))
    made.chmod(0o755)
    yield made
    for place in filter(folders.is_ours, made.iterdir()):  # of a test that failed
        make_service(place.name, place).down()
    shutil.rmtree(made)


def variables(text: str) -> dict[str, str]:
    """Return what a shell takes from a command's output."""
    done = subprocess.run(
        ["env", "-i", "bash", "-c", f"{text}\nenv"], capture_output=True, text=True, check=True
    )
    lines = (line.partition("=") for line in done.stdout.splitlines())
    return {name: value for name, _, value in lines if name.startswith(("SGE_", "SNF_"))}


def running(folder: Path) -> dict[str, str]:
    """Return the daemons that a service's folder names, and that run."""
    known = json.loads((folder / "daemons.json").read_text())["processes"]
    return {name: process for name, process in known.items() if processes.alive(process)}


@pytest.mark.services
def test_services_come_up_once_tell_how_to_reach_them_and_go_without_a_trace(run, folder):
    words = ("--folder", str(folder))
    first = run("snf", "engine", "up", "grid_engine", "postgresql", *words).stdout
    daemons_of_first = running(folder / "grid_engine") | running(folder / "postgresql")
    assert set(daemons_of_first) == {"qmaster", "execd", "postgresql"}
    again = run("snf", "engine", "up", "grid_engine", "postgresql", *words).stdout
    assert running(folder / "grid_engine") | running(folder / "postgresql") == daemons_of_first
    told = variables(run("snf", "engine", "env", *words).stdout)
    assert variables(first) == variables(again) == told
    qconf = subprocess.run(["qconf", "-sql"], env={"PATH": "/usr/bin:/bin", **told},
                           capture_output=True, text=True, check=True)  # fmt: skip
    assert qconf.stdout.split() == ["all.q"]
    run("snf", "db", "init", SNF_DATABASE_URL=told["SNF_DATABASE_URL"])
    status = json.loads(run("snf", "engine", "status", "--json", *words).stdout)
    jsonschema.validate(status, SCHEMA)
    assert [it["up"] for it in status["services"]] == [True, False, True]
    run("snf", "engine", "down", *words)
    assert list(folder.iterdir()) == []
    assert not any(processes.alive(process) for process in daemons_of_first.values())
    assert run("snf", "engine", "down", *words).stdout == ""


@pytest.mark.services
def test_a_cell_beside_another_is_another(run, folder, grid_engine):
    other = ("--folder", str(folder))
    told = variables(run("snf", "engine", "up", "grid_engine", *other).stdout)
    mine = grid_engine.environment
    assert told["SGE_ROOT"] != mine["SGE_ROOT"]
    ports = {it[name] for it in (told, mine) for name in ("SGE_QMASTER_PORT", "SGE_EXECD_PORT")}
    assert len(ports) == 4
    run("snf", "engine", "down", "grid_engine", *other)
    assert grid_engine.is_up()


def test_a_dry_run_starts_nothing(run, root):
    done = run("snf", "engine", "up", "-n")
    assert done.stdout.count("would start") == 3
    assert not (root / "work" / "engines").exists()


def test_a_missing_package_is_named(run, root, monkeypatch):
    monkeypatch.setattr("snfpipe.services.grid_engine._LIBRARY", Path("/nonexistent"))
    done = run("snf", "engine", "up", "grid_engine", code=2)
    assert "gridengine-master" in done.stderr
    assert "apt-get install" in done.stderr


def test_an_ordinary_user_is_told_that_schedulers_need_root(run, root, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    done = run("snf", "engine", "up", "slurm", code=3)
    assert "needs root" in done.stderr


def test_a_folder_that_a_socket_cannot_have_is_refused(run, root):
    done = run("snf", "engine", "up", "postgresql", "--folder", str(root / ("x" * 90)), code=3)
    assert "too long for a socket" in done.stderr


def test_a_folder_with_a_blank_is_refused_before_anything_starts(run, root):
    place = root / "a cell"
    done = run("snf", "engine", "up", "--folder", str(place), "grid_engine", code=2)
    assert "has a blank in it" in done.stderr
    assert "--folder" in done.stderr
    assert not place.exists()


def fill(folder: Path, **files: str) -> Path:
    """Make a service's folder by hand."""
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def test_what_a_person_has_in_a_services_place_is_left_alone(run, folder):
    data = fill(folder / "postgresql" / "data", mine="precious")
    thesis = fill(folder / "grid_engine", thesis="precious")
    for kind in ("postgresql", "grid_engine"):
        for words in (("up",), ("up", "-n"), ("down",), ("down", "-n")):
            done = run("snf", "engine", *words, kind, "--folder", str(folder), code=3)
            assert f"{folder / kind} was not made by snf engine" in done.stderr
            assert "next: " in done.stderr
    assert [(data / "mine").read_text(), (thesis / "thesis").read_text()] == ["precious"] * 2
    assert sorted(it.name for it in folder.rglob("*")) == [
        "data", "grid_engine", "mine", "postgresql", "thesis",
    ]  # fmt: skip


def test_down_ends_what_is_ours_and_then_names_what_is_not(run, folder):
    fill(folder / "grid_engine", **{"daemons.json": "{}", "made": ""})  # as it was without a mark
    fill(folder / "slurm", thesis="precious")
    done = run("snf", "engine", "down", "--folder", str(folder), code=3)
    assert "grid_engine ended" in done.stdout
    assert f"{folder / 'slurm'} was not made by snf engine" in done.stderr
    assert [it.name for it in folder.iterdir()] == ["slurm"]
    assert (folder / "slurm" / "thesis").read_text() == "precious"


def test_what_cannot_be_removed_is_said_and_removed_the_next_time(run, folder, monkeypatch):
    made = fill(folder / "grid_engine", **{"daemons.json": "{}", "made": ""})
    fill(made / "root", file="")

    def refuse(path: Path, **_options: object) -> None:
        raise OSError(39, "Directory not empty", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(folders, "_REMOVE_S", 0)
        patch.setattr(shutil, "rmtree", refuse)
        done = run("snf", "engine", "down", "--folder", str(folder), code=3)
        assert f"cannot remove {made / 'root'}: Directory not empty" in done.stderr
    run("snf", "engine", "down", "--folder", str(folder))
    assert list(folder.iterdir()) == []


def engine(verb: str, kind: str, folder: Path) -> subprocess.Popen[str]:
    """Start ``snf engine`` in a process of its own."""
    words = [str(BIN / "snf"), "engine", verb, kind, "--folder", str(folder)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path) -> None:
    """Wait until something is there."""
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path}"
        time.sleep(0.002)


def at_work_in(folder: Path) -> list[str]:
    """Return the command lines that name a folder."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return [it for it in lines if str(folder) in it]


@pytest.mark.services
def test_the_second_of_two_at_once_waits_and_says_that_it_runs(run, folder):
    both = [engine("up", "postgresql", folder) for _ in range(2)]
    said = [it.communicate() for it in both]
    assert [it.returncode for it in both] == [0, 0], said
    place = folder / "postgresql"
    assert sorted(out.splitlines()[0] for out, _ in said) == [
        f"# postgresql runs in {place}", f"# postgresql started in {place}",
    ]  # fmt: skip
    run("snf", "engine", "down", "--folder", str(folder))
    assert at_work_in(folder) == list(folder.iterdir()) == []


@pytest.mark.services
def test_down_waits_for_one_who_starts(run, folder):
    starting = engine("up", "postgresql", folder)
    wait_for(folder / "postgresql" / "data")
    run("snf", "engine", "down", "--folder", str(folder))
    out, err = starting.communicate()
    assert starting.returncode == 0, err
    assert "# postgresql started" in out
    assert at_work_in(folder) == list(folder.iterdir()) == []


@pytest.mark.services
def test_a_cell_that_was_killed_half_made_is_made_anew(run, folder):
    killed = engine("up", "grid_engine", folder)
    wait_for(folder / "grid_engine" / "qmaster.log")
    killed.kill()
    killed.communicate()
    assert not (folder / "grid_engine" / "made").exists()
    left = running(folder / "grid_engine").values()
    done = run("snf", "engine", "up", "grid_engine", "--folder", str(folder))
    assert "# grid_engine started" in done.stdout
    assert not any(map(processes.alive, left))
    assert set(running(folder / "grid_engine")) == {"qmaster", "execd"}
    run("snf", "engine", "down", "--folder", str(folder))
    assert list(folder.iterdir()) == []


@pytest.mark.services
def test_what_a_killed_one_had_started_ends_and_does_not_bring_the_folder_back(run, folder):
    killed = engine("up", "slurm", folder)
    wait_for(folder / "slurm" / "mariadb")
    killed.kill()
    killed.communicate()
    assert at_work_in(folder) != []
    run("snf", "engine", "down", "--folder", str(folder))
    assert at_work_in(folder) == list(folder.iterdir()) == []


@pytest.mark.services
def test_jobs_that_run_end_with_their_slurm(run, folder, tmp_path):
    words = ("--folder", str(folder))
    run("snf", "engine", "up", "slurm", *words)
    cluster = SlurmCluster(folder / "slurm")
    pid = tmp_path / "pid"
    cluster.command("sbatch", f"--chdir={tmp_path}", f"--wrap=echo $$ > {pid}; sleep 300 & wait")
    deadline = time.monotonic() + 60
    tree: list[str] = []
    while len(tree) < 2:
        assert time.monotonic() < deadline, "the job does not start"
        if pid.exists() and (text := pid.read_text()):
            job = processes.identity(int(text))
            tree = [job, *processes.descendants(job)]
    run("snf", "engine", "down", *words)
    assert [it for it in tree if processes.alive(it)] == []
