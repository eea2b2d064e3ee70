"""A version whose programs are no longer those of the tree makes what it made."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from snfpipe.config.versions import load_version
from tests.e2e.project import SOURCE, Project

NIGHT = "06_334"
OLD, DEFAULT = "SNF-02-03", "SNF-02-04"


def fits_files(archive: Path) -> dict[str, str]:
    """Return the name of each FITS file of the old version -> its checksum."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (archive / "Prod" / "02-03").rglob("*.fits")
    }


def made_by_its_own_code(environment: Path, root: Path, raw: Path) -> dict[str, str]:
    """Produce the same raw night by all of the version's own code: plans, jobs and programs."""
    root.mkdir()
    for name in ("configs", "versions", "lists"):
        shutil.copytree(environment / "source" / name, root / name)
    shutil.copy(environment / "source" / "dodo.py", root)
    shutil.copytree(raw, root / "work" / "raw")
    own = Project(root)
    own.set_nights([NIGHT])
    path = f"{environment / 'bin'}:/usr/bin:/bin"
    own.run("snf", "arrive", exit_code=None, PATH=path)
    own.run("doit", PATH=path)
    return fits_files(root / "work" / "archive")


@pytest.mark.slow
@pytest.mark.soak
def test_an_installed_version_makes_the_bytes_that_its_own_code_makes(tmp_path):
    commit = load_version(SOURCE, OLD).commit
    here = subprocess.run(
        ["git", "-C", SOURCE, "cat-file", "-e", commit], capture_output=True, check=False
    )
    if here.returncode != 0:
        pytest.skip(f"the sources stand here without their history: no commit {commit}")
    root = tmp_path / "project"
    subprocess.run(["git", "clone", "--quiet", "--no-checkout", SOURCE, root], check=True)
    project = Project.make(root, [NIGHT], programs="real")
    project.run("snf", "simulate", "--preset", "tiny", "--night", NIGHT, "--layout", "single")
    project.arrive()
    project.run("snf_version", DEFAULT)
    project.doit("file_quality")
    project.run("snf_version", OLD)
    assert f"next: `snf_version --install {OLD}`" in project.doit(exit_code=3)
    before = project.attempts_of()
    assert before == {f"{DEFAULT}/file_quality:{NIGHT}": 1}

    project.run("snf_version", "--install", OLD)
    project.doit()
    environment = root / ".versions" / OLD
    found = fits_files(root / "work" / "archive")
    assert len(found) > 40
    assert found == made_by_its_own_code(environment, tmp_path / "own", root / "work" / "raw")

    after = project.attempts_of()
    assert after == before | {
        f"{OLD}/{step}:{NIGHT}": 1 for step in ("file_quality", "cube_generation", "extract_star")
    }
    project.run("snf_version", DEFAULT)
    project.doit("file_quality")
    assert project.attempts_of() == after
