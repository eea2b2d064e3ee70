"""A project of its own, and ways to run its commands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from snfpipe.cli.main import run_command, snf
from snfpipe.cli.version import version
from tests.switch import use_version

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PROGRAMS = {"snf": snf, "snf_version": version}


class Done(NamedTuple):
    """What a command printed."""

    stdout: str
    stderr: str


Run = Callable[..., Done]
Shell = Callable[[str], Done]


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    """Take the project's variables out of the environment, and what commands put there."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(("SNF_", "PG")):
            del os.environ[name]
    os.environ.update({"PATH": f"{BIN}:{before['PATH']}", "COLUMNS": "100"})
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the project's configuration, versions and lists, to work in."""
    for name in ("configs", "versions", "lists"):
        shutil.copytree(ROOT / name, tmp_path / name)
    use_version(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Give what runs a command in this process and checks its exit code."""

    def run(*words: str, code: int = 0, **environment: str) -> Done:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", list(words))
            for name, value in environment.items():
                patch.setenv(name, value)
            found = run_command(PROGRAMS[words[0]], words[0])
        done = Done(*capsys.readouterr())
        assert found == code, done.stdout + done.stderr
        os.environ.pop("SNF_PROJECT", None)
        return done

    return run


@pytest.fixture
def shell(root: Path) -> Shell:
    """Give what runs a script in a real bash, with the installed commands."""

    def shell(script: str) -> Done:
        done = subprocess.run(
            ["bash", "-c", script], capture_output=True, text=True, stdin=subprocess.DEVNULL,
            timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return Done(done.stdout, done.stderr)

    return shell
