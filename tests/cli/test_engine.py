"""``snf engine``: private services are started once, side by side, and leave nothing behind."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from snfpipe.engines import processes
from snfpipe.services import daemons
from tests.cli.conftest import ROOT, Run

SCHEMA = json.loads((ROOT / "docs" / "schemas" / "engine_status.json").read_text())


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that user postgres can reach."""
    made = Path(tempfile.mkdtemp(prefix="snf-engines-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


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
def test_services_come_up_once_tell_how_to_reach_them_and_go_without_a_trace(run: Run, folder):
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
def test_a_cell_beside_another_is_another(run: Run, folder, grid_engine):
    other = ("--folder", str(folder))
    told = variables(run("snf", "engine", "up", "grid_engine", *other).stdout)
    mine = grid_engine.environment
    assert told["SGE_ROOT"] != mine["SGE_ROOT"]
    ports = {it[name] for it in (told, mine) for name in ("SGE_QMASTER_PORT", "SGE_EXECD_PORT")}
    assert len(ports) == 4
    run("snf", "engine", "down", "grid_engine", *other)
    assert grid_engine.is_up()


def test_a_dry_run_starts_nothing(run: Run, root: Path):
    done = run("snf", "engine", "up", "-n")
    assert done.stdout.count("would start") == 3
    assert not (root / "work" / "engines").exists()


def test_a_missing_package_is_named(run: Run, root: Path, monkeypatch):
    monkeypatch.setattr("snfpipe.services.grid_engine._LIBRARY", Path("/nonexistent"))
    done = run("snf", "engine", "up", "grid_engine", code=2)
    assert "gridengine-master" in done.stderr
    assert "apt-get install" in done.stderr


def test_an_ordinary_user_is_told_that_schedulers_need_root(run: Run, root: Path, monkeypatch):
    monkeypatch.setattr(daemons.os, "geteuid", lambda: 1000)
    done = run("snf", "engine", "up", "slurm", code=3)
    assert "needs root" in done.stderr


def test_a_folder_that_a_socket_cannot_have_is_refused(run: Run, root: Path):
    done = run("snf", "engine", "up", "postgresql", "--folder", str(root / ("x" * 90)), code=3)
    assert "too long for a socket" in done.stderr


def test_a_folder_with_a_blank_is_refused_before_anything_starts(run: Run, root: Path):
    place = root / "a cell"
    done = run("snf", "engine", "up", "--folder", str(place), "grid_engine", code=2)
    assert "has a blank in it" in done.stderr
    assert "--folder" in done.stderr
    assert not place.exists()
