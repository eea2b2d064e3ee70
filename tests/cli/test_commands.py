"""Every command: its help, its words, what it loads, what it says of misuse."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from snfpipe.cli.main import COMMANDS, snf
from tests.cli.conftest import ROOT, Run, Shell

HEAVY = {
    "alembic", "astropy", "doit", "jsonschema", "matplotlib", "numpy", "pandas", "psutil",
    "psycopg2", "scipy", "sqlalchemy", "tomlkit",
}  # fmt: skip

#: Commands that are known to report something, or to change something.
REPORTS = {"ingest", "status", "why", "summary", "audit", "version", "db current", "simulate"}
CHANGES = {"ingest", "retry", "cancel", "version", "db init", "db upgrade", "simulate"}


def commands() -> dict[str, click.Command]:
    """Return every command that does something, by its words after ``snf``."""
    found: dict[str, click.Command] = {}
    for name in COMMANDS:
        module, _, attribute = COMMANDS[name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        if isinstance(command, click.Group):
            found |= {f"{name} {sub}": one for sub, one in command.commands.items()}
        else:
            found[name] = command
    return found


ALL = commands()


@pytest.mark.parametrize("name", ALL)
def test_every_command_explains_itself_with_an_example(name: str) -> None:
    command = ALL[name]
    assert command.help and "Example:" in command.help
    assert name.split()[-1] in command.help.partition("Example:")[2]
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, f"{option.name} has no help"


def options(name: str) -> set[str]:
    """Return the options of a command."""
    return {word for option in ALL[name].params for word in option.opts}


def test_what_reports_has_json_and_what_changes_has_a_dry_run() -> None:
    reports = {name for name in ALL if "--json" in options(name)}
    changes = {name for name in ALL if {"-n", "--dry-run"} <= options(name)}
    assert reports >= REPORTS
    assert changes >= CHANGES
    assert set(ALL) - reports - changes == {"completion", "engine env"}  # a shell reads these


@pytest.mark.parametrize("name", ALL)
def test_a_schema_that_a_help_names_is_in_the_documentation(name: str) -> None:
    for option in ALL[name].params:
        told = getattr(option, "help", "") or ""
        for path in re.findall(r"docs/schemas/\w+\.json", told):
            assert json.loads((ROOT / path).read_text())["title"]


def test_the_table_of_commands_tells_what_their_help_tells() -> None:
    for name, (_, line) in COMMANDS.items():
        assert line.endswith(".") and len(line) < 70, name


PROBE = """
import sys
from snfpipe.cli.main import run_command, snf
for words in {lines!r}:
    sys.argv = ["snf", *words]
    run_command(snf, "snf")
    print("LOADED", words, sorted(sys.modules.keys() & {heavy!r}), file=sys.stderr)
"""


def loaded(root: Path, lines: list[list[str]]) -> list[str]:
    """Run commands in one fresh interpreter; return what heavy packages each has loaded."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(lines=lines, heavy=HEAVY)],
        cwd=root, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    return [line for line in done.stderr.splitlines() if line.startswith("LOADED")]


def test_no_command_loads_heavy_packages_to_begin(root: Path) -> None:
    lines = [[], ["--help"], ["nonsense"], ["completion", "bash"]]
    lines += [[*name.split(), "--help"] for name in ALL]
    found = loaded(root, lines)
    assert len(found) == len(lines)
    assert [line for line in found if not line.endswith(" []")] == []


def test_looking_loads_none_once_the_configuration_has_passed_its_schemas(
    root: Path, run: Run
) -> None:
    run("snf", "db", "init")
    run("snf", "status")
    run("snf_version")
    found = loaded(root, [["version"], ["version", "--shell"], ["db", "current"]])
    assert [line for line in found if not line.endswith(" []")] == []


@pytest.mark.parametrize(
    ("words", "told", "hint"),
    [
        ("snf nonsense", "snf: there is no command 'nonsense'", "snf --help"),
        ("snf statuss", "there is no command 'statuss': did you mean status?", "snf --help"),
        ("snf --prject x status", "snf: no such option '--prject'", "snf --help"),
        ("snf ingest --foo", "snf ingest: no such option '--foo'", "snf ingest --help"),
        ("snf ingest 06-334", "snf: '06-334' is no night", "expected something like 09_239"),
        ("snf ingest 06_335", "snf: there is no folder ", "check the night"),
        ("snf retry", "snf retry: missing argument 'UNIT...'", "snf retry --help"),
        ("snf completion ksh", "'ksh' is not one of 'bash', 'zsh', 'fish'", "completion --help"),
        ("snf db", "Usage: snf db", ""),
        ("snf", "Usage: snf", ""),
        ("snf --project /nowhere status", "snf: no configs/production.toml in /nowhere", "--proj"),
        ("snf_version SNF-02-99", "there is no version SNF-02-99", "versions that exist"),
        ("snf_version ../x", "'../x' is no version", "expected something like SNF-02-03"),
        ("snf_version HEAD --shell", "give one of", "snf_version --help"),
        ("snf_version -n", "give one of", "snf_version --help"),
        ("snf snf_qsub -t nan x.sh", "'--time': 'nan' is no finite number", "snf_qsub --help"),
        ("snf snf_qsub -t inf x.sh", "'--time': inf is not in the range", "snf_qsub --help"),
        ("snf qstat2 --watch --every nan", "'nan' is no finite number", "qstat2 --help"),
        ("snf qstat2 --watch --every 1e300", "1e+300 is not in the range", "qstat2 --help"),
        ("snf srb_cleanup --min-age nan", "'nan' is no finite number", "srb_cleanup --help"),
        ("snf srb_cleanup --max-wrong nan", "'nan' is no finite number", "srb_cleanup --help"),
        ("snf manage_jobs --purge --older-than nan", "is no finite number", "manage_jobs --help"),
        ("snf manage_jobs --purge --older-than -1", "not in the range", "manage_jobs --help"),
        ("snf status --json extra", "got unexpected extra argument", "snf status --help"),
    ],
)
def test_misuse_gives_one_clear_line_and_the_next_step(
    run: Run, words: str, told: str, hint: str
) -> None:
    if "ingest" in words:
        run("snf", "db", "init")
    done = run(*words.split(), code=2)
    said = done.stderr or done.stdout
    assert told in said.splitlines()[0]
    assert "Traceback" not in said
    if hint:
        _first, second = said.splitlines()
        assert second.startswith("  next: ") and hint in second
        assert done.stdout == ""


def test_the_earlier_name_of_ingest_is_understood_and_not_listed(run: Run) -> None:
    assert run("snf", "arrive").stdout == run("snf", "ingest").stdout == "nothing new\n"
    assert "arrive" not in run("snf", "--help").stdout


def test_control_characters_of_a_wrong_word_are_not_sent_to_the_terminal(run: Run) -> None:
    done = run("snf", "ingest", "--\x1b[31mred", code=2)
    assert "\x1b" not in done.stderr


def test_a_reader_that_goes_away_is_no_trouble(shell: Shell) -> None:
    done = shell("set -o pipefail; snf completion bash | head -1")
    assert done.stderr == ""


def test_the_shell_completes_commands_and_options(shell: Shell) -> None:
    script = """
        eval "$(snf completion bash)"
        complete -p snf
        words() {
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            _snf_completion snf
            echo "${COMPREPLY[@]}"
        }
        words snf s
        words snf db ""
        words snf ingest --
    """
    registered, commands, subcommands, options = shell(script).stdout.splitlines()
    assert registered.split()[-1] == "snf"
    assert set(commands.split()) == {"simulate", "status", "summary", "srb_cleanup", "snf_qsub"}
    assert subcommands.split() == ["current", "init", "upgrade"]
    assert {"--dry-run", "--json", "--verbose"} <= set(options.split())


@pytest.mark.parametrize("name", ALL)
def test_every_command_is_found_under_snf(name: str) -> None:
    context = click.Context(snf)
    first, *rest = name.split()
    found = snf.get_command(context, first)
    if rest:
        assert isinstance(found, click.Group)
        found = found.commands[rest[0]]
    assert found is ALL[name]


def test_output_that_cannot_be_written_is_an_error_and_no_traceback():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [Path(sys.executable).with_name("snf"), "completion", "bash"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr == "snf: No space left on device\n  next: fix that, and call it again\n"
