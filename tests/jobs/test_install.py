"""Installing a version from the project's history: a small package, by git, venv and pip."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import survey
from tests.e2e.project import BIN, SOURCE, Project

PYPROJECT = """\
[build-system]
requires = ["flit_core >=4,<5"]
build-backend = "flit_core.buildapi"

[project]
name = "snfpipe"
version = "0.0.1"
description = "what snfpipe was, in this test"

[project.scripts]
snf_file_quality = "snfpipe:main"
"""
PROGRAM = """\
def main():
    print("file_quality 0.9.1")
"""
LABEL = "SNF-02-03"
MARK = f".versions/{LABEL}/installed.json"

pytestmark = pytest.mark.slow


def git(root: Path, *words: str) -> str:
    identity = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    done = subprocess.run(
        ["git", "-C", root, *identity, *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose history begins with another snfpipe, which SNF-02-03 names."""
    root = tmp_path / "a project"
    (root / "snfpipe").mkdir(parents=True)
    (root / "requirements").mkdir()
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "snfpipe" / "__init__.py").write_text(PROGRAM)
    lock = (SOURCE / "requirements" / "run.lock").read_text()
    found = re.search(r"^flit[-_]core==(?:.*\\\n)*.*\n", lock, re.MULTILINE)
    assert found
    (root / "requirements" / "run.lock").write_text(found[0])
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "What it was")
    commit = git(root, "rev-parse", "HEAD")
    git(root, "rm", "-r", "--quiet", "snfpipe", "requirements", "pyproject.toml")
    git(root, "commit", "--quiet", "-m", "It is elsewhere now")
    made = Project.make(root, ["06_334"])
    path = root / "versions" / f"{LABEL}.toml"
    text = re.sub(r'commit = ".*"', f'commit = "{commit}"', path.read_text())
    path.write_text(text)
    return made


def install(project: Project, *words: str, exit_code: int = 0, **environment: str) -> str:
    done = project.run(
        "snf_version", "--install", LABEL, *words, exit_code=exit_code, timeout=600, **environment
    )
    return done.stdout + done.stderr


def program_says(project: Project) -> str:
    program = project.root / ".versions" / LABEL / "bin" / "snf_file_quality"
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout.strip()


def test_it_installs_what_the_commit_holds_says_so_and_does_it_once(project):
    told = install(project, "-n")
    assert told.startswith(f"would install {LABEL} from commit ")
    assert not (project.root / ".versions").exists()

    told = install(project)
    assert [line.partition(": ")[2][:6] for line in told.splitlines()[:4]] == [
        f"{part} of 4" for part in (1, 2, 3, 4)
    ]
    assert told.splitlines()[-1].startswith(f"installed {LABEL} in ")
    assert program_says(project) == "file_quality 0.9.1"

    mark = (project.root / MARK).stat()
    again = install(project)
    assert again.startswith(f"{LABEL} is installed already") and len(again.splitlines()) == 1
    assert (project.root / MARK).stat() == mark


@pytest.mark.parametrize("point", ["install:3", "install:before-mark"])
def test_killed_anywhere_it_is_not_installed_and_the_same_again_installs_it(project, point):
    install(project, exit_code=-signal.SIGKILL, SNF_KILL_AT=point)
    assert not (project.root / MARK).exists()
    assert install(project).splitlines()[-1].startswith(f"installed {LABEL} in ")
    assert program_says(project) == "file_quality 0.9.1"


def test_a_version_with_another_commit_is_installed_anew(project):
    install(project)
    first = json.loads((project.root / MARK).read_text())["commit"]
    git(project.root, "checkout", "--quiet", first)
    package = project.root / "snfpipe" / "__init__.py"
    package.write_text(PROGRAM.replace("0.9.1", "0.9.2"))
    git(project.root, "commit", "--quiet", "--all", "-m", "Another")
    path = project.root / "versions" / f"{LABEL}.toml"
    path.write_text(path.read_text().replace(first, git(project.root, "rev-parse", "HEAD")))
    (project.root / "pyproject.toml").unlink()  # only the history counts
    assert "1 of 4" in install(project)
    assert program_says(project) == "file_quality 0.9.2"


def test_a_lock_file_with_another_checksum_is_refused_and_nothing_counts_as_installed(project):
    lock = project.root / "requirements" / "run.lock"
    git(project.root, "checkout", "--quiet", "HEAD~1")
    lock.write_text(re.sub(r"sha256:[0-9a-f]{8}", "sha256:00000000", lock.read_text()))
    git(project.root, "commit", "--quiet", "--all", "-m", "Something else")
    path = project.root / "versions" / f"{LABEL}.toml"
    commit = git(project.root, "rev-parse", "HEAD")
    path.write_text(re.sub(r'commit = ".*"', f'commit = "{commit}"', path.read_text()))
    told = install(project, exit_code=3)
    assert "could not be installed; the packages of its requirements/run.lock" in told
    assert "ended with 1: ERROR: " in told
    assert f"next: remove the cause; `snf_version --install {LABEL}` begins afresh" in told
    assert not (project.root / MARK).exists()


def _without_history(project: Project) -> None:
    (project.root / ".git").rename(project.root.parent / "git")


def _shallow(project: Project) -> None:
    git(project.root.parent, "clone", "--quiet", "--depth", "1", f"file://{project.root}", "other")
    _without_history(project)
    (project.root.parent / "other" / ".git").rename(project.root / ".git")


def _of_another(project: Project) -> None:
    _without_history(project)
    git(project.root, "init", "--quiet")


@pytest.mark.parametrize(
    ("change", "cause", "step"),
    [
        (_without_history, "has no history (fatal: not a git repo", "work in a clone of the"),
        (_shallow, "this clone is shallow", "git fetch --unshallow"),
        (_of_another, "this clone lacks it", "git fetch origin"),
    ],
)
def test_a_commit_that_is_not_at_hand_is_told_with_the_cause(project, change, cause, step):
    change(project)
    told = install(project, exit_code=3, GIT_CEILING_DIRECTORIES=str(project.root.parent))
    assert f"versions/{LABEL}.toml: commit: commit " in told and cause in told
    assert step in told.partition("next: ")[2]
    assert not (project.root / ".versions").exists()


def test_a_version_without_a_commit_and_two_at_once_are_refused(project):
    told = project.run("snf_version", "--install", "HEAD", exit_code=3).stderr
    assert "HEAD names no commit" in told and "next: " in told

    (project.root / ".versions").mkdir()
    hold = "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX); "
    hold += "print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, project.root / ".versions" / f"{LABEL}.lock"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout and other.stdout.readline() == "held\n"
        told = install(project, exit_code=3)
    assert f"{LABEL} is being installed by another process" in told
    assert not (project.root / ".versions" / LABEL).exists()


def test_jobs_run_by_what_was_installed_and_are_refused_before_any_claim_without(project):
    path = project.root / "versions" / f"{LABEL}.toml"
    step = "[programs.file_quality]\n"
    small = path.read_text()
    head, tail = small.split(step)
    own = re.sub(r"command = \[[^]]*\]", 'command = ["snf_file_quality"]', tail, count=1)
    own = own.replace('version = "1.0.0"', 'version = "0.9.1"', 1)
    path.write_text(head + step + own)
    survey.write_targets(project.root / "work" / "raw")
    survey.write_night(project.root / "work" / "raw", "06_334")
    project.arrive()

    order = ("batch_jobs", "-s", "-p", "ES", "-m", "z", "lists/sample_nights.list")
    for refused in (project.doit(exit_code=3), project.run(*order, exit_code=3).stderr):
        assert (
            f"{LABEL} runs file_quality 0.9.1 for file_quality, which is not installed" in refused
        )
        assert f"next: `snf_version --install {LABEL}`" in refused
    assert project.attempts() == 0
    assert project.query("SELECT count(*) FROM attempt") == [(0,)]

    install(project)
    project.doit("file_quality", exit_code=None)  # this small program only says its name
    (spec,) = project.query("SELECT spec FROM attempt")[0]
    assert json.loads(spec)["commands"] == [
        [str(project.root / ".versions" / LABEL / "bin" / "snf_file_quality")]
    ]
    (script,) = (project.root / "work" / "jobs" / LABEL).rglob("*.attempts/*/*.sh")
    text = script.read_text()
    assert "\nupdate_job -s Starting" in text and f"{BIN}:/usr/local/bin" in text
    (worklist,) = (project.root / "work" / "jobs" / LABEL).rglob("worklist.json")
    assert json.loads(worklist.read_text())["contract"] == 1
    (ledger,) = (project.root / "work" / "jobs" / LABEL).rglob("*.ledger")
    assert '"said": "file_quality 0.9.1"' in ledger.read_text()
