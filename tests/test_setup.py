"""Setting up: what is missing is said, what is there is left alone, and a bare machine will do."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FRESH_MACHINE = ROOT / "tests" / "fresh_machine.sh"


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A folder of programs with no Python, no apt-get and no sudo in it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "dirname", "grep", "id"):
        (folder / name).symlink_to(shutil.which(name) or name)
    return folder


def test_a_user_who_may_not_install_is_told_what_is_missing(bare_path: Path) -> None:
    done = subprocess.run(
        [bare_path / "bash", ROOT / "requirements" / "install_debian.sh", "run"],
        env={"PATH": str(bare_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "Missing Debian packages: python3 python3-venv\n" in done.stderr
    assert "apt-get install python3 python3-venv" in done.stderr


def test_setup_with_nothing_to_do_does_nothing(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    made = dry_run(tmp_path)
    assert "venv --clear" in made
    assert "--require-hashes" in made

    binaries = tmp_path / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "python").symlink_to("/bin/true")
    for stamp in [line.split()[-1] for line in made.splitlines() if line.startswith("touch ")]:
        (tmp_path / stamp).touch()
    assert "Nothing to be done" in dry_run(tmp_path)

    with (tmp_path / "requirements" / "run.lock").open("a") as lock:
        lock.write("# changed\n")
    again = dry_run(tmp_path)
    assert "--require-hashes" in again
    assert "venv --clear" not in again

    (binaries / "python").unlink()  # what an upgrade of the system's Python leaves behind
    assert "venv --clear" in dry_run(tmp_path)


def dry_run(folder: Path) -> str:
    """Return what ``make setup`` would do."""
    done = subprocess.run(
        ["make", "--dry-run", "setup"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "LANG": "C"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def test_the_fresh_machine_explains_itself_and_refuses_what_it_does_not_know() -> None:
    explained = subprocess.run(
        [FRESH_MACHINE, "--help"], capture_output=True, text=True, check=True
    )
    assert "usage: tests/fresh_machine.sh" in explained.stdout
    refused = subprocess.run(
        [FRESH_MACHINE, "--colour"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "unknown option --colour" in refused.stderr


@pytest.mark.soak
@pytest.mark.skipif(os.geteuid() != 0, reason="making a machine needs root")
def test_one_command_runs_on_a_machine_with_nothing_installed_within_six_minutes() -> None:
    subprocess.run([FRESH_MACHINE, "--within", "360", "run"], timeout=1800, check=True)
