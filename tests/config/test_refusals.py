"""What cannot be used is refused: file, line or key, what was found, expected, the next step."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snfpipe.config.project import load_project
from snfpipe.config.textfile import LIMIT
from snfpipe.errors import ConfigError, SnfError, UsageError
from tests.config.conftest import Edit

SWITCH = "configs/production.toml"
SAMPLE = "configs/productions/sample.toml"
LOCAL = "configs/sites/local.toml"
PLAN = "configs/plans/extract_star.toml"
VERSION = "versions/SNF-02-03.toml"
NIGHTS = "lists/sample_nights.list"


class Case(NamedTuple):
    """A file, a change of its text, and what the refusal must say."""

    file: str
    old: str
    new: str
    place: str
    found: str
    hint: str


CASES = {
    # the switch
    "unknown version": Case(
        SWITCH, '"SNF-02-03"', '"SNF-02-99"', ":2: version",
        "there is no version SNF-02-99", "SNF-02-01, SNF-02-02, SNF-02-03, SNF-02-04, HEAD",
    ),
    "malformed version": Case(
        SWITCH, '"SNF-02-03"', '"../../etc/passwd"', ":2: version",
        "found '../../etc/passwd'", "expected a version label like SNF-02-03, or HEAD",
    ),
    "version of a wrong type": Case(
        SWITCH, '"SNF-02-03"', "203", ":2: version", "found '203'", "expected a version label",
    ),
    "unknown production": Case(
        SWITCH, '"sample"', '"simple"', ":3: production",
        "there is no production 'simple'", "productions that exist: ",
    ),
    "unknown site": Case(
        SWITCH, '"local"', '"here"', ":4: site",
        "there is no site 'here'", "grid_engine, local, slurm",
    ),
    "unknown key": Case(
        SWITCH, "site =", "sight =", ":4: sight", "unknown key 'sight'", "did you mean site?",
    ),
    "missing key": Case(
        SWITCH, 'production = "sample"', "", SWITCH, "production is missing",
        "add production = the name of a file in configs/productions",
    ),
    "duplicate key": Case(
        SWITCH, "site =", 'version = "HEAD"\nsite =', ":4",
        "Cannot overwrite a value", "a key is given once",
    ),
    "no TOML": Case(
        SWITCH, '"sample"', "sample", ":3", "this is no TOML", "a text stands in quotes",
    ),
    "a hostile name": Case(
        SWITCH, '"sample"', '"x; rm -rf $HOME #"', ":3: production", "found 'x; rm", "expected",
    ),
    "a line end in a name": Case(
        SWITCH, '"sample"', r'"sample\n"', ":3: production", "found 'sample\\n'", "on one line",
    ),
    "a NUL in a name": Case(
        SWITCH, '"local"', r'"local\u0000"', ":4: site", "found 'local\\x00'", "printable",
    ),
    "a NUL in the file": Case(SWITCH, "site", "si\0te", ":4", "this is no TOML", "fix the line"),
    "a number without end": Case(
        SWITCH, '"sample"', "9" * 5000, SWITCH, "this is no TOML", "fix the line",
    ),
    "nesting without end": Case(
        SWITCH, '"sample"', "[" * 50_000, SWITCH, "nested too deeply", "fix the file",
    ),
    # productions
    "unknown plan": Case(
        SAMPLE, 'plan = "cube_generation"', 'plan = "cubes"', "steps.1.plan",
        "there is no plan 'cubes'", "plans that are installed: cube_generation, ",
    ),
    "a plan without a program": Case(
        VERSION, "[programs.cube_generation]", "[programs.cubes]", "steps.1.plan",
        "version SNF-02-03 has no program for plan cube_generation",
        "add [programs.cube_generation]",
    ),
    "a unit the plan lacks": Case(
        SAMPLE, 'unit = "night"', 'unit = "target"', "steps.0.unit",
        "plan file_quality does not work on units of kind target", "it works on: night",
    ),
    "a unit of no kind": Case(
        SAMPLE, 'unit = "night"', 'unit = "week"', "steps.0.unit",
        "does not work on units of kind week", "it works on: night",
    ),
    "two steps of one key": Case(
        SAMPLE, 'key = "cube_generation"', 'key = "file_quality"', "steps.1.key",
        "step file_quality (SNF-0203-SAMPLEc) occurs twice", "its own key",
    ),
    "two uses of a plan under one prefix": Case(
        SAMPLE, 'plan = "cube_generation"', 'plan = "file_quality"', "steps.1.key",
        "step cube_generation (SNF-0203-SAMPLEz) occurs twice", "its own prefix",
    ),
    "an input that is no step": Case(
        SAMPLE, '["file_quality"]', '["file_kwality"]', "steps.1.inputs.frames",
        "input 'file_kwality' is no step above this one", "steps above: file_quality",
    ),
    "a step that reads itself": Case(
        SAMPLE, '["file_quality"]', '["cube_generation"]', "steps.1.inputs.frames",
        "is SNF-0203-SAMPLEc, which no step above this one makes", "steps above: file_quality",
    ),
    "a step that reads itself by its full name": Case(
        SAMPLE, '["file_quality"]', '["SNF-0203-SAMPLEc"]', "steps.1.inputs.frames",
        "which no step above this one makes", "steps above: file_quality",
    ),
    "a step that reads a later one": Case(
        SAMPLE, '["file_quality"]', '["extract_star"]', "steps.1.inputs.frames",
        "which no step above this one makes", "steps above: file_quality",
    ),
    "an input of an unknown version": Case(
        SAMPLE, '["file_quality"]', '[{ step = "file_quality", version = "SNF-09-09" }]',
        "steps.1.inputs.frames", "there is no version SNF-09-09", "versions that exist",
    ),
    "an input of an unknown production": Case(
        SAMPLE, '["file_quality"]', '[{ step = "file_quality", production = "none" }]',
        "steps.1.inputs.frames", "there is no production 'none'", "productions that exist",
    ),
    "an input of an unknown step": Case(
        SAMPLE, '["file_quality"]', '[{ step = "quality", version = "HEAD" }]',
        "steps.1.inputs.frames", "production sample has no step 'quality'", "its steps: file_qual",
    ),
    "an input without a step": Case(
        SAMPLE, '["file_quality"]', '[{ version = "HEAD" }]',
        "steps.1.inputs.frames.0", "step is missing", "add step = a step's key",
    ),
    "an input of no kind": Case(
        SAMPLE, '["file_quality"]', "[7]", "steps.1.inputs.frames.0", "found '7'", "a step's key",
    ),
    "an input that is no array": Case(
        SAMPLE, '["file_quality"]', '"file_quality"', "steps.1.inputs.frames",
        "found 'file_quality'", "a list of steps or productions",
    ),
    "an unknown option": Case(
        SAMPLE, 'inputs = { cubes', 'options = { skydegree = 1 }\ninputs = { cubes',
        "steps.2.options.skydegree", "plan extract_star has no option 'skydegree'", "its options:",
    ),
    "an option of another kind": Case(
        VERSION, "[programs.extract_star]",
        '[options.cube_generation]\nscattered_light = "yes"\n[programs.extract_star]',
        "options.cube_generation.scattered_light", "found 'yes'", "expected a value like True",
    ),
    "a prefix with a slash": Case(
        SAMPLE, 'prefix = "SAMPLE"', 'prefix = "../x"', "steps.0.prefix",
        "found '../x'", "expected a prefix like",
    ),
    "a list of no kind": Case(
        SAMPLE, 'list = "lists/sample_nights.list"', 'list = ""', "steps.0.list",
        "found ''", "a path",
    ),
    "a list that is not there": Case(
        SAMPLE, "lists/sample_nights.list", "lists/none.list", "steps.0.list",
        "there is no file", "make it, one unit a line",
    ),
    "a list with a NUL in its name": Case(
        SAMPLE, "lists/sample_nights.list", r"lists/\u0000", "steps.0.list",
        "found 'lists/\\x00'", "printable",
    ),
    "a list that is a folder": Case(
        SAMPLE, "lists/sample_nights.list", "lists", "/lists", "no plain file", "name a text file",
    ),
    # plans, sites
    "resources of nothing": Case(
        PLAN, "cpu_s = 3600", "cpu_s = 0", ":2: resources.cpu_s", "found '0'", "at least 1",
    ),
    "a truth for a number": Case(
        PLAN, "cpu_s = 3600", "cpu_s = true", ":2: resources.cpu_s", "found 'True'", "CPU seconds",
    ),
    "a plan's letter where its declaration has it": Case(
        PLAN, "[resources]", 'letter = "e"\n[resources]', ":1", "letter", "options",
    ),
    "an input role that is forgotten": Case(
        SAMPLE, 'inputs = { cubes = ["cube_generation"] }', "", "steps.2.key",
        "step extract_star does not say which productions it reads cubes from",
        'add inputs = { cubes = ["STEP"] }',
    ),
    "an engine of no kind": Case(
        LOCAL, 'engine = "local"', 'engine = "locale"', ":2: engine", "found 'locale'",
        "expected local, grid_engine or slurm",
    ),
    "a poll without end": Case(
        LOCAL, "poll_s = 0.2", "poll_s = inf", ":4: poll_s", "found 'inf'", "a finite number",
    ),
    "no number": Case(
        LOCAL, "poll_s = 0.2", "poll_s = nan", ":4: poll_s", "found 'nan'", "a finite number",
    ),
    "a date for a number": Case(
        LOCAL, "poll_s = 0.2", "poll_s = 2006-11-30", ":4: poll_s", "found '2006-11-30'", "a text,",
    ),
    "another kind of database": Case(
        LOCAL, "sqlite:///work/snfpipe.db", "mysql://host/x", ":6: database",
        "found 'mysql://host/x'", "sqlite:///path or postgresql://user@host/name",
    ),
    # versions
    "a label that is not the file's": Case(
        VERSION, 'label = "SNF-02-03"', 'label = "SNF-02-04"', ":2: label",
        "label is 'SNF-02-04', by the file's name it should be 'SNF-02-03'", "correct one",
    ),
    "a number that is not the label's": Case(
        VERSION, "number = 203", "number = 204", ":3: number", "number is 204", "correct one",
    ),
    "a released version that is unpinned": Case(
        VERSION, 'version = "1.0.0"', 'version = "*"', "programs.file_quality.version",
        "does not say which version of file_quality it runs; only HEAD may", "--version",
    ),
    "options for a plan it does not run": Case(
        VERSION, "[environment]", "[options.ddt]\n[environment]", "options.ddt",
        "SNF-02-03 has options for plan 'ddt' and no program for it", "its programs: file_quality",
    ),
    "a variable in small letters": Case(
        VERSION, "SNF_CALIBRATION =", "path =", "environment", "found 'path'", "name in capitals",
    ),
    "a command that is a line": Case(
        VERSION, '["snf_file_quality"]', '"snf_file_quality; id"', "programs.file_quality.command",
        "found 'snf_file_quality; id'", "a list of words",
    ),
    # lists
    "a line that is no night": Case(
        NIGHTS, "06_336", "06_336 06_339", ":3", "'06_336 06_339' is no night", "like 09_239",
    ),
    "a night that never was": Case(
        NIGHTS, "06_336", "06_366", ":3", "year 6, day 366 is no night", "days from 001",
    ),
    "a night twice": Case(
        NIGHTS, "06_339", "06334", ":4", "'06_334' is listed twice, first in line 2", "remove one",
    ),
    "a hostile line": Case(
        NIGHTS, "06_336", "../../x; rm -rf $HOME", ":3", "'../../x; rm -rf $HOME' is no night", "",
    ),
    "a NUL in a list": Case(NIGHTS, "06_336", "06_336\0", ":3", "'06_336\\x00' is no night", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_it_is_refused_with_its_place_and_the_next_step(root: Path, edit: Edit, case: Case) -> None:
    load_project(root)
    edit(case.file, case.old, case.new)
    with pytest.raises(UsageError) as refused:
        load_project(root)
    error = refused.value
    assert error.place is not None and str(error.place.file).startswith(str(root))
    assert case.place in str(error.place)
    assert case.found in error.message
    assert error.hint and case.hint in error.hint
    assert all(line.isprintable() for line in str(error).split("\n")[:-1])


def as_folder(path: Path) -> None:
    """Make a folder of that name."""
    path.mkdir()


def as_loop(path: Path) -> None:
    """Make a link that leads to itself."""
    path.symlink_to(path)


def as_pipe(path: Path) -> None:
    """Make a named pipe, which a reader would wait for."""
    os.mkfifo(path)


def as_device(path: Path) -> None:
    """Make a link to what never ends."""
    path.symlink_to("/dev/zero")


def as_huge(path: Path) -> None:
    """Make a file larger than any list, without the room for it."""
    with path.open("wb") as file:
        file.truncate(LIMIT + 1)


def as_latin(path: Path) -> None:
    """Make a file with a byte that is no UTF-8, in its second line."""
    path.write_bytes(b"# caf\n# caf\xe9\n")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (as_folder, "no plain file"),
        (as_loop, "Too many levels of symbolic links"),
        (as_pipe, "no plain file"),
        (as_device, "no plain file"),
        (as_huge, f"it has {LIMIT + 1} bytes, expected at most {LIMIT}"),
        (as_latin, "byte 0xe9 is no UTF-8 text"),
    ],
)
@pytest.mark.parametrize("file", [SAMPLE, VERSION, NIGHTS])
def test_what_is_no_text_file_is_refused(
    root: Path, file: str, make: Callable[[Path], None], told: str
) -> None:
    path = root / file
    path.unlink()
    make(path)
    with pytest.raises(UsageError, match=told) as refused:
        load_project(root)
    assert str(path) in str(refused.value)
    assert refused.value.hint
    if make is as_latin:
        assert refused.value.place and refused.value.place.line == 2


def test_a_password_in_a_site_file_is_refused_and_not_shown(root: Path, edit: Edit) -> None:
    edit(LOCAL, "sqlite:///work/snfpipe.db", "postgresql://snf:hunter2@host/x")
    with pytest.raises(ConfigError) as refused:
        load_project(root)
    assert "hunter2" not in str(refused.value)
    assert "~/.pgpass" in refused.value.hint
    edit(LOCAL, 'host/x"', "host/x")  # no TOML: the line is shown
    with pytest.raises(ConfigError, match="this is no TOML") as refused:
        load_project(root)
    assert "hunter2" not in str(refused.value)


def test_a_file_that_passed_once_is_checked_again_after_every_change(
    root: Path, edit: Edit
) -> None:
    for _ in range(2):
        load_project(root)
        edit(SWITCH, "site =", "sight =")
        with pytest.raises(ConfigError):
            load_project(root)
        with pytest.raises(ConfigError):
            load_project(root)
        edit(SWITCH, "sight =", "site =")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60))
def test_any_bytes_are_refused_plainly(root: Path, content: bytes) -> None:
    for file in (SWITCH, NIGHTS):
        path = root / file
        before = path.read_bytes()
        path.write_bytes(content)
        try:
            load_project(root)
        except SnfError as error:
            assert error.exit_code == 2 and error.hint
        finally:
            path.write_bytes(before)


def test_two_versions_of_one_number_are_refused(root: Path) -> None:
    versions = root / "versions"
    text = (versions / "SNF-02-03.toml").read_text()
    (versions / "ABC-02-03.toml").write_text(text.replace("SNF-02-03", "ABC-02-03"))
    with pytest.raises(ConfigError, match="SNF-02-03 and ABC-02-03 have one number, 203"):
        load_project(root)
