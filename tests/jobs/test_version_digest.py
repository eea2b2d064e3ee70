"""A released version is held to what it ran when it was first used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snfpipe.config.versions import load_version
from tests.e2e.conftest import make_project
from tests.e2e.project import Project

NIGHT = "06_334"
LABEL = "SNF-02-03"


@pytest.fixture(scope="module")
def used_once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A released version by which two steps of a small night were made."""
    project = make_project(tmp_path_factory.mktemp("used") / "project", [NIGHT])
    path = version_file(project)
    path.write_text(path.read_text().replace("released = false", "released = true"))
    project.doit("file_quality", "cube_generation")
    return project


@pytest.fixture
def used(used_once: Project) -> Project:
    """The same, its files put back afterwards."""
    return used_once


@pytest.fixture(autouse=True)
def put_back(used_once):
    kept = {
        path: path.read_text()
        for folder in ("versions", "configs/plans")
        for path in (used_once.root / folder).glob("*.toml")
    }
    yield
    for path, text in kept.items():
        path.write_text(text)


def version_file(project: Project) -> Path:
    return project.root / "versions" / f"{LABEL}.toml"


def edit(project: Project, old: str, new: str) -> None:
    path = version_file(project)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def edited(project: Project) -> list[str]:
    """What the list of versions says of it."""
    (found,) = (
        one for one in json.loads(project.run("snf_version", "--json").stdout)
        if one["label"] == LABEL
    )  # fmt: skip
    return list(found["edited"])


def test_what_it_runs_is_kept_for_each_plan_that_was_claimed(used):
    rows = used.query("SELECT label, plan FROM version_digest ORDER BY plan")
    assert rows == [(LABEL, "cube_generation"), (LABEL, "file_quality")]
    assert edited(used) == []


OPTIONS = "[options.cube_generation]\nscattered_light = false\n"

DIFFERENCES = [
    ("[programs.file_quality]", f"{OPTIONS}\n[programs.file_quality]",
     "options.scattered_light was true, is false"),
    ("[environment]", '[environment]\nSNF_MORE = "1"', 'environment.SNF_MORE was absent, is "1"'),
    ('name = "cube_generation"\nversion = "1.0.0"', 'name = "cube_generation"\nversion = "1.0.9"',
     'program.version was "1.0.0", is "1.0.9"'),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "difference"), DIFFERENCES)
def test_an_edit_is_refused_at_the_claim_and_listed_and_audited(used, old, new, difference):
    edit(used, old, new)
    attempts = used.attempts()
    told = used.doit("cube_generation", exit_code=3)
    assert f"{LABEL} was edited since it was first used for " in told
    assert f": {difference}\n" in told
    assert f"next: undo that in {version_file(used)}, and put it into a new version file" in told
    assert used.attempts() == attempts

    assert difference in edited(used)
    assert f"{LABEL} was edited since it was released" in used.run("snf_version").stdout
    audit = used.run("job_env_check", "--json", exit_code=1).stdout
    assert difference.replace('"', '\\"') in audit


SAME = [
    ("released = true", "# a comment\nreleased = true"),
    ('notes = "', 'notes = "in other words: '),
    ('commit = "f7e2', 'commit = "f7e3'),
    ("[programs.file_quality]", "[options.cube_generation]\nscattered_light = true\n\n"
     "[programs.file_quality]"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), SAME)
def test_an_edit_that_leaves_what_it_runs_is_none(used, old, new):
    edit(used, old, new)
    assert edited(used) == []
    used.change_option("cube_generation", "min_lamps", 3)  # the plan's own, of all versions
    assert "was edited" not in used.doit("cube_generation", exit_code=None)


def test_what_was_released_stays_so_whatever_its_file_says(used):
    edit(used, "released = true", "released = false")
    edit(used, "[environment]", '[environment]\nSNF_MORE = "1"')
    assert "was edited" in used.doit("cube_generation", exit_code=3)


def test_a_file_that_cannot_be_read_any_more_is_told_and_one_that_is_gone_is_anothers(used):
    from snfpipe.config.released import Kept, edited_versions

    rows = used.query(
        "SELECT label, plan, digest, content FROM version_digest WHERE plan = 'file_quality'"
    )
    kept = [Kept(*row) for row in rows]
    assert load_version(used.root, LABEL) and list(edited_versions(used.root, kept)) == []
    edit(used, "number = 203", "number = ")
    (found,) = edited_versions(used.root, kept)
    assert "cannot be read: this is no TOML" in found.what
    version_file(used).unlink()
    assert list(edited_versions(used.root, kept)) == []


def test_a_version_that_is_not_released_is_kept_nowhere_and_may_be_edited(used):
    used.run("snf_version", "SNF-02-02")
    try:
        used.doit("file_quality")
        count = "SELECT count(*) FROM version_digest WHERE label = 'SNF-02-02'"
        assert used.query(count) == [(0,)]
    finally:
        used.run("snf_version", LABEL)
