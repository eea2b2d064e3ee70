"""The command ``simulate``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from snfpipe.errors import NotFound, UsageError
from snfpipe.simulate.cli import simulate
from snfpipe.simulate.faults import FAULTS
from snfpipe.simulate.layouts import KINDS
from snfpipe.simulate.presets import PRESETS


def test_a_dry_run_lists_the_nights_and_writes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "raw"
    result = CliRunner().invoke(simulate, ["--preset", "sample", "--out", str(out), "-n"])
    assert result.exit_code == 0
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == [
        "06_334", "06_336", "06_339", "07_245",
    ]  # fmt: skip
    assert "40 frames to make" in result.stdout
    assert not out.exists()


def test_json_tells_what_was_found(tmp_path: Path) -> None:
    words = ["--preset", "tiny", "--out", str(tmp_path), "--night", "06_336", "-n", "--json"]
    words += ["--fault", "06_336:missing_arc", "--seed", "3"]
    found = json.loads(CliRunner().invoke(simulate, words).stdout)
    assert found["preset"] == "tiny"
    assert [(n["night"], n["frames"], n["present"]) for n in found["nights"]] == [
        ("06_336", 16, False)
    ]


def test_wrong_words_are_refused(tmp_path: Path) -> None:
    run = CliRunner().invoke
    assert isinstance(run(simulate, ["--preset", "huge"]).exception, NotFound)
    assert isinstance(run(simulate, ["--fault", "06_334:fire"]).exception, UsageError)
    assert isinstance(run(simulate, ["--night", "../../etc"]).exception, UsageError)
    assert run(simulate, ["--jobs", "0"]).exit_code == 2
    assert run(simulate, ["--layout", "old"]).exit_code == 2


def test_help_names_all_presets_and_faults_and_has_an_example() -> None:
    text = CliRunner().invoke(simulate, ["--help"]).stdout
    assert all(name in text for name in [*PRESETS, *FAULTS, *KINDS])
    assert "snf simulate --preset tiny" in text


def test_importing_the_command_is_light() -> None:
    code = "import sys, snfpipe.simulate.cli; print({'numpy', 'astropy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
