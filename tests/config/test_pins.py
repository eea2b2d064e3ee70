"""A version pins its programs, HEAD alone does not: what a job does about it, by its script."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from snfpipe.config.project import load_project
from snfpipe.worker.script import write_attempt
from tests.config.conftest import Edit
from tests.jobs.attempts import has_record, make_spec, record


@pytest.mark.parametrize(
    ("label", "says", "runs"),
    [
        ("SNF-02-03", "cube_generation 1.0.1", True),
        ("SNF-02-03", "cube_generation 1.0.0", False),
        ("SNF-02-03", "another 1.0.0", False),
        ("SNF-02-03", "", False),
        ("HEAD", "cube_generation 1.0.0", True),
        ("HEAD", "cube_generation 9.9.9.dev1", True),
    ],
)
def test_a_job_runs_the_program_that_its_version_pins_and_only_that(
    root: Path, edit: Edit, label: str, says: str, runs: bool
) -> None:
    edit("configs/production.toml", "SNF-02-03", label)
    step = load_project(root).step("cube_generation")
    spec = make_spec(root, "touch ran", says=says)
    folder = write_attempt(
        replace(spec, version=label, identity={"program": step.identity["program"]})
    )
    subprocess.run(["bash", folder.script], capture_output=True, timeout=60, check=False)
    told = record(folder, "program")
    assert told and told["said"] == says
    assert bool(list(folder.path.rglob("ran"))) == runs
    assert has_record(folder, "refused") != runs
    if not runs:
        refused = record(folder, "refused")
        assert "SNF-02-03 runs 'cube_generation 1.0.1'" in refused["reason"]
        assert repr(says) in refused["reason"]
