"""Which programs the jobs of a version run, by what each of them reports."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from snfpipe.config.project import Project, load_project
from snfpipe.errors import Refused
from snfpipe.jobs import install
from snfpipe.jobs.programs import check_programs, commands_of
from snfpipe.reduce import PROGRAMS
from tests.switch import use_version

SOURCE = Path(__file__).parents[2]
STEP = "cube_generation"
OWN = (("snf_cube_generation",),)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's configuration, in which SNF-02-03 is the version."""
    monkeypatch.delenv("SNF_PROJECT", raising=False)
    for name in ("configs", "versions", "lists"):
        shutil.copytree(SOURCE / name, tmp_path / name)
    use_version(tmp_path)
    return tmp_path


def pin(root: Path, version: str, command: str = "", label: str = "SNF-02-03") -> Project:
    """Change what a version pins for the step, and what it runs."""
    path = root / "versions" / f"{label}.toml"
    head, tail = path.read_text().split(f"[programs.{STEP}]\n")
    tail = re.sub(r'(?m)^version = ".*"', f'version = "{version}"', tail, count=1)
    if command:
        tail = re.sub(r"(?m)^command = .*", f"command = {command}", tail, count=1)
    path.write_text(f"{head}[programs.{STEP}]\n{tail}")
    return load_project(root)


def put(root: Path, says: str, commit: str, label: str = "SNF-02-03") -> Path:
    """Lay down an environment as an install leaves it, whose program says a name and no more."""
    folder = root / install.FOLDER / label
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    (folder / "bin" / "python").touch()
    program = folder / "bin" / "snf_cube_generation"
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    mark = json.dumps({"version": label, "commit": commit}) + "\n"
    (folder / "installed.json").write_text(mark)
    return program


def commands(project: Project) -> tuple[tuple[str, ...], ...]:
    return commands_of(project, project.step(STEP))


def test_a_version_that_pins_the_programs_of_the_tree_runs_them_from_the_tree(root):
    project = pin(root, PROGRAMS[STEP])
    put(root, "cube_generation 0.1", project.version.commit)
    assert commands(project) == OWN


def test_a_version_that_pins_another_runs_what_is_installed_for_it_by_its_path(root):
    project = pin(root, "0.1")
    identity = project.step(STEP).identity
    program = put(root, "cube_generation 0.1", project.version.commit)
    assert commands(project) == ((str(program),),)
    assert project.step(STEP).identity == identity and str(root) not in json.dumps(identity)

    several = pin(root, "0.1", '[["snf_cube_generation", "--fast"], ["/bin/sh", "-c", "true"]]')
    assert commands(several) == ((str(program), "--fast"), ("/bin/sh", "-c", "true"))


def test_head_runs_whatever_there_is(root):
    use_version(root, "HEAD")
    assert commands(load_project(root)) == OWN


@pytest.mark.parametrize("command", ['["/not/there"]', '["python3", "step.py"]'])
def test_a_command_that_is_none_of_the_projects_own_is_left_alone(root, command):
    project = pin(root, "0.1", command)
    assert commands(project) == (tuple(json.loads(command)),)


def test_what_is_not_installed_is_refused_with_the_command_that_installs_it(root):
    project = pin(root, "0.1")
    with pytest.raises(Refused) as refused:
        check_programs(project, project.steps[1:])
    assert str(refused.value) == (
        "SNF-02-03 runs cube_generation 0.1 for cube_generation, which is not installed\n"
        "  next: `snf_version --install SNF-02-03`"
    )
    put(root, "cube_generation 0.1", "0" * 40)  # of another commit
    with pytest.raises(Refused, match="not installed"):
        commands(project)


def test_what_was_installed_and_is_another_program_is_refused(root):
    project = pin(root, "0.1")
    put(root, "cube_generation 0.2", project.version.commit)
    with pytest.raises(Refused, match=r"installed in .* is 'cube_generation 0\.2'") as refused:
        commands(project)
    assert "correct the commit in" in refused.value.hint


def test_a_version_without_a_commit_is_told_what_is_here_instead(root):
    use_version(root, "SNF-02-04")
    project = pin(root, "0.1", label="SNF-02-04")
    assert not project.version.commit
    with pytest.raises(Refused) as refused:
        commands(project)
    assert f"snf_cube_generation is 'cube_generation {PROGRAMS[STEP]}' here" in str(refused.value)
    assert "(commit = ...)" in refused.value.hint


def test_a_program_is_asked_once_and_again_when_it_changed(root, tmp_path):
    project = pin(root, "0.1")
    program = put(root, "cube_generation 0.1", project.version.commit)
    asked = tmp_path / "asked"
    program.write_text(f"#!/bin/sh\necho x >> {asked}\necho cube_generation 0.1\n")
    for _ in range(3):
        commands(project)
    assert asked.read_text() == "x\n"
    program.write_text("#!/bin/sh\necho cube_generation 0.2\n")
    with pytest.raises(Refused, match=r"0\.2"):
        commands(project)
