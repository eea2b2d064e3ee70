"""``snf_version``: list, switch, and put a version into a shell."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import jsonschema
import pytest

from tests.cli.conftest import ROOT, Run, Shell

SWITCH = "configs/production.toml"


def test_it_lists_the_versions_and_marks_the_configured_one(run: Run) -> None:
    lines = [line.split() for line in run("snf_version").stdout.splitlines()]
    assert [line[:3] for line in lines[1:]] == [
        ["SNF-02-01", "0201", "released"],
        ["SNF-02-02", "0202", "released"],
        ["*", "SNF-02-03", "0203"],
        ["SNF-02-04", "0204", "released"],
        ["HEAD", "0000", "unpinned"],
    ]


def test_its_json_fits_its_schema(run: Run) -> None:
    found = json.loads(run("snf_version", "--json").stdout)
    schema = json.loads((ROOT / "docs/schemas/version.json").read_text())
    jsonschema.validate(found, schema)
    assert [one["label"] for one in found if one["current"]] == ["SNF-02-03"]
    assert {one["label"]: one["number"] for one in found} == {
        "SNF-02-01": 201, "SNF-02-02": 202, "SNF-02-03": 203, "SNF-02-04": 204,
        "HEAD": 0,
    }  # fmt: skip


@pytest.mark.parametrize("label", ["SNF-02-01", "SNF-02-02", "HEAD"])
def test_it_switches_one_word_and_keeps_the_rest_and_back(root: Path, run: Run, label: str) -> None:
    path = root / SWITCH
    path.chmod(0o640)
    before = path.read_text()
    done = run("snf_version", label)
    assert done.stdout == f"switched {SWITCH} from SNF-02-03 to {label}\n"
    assert path.read_text() == before.replace('"SNF-02-03"', f'"{label}"')
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert run("snf_version", "--json").stdout.count('"current": true') == 1
    run("snf", "version", "SNF-02-03")
    assert path.read_text() == before
    assert [one.name for one in path.parent.iterdir() if one.name.startswith(".")] == []


def test_a_switch_that_is_a_link_stays_one(root: Path, run: Run) -> None:
    real = root / "elsewhere.toml"
    (root / SWITCH).rename(real)
    (root / SWITCH).symlink_to(real)
    run("snf_version", "HEAD")
    assert (root / SWITCH).is_symlink() and '"HEAD"' in real.read_text()


@pytest.mark.parametrize("option", ["-n", "--dry-run"])
def test_a_dry_run_changes_nothing(root: Path, run: Run, option: str) -> None:
    before = (root / SWITCH).read_bytes()
    done = run("snf_version", "SNF-02-01", option)
    assert done.stdout == f"would switch {SWITCH} from SNF-02-03 to SNF-02-01\n"
    assert (root / SWITCH).read_bytes() == before


def test_it_lists_and_switches_back_from_a_version_that_has_gone(root: Path, run: Run) -> None:
    (root / "versions/SNF-02-03.toml").unlink()
    assert "*" not in run("snf_version").stdout
    run("snf_version", "SNF-02-02")
    assert '"SNF-02-02"' in (root / SWITCH).read_text()


def test_a_version_whose_file_is_broken_is_not_switched_to(root: Path, run: Run) -> None:
    before = (root / SWITCH).read_bytes()
    (root / "versions/SNF-02-01.toml").write_text('label = "SNF-02-01"\n')
    done = run("snf_version", "SNF-02-01", code=2)
    assert "versions/SNF-02-01.toml" in done.stderr and "is missing" in done.stderr
    assert (root / SWITCH).read_bytes() == before


def test_a_shell_takes_environment_and_prompt_and_changes_them_with_the_version(
    root: Path, shell: Shell
) -> None:
    head = root / "versions/HEAD.toml"
    odd = 'it\'s $HOME `id` \\"x\\"'
    head.write_text(head.read_text().replace("[environment]", f'[environment]\nSNF_ODD = "{odd}"'))
    script = """
        PS1='old> '
        eval "$(snf_version --shell)"; show
        snf_version HEAD >/dev/null; eval "$(snf_version --shell)"; show
        snf_version SNF-02-02 >/dev/null; eval "$(snf_version --shell)"; show
        env | grep -c '^SNF_ODD=' || true
        cd /; snf_version >/dev/null && echo found from anywhere
    """
    show = (
        'show() { echo "$SNF_VERSION|$SNF_VERSION_LITE|$JOBDIR|$SNF_CALIBRATION|$SNF_ODD|$PS1"; }'
    )
    lines = shell(show + script).stdout.splitlines()
    jobs = root / "work/jobs"
    assert lines == [
        f"SNF-02-03|0203|{jobs}/SNF-02-03|SNF-02-03||[SNF-02-03] old> ",
        f'HEAD|0000|{jobs}/HEAD|HEAD|it\'s $HOME `id` "x"|[HEAD] old> ',
        f"SNF-02-02|0202|{jobs}/SNF-02-02|SNF-02-02||[SNF-02-02] old> ",
        "0",
        "found from anywhere",
    ]


def test_children_of_the_shell_have_the_environment(root: Path, shell: Shell) -> None:
    lines = shell('eval "$(snf_version --shell)"; env').stdout.splitlines()
    inherited = dict(line.partition("=")[::2] for line in lines)
    assert inherited["SNF_VERSION"] == "SNF-02-03"
    assert inherited["SNF_PROJECT"] == inherited["SNF_TASKS"] == str(root)
    assert inherited["SNF_CALIBRATION"] == "SNF-02-03"
