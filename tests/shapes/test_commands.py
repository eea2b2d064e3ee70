"""Commands over the plans of another package; and what is refused of values by hand."""

from __future__ import annotations

import json
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import tomlkit

from snfpipe.cli.enter import enter
from snfpipe.cli.plan import plan
from snfpipe.config.project import load_project
from snfpipe.errors import ConfigError, UsageError
from snfpipe.launch.order import Order, understand
from tests.launch.conftest import call, holds_schema
from tests.shapes.conftest import Produced
from tests.shapes.expected import STEPS, stem
from tests.shapes.project import PACKAGE, VERSION, Project, make

pytestmark = pytest.mark.usefixtures("installed")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The survey's configuration; nothing is observed."""
    return make(tmp_path / "project")


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_snf_plan_shows_what_a_plan_of_another_package_selects(
    produced: Produced, step: str
) -> None:
    said = call(produced.project, step, "--json", STEPS[step].unit, command=plan)
    assert said.code == 0, said.err
    work = holds_schema("plan", said.out)["work"]
    assert isinstance(work, list)
    item = next(it for it in work if STEPS[step].product in map(stem, it["products"]))
    found = {role: [*map(stem, names)] for role, names in item["inputs"].items()}
    wanted = {
        role: [given] if isinstance(given, str) else given
        for role, given in STEPS[step].made_from.items()
    }
    assert {role: names for role, names in found.items() if names} == {
        role: names for role, names in wanted.items() if names
    }


@pytest.mark.slow
def test_a_package_brings_the_command_of_its_plan(
    produced: Produced, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What pip would install is a script that calls the entry point under its own name."""
    (script,) = entry_points(group="console_scripts", name="plan_night_flat")
    monkeypatch.chdir(produced.project.root)
    monkeypatch.setattr(sys, "argv", ["/usr/bin/plan_night_flat", "--json", "06_334"])
    with pytest.raises(SystemExit) as ended:
        script.load()()
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)["plan"] == "night_flat"


def test_a_role_that_is_forgotten_is_refused_when_the_production_is_read(project: Project) -> None:
    path = project.root / "configs" / "productions" / "all.toml"
    content = tomlkit.parse(path.read_text())
    (spectra,) = (it for it in content["steps"] if it["key"] == "spectra")
    del spectra["inputs"]["flats"]
    path.write_text(tomlkit.dumps(content))
    with pytest.raises(ConfigError) as refused:
        load_project(project.root)
    assert "does not say which productions it reads flats from" in str(refused.value)


def test_a_letter_that_two_packages_use_is_that_of_the_plan_with_a_program(
    project: Project,
) -> None:
    order = Order("c", "ALL", ("06_334",), meta_prefix="OTHER-")
    assert understand(load_project(project.root), order).step.plan == "spectra"


def test_a_letter_of_two_plans_with_programs_is_refused(project: Project) -> None:
    path = project.root / "versions" / f"{VERSION}.toml"
    content = tomlkit.parse(path.read_text())
    content["programs"]["cube_generation"] = content["programs"]["merged"]
    path.write_text(tomlkit.dumps(content))
    with pytest.raises(UsageError, match="several plans: cube_generation, spectra"):
        understand(load_project(project.root), Order("c", "ALL", ("06_334",)))


def test_the_options_file_lies_beside_the_module_or_in_the_project(project: Project) -> None:
    step = load_project(project.root).step("photometric")
    assert step.options == {"photometric": 1.0}
    own = project.root / "configs" / "plans" / "photometric.toml"
    own.parent.mkdir()
    beside = (PACKAGE / "other_survey" / "photometric.toml").read_text()
    own.write_text(beside.replace("photometric = 1.0", "photometric = 0.5"))
    assert load_project(project.root).step("photometric").options == {"photometric": 0.5}


TABLE = "lists/photometricity.csv"
ENTRY = ("photometricity", "06_334", "photometric=0", "--why", "clouds")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("photometry", *ENTRY[1:]), "tables that plans read: photometricity"),
        (("../nights", *ENTRY[1:]), "no installed plan reads a table '../nights'"),
        (("photometricity", "GD71", *ENTRY[2:]), "expected a night like 09_239"),
        (("photometricity", "06_334", "photometric", *ENTRY[3:]), "write NAME=VALUE"),
        (("photometricity", "06_334", "a=1", "a=2", *ENTRY[3:]), "'a' is given twice"),
        (("photometricity", "06_334", "who=me", *ENTRY[3:]), "no value can be called 'who'"),
        (("photometricity", "06_334", "a=\x1b[2J", *ENTRY[3:]), "is not printable"),
        ((*ENTRY[:4], " "), "there is no reason"),
        ((*ENTRY[:2], "cloudy=1", *ENTRY[3:]), "has no column 'cloudy'"),
        ((*ENTRY[:2], "photometric=1", "cloudy=1", *ENTRY[3:]), "has no column 'cloudy'"),
    ],
)
def test_what_cannot_be_entered_is_refused_and_leaves_the_table_as_it_was(
    project: Project, words: tuple[str, ...], said: str
) -> None:
    assert call(project, *ENTRY, command=enter).code == 0
    before = (project.root / TABLE).read_bytes()
    for more in ((), ("-n",)):
        done = call(project, *words, *more, command=enter)
        assert (done.code in (2, 3), done.out) == (True, "")
        assert said in done.err
        assert "next: " in done.err
    assert (project.root / TABLE).read_bytes() == before


def test_a_table_keeps_who_said_what_and_the_last_row_counts(project: Project) -> None:
    told = [
        holds_schema("enter", call(project, "--json", *words, command=enter).out)
        for words in (ENTRY, ("photometricity", "06334", "photometric=1", "--why", 'a "new" look'))
    ]
    lines = (project.root / TABLE).read_text().splitlines()
    assert lines[0] == "unit,photometric,why,who,when"
    assert lines[1] == f"06_334,0,clouds,{told[0]['who']},{told[0]['when']}"
    assert lines[2] == f'06_334,1,"a ""new"" look",{told[1]["who"]},{told[1]["when"]}'


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("unit,photometric\n", 1, "the table has no column why"),
        ("unit,photometric,why,who,when\n06_334,0,clouds,me\n", 2, "found 4 cells, expected 5"),
        ("unit,photometric,why,who,when\n\nGD71,0,clouds,me,now\n", 3, "is no night"),
    ],
)
def test_a_table_that_cannot_be_read_is_named_with_its_line(
    project: Project, text: str, line: int, said: str
) -> None:
    from snfpipe.config.hand_tables import read_table
    from snfpipe.declarations.unit_kinds import NIGHT

    (project.root / TABLE).write_text(text)
    with pytest.raises(ConfigError) as refused:
        read_table(project.root, "photometricity", NIGHT)
    assert said in str(refused.value)
    assert f"photometricity.csv:{line}" in str(refused.value)
