"""The job script: readable, run by hand, and safe from what reaches it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snfpipe.storage import archive
from snfpipe.worker import script as scripts
from snfpipe.worker.script import script, write_attempt, write_attempts
from snfpipe.worker.spec import AttemptFolder, JobSpec
from tests.jobs.attempts import has_record, make_attempt, make_spec, product, record

PROGRAM = Path(__file__).parents[1] / "jobs" / "program.py"


def by_hand(folder: AttemptFolder, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", folder.script.name],
        cwd=folder.path,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def real(root: Path, **given: Any) -> AttemptFolder:
    """An attempt around the tests' real program."""
    spec = make_spec(root, products=[product(1, plot="png"), product(2)], **given)
    return write_attempt(replace(spec, commands=((sys.executable, str(PROGRAM)),)))


def test_by_hand_a_script_does_what_the_engine_would_and_only_once(tmp_path):
    folder = real(tmp_path)
    done = by_hand(folder)
    assert done.returncode == 0, done.stderr
    spec = folder.load()
    assert len(archive.incoming_names(tmp_path / "archive", spec.token)) == 3
    assert record(folder, "accounted")["missing"] == {}
    assert record(folder, "ending")["exit_status"] == 0
    assert record(folder, "starting")["variables"]["OMP_NUM_THREADS"] == "1"

    again = by_hand(folder)
    assert again.returncode == 75
    assert "SNF_BY_HAND" in again.stderr


@pytest.mark.parametrize("where", ["mine", "a folder with 'quotes' and spaces"])
def test_by_hand_in_a_folder_of_ones_own_nothing_is_registered(tmp_path, where):
    folder = real(tmp_path)
    for _turn in range(2):
        done = by_hand(folder, SNF_BY_HAND=str(tmp_path / where))
        assert done.returncode == 0, done.stderr
        assert "nothing is registered" in done.stdout
    assert (tmp_path / where / product(1).name).exists()
    assert not folder.taken.exists()
    assert not folder.ledger.exists()
    assert archive.incoming_tokens(tmp_path / "archive") == []


def test_by_hand_nothing_of_the_callers_environment_reaches_the_job(tmp_path):
    folder = make_attempt(tmp_path, "env")
    done = by_hand(folder, SNF_CANARY="canary", SNF_DATABASE_URL="canary", OMP_NUM_THREADS="7")
    assert "canary" not in done.stdout
    assert "OMP_NUM_THREADS=1" in done.stdout


def test_a_full_archive_fails_the_job_with_its_reason_and_leaves_nothing(tmp_path):
    folder = real(tmp_path)
    (tmp_path / "archive").mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", tmp_path / "archive"], check=False
    )
    assert mounted.returncode == 0, "this test mounts a tmpfs: run `make test` as root"
    try:
        done = by_hand(folder)
        assert done.returncode == 3
        assert "No space left" in record(folder, "refused")["reason"]
        assert not has_record(folder, "accounted")
        assert archive.incoming_tokens(tmp_path / "archive") == []
    finally:
        subprocess.run(["umount", tmp_path / "archive"], check=True)


HOSTILE = [
    "../../x; rm -rf $HOME #",
    "a'b\"c",
    "two\nlines; touch hacked",
    "`touch hacked`",
    "$(id)",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_names_are_data_in_a_script(tmp_path, text):
    spec = make_spec(tmp_path, 'printf "%s" "$SNF_ODD" > odd; printf "%s" "$1" > argument')
    spec = replace(
        spec,
        unit=text,
        plan=text,
        commands=((*spec.commands[0], text),),
        environment=spec.environment | {"SNF_ODD": text},
    )
    folder = write_attempt(spec)
    by_hand(folder)
    assert (folder.work / "odd").read_text() == text
    assert (folder.work / "argument").read_text() == text
    assert not (folder.work / "hacked").exists()


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=30))
def test_whatever_a_variable_holds_a_script_stays_a_script(value, specimen):
    text = script(replace(specimen, environment={"SNF_ODD": value}, unit=value))
    done = subprocess.run(["bash", "-n"], input=text.encode(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"export SNF_ODD={shlex.quote(value)}\n" in text
    comments = [line for line in text.split("\n")[:6] if not line.startswith("#")]
    assert comments == []


@pytest.fixture(scope="module")
def specimen(tmp_path_factory: pytest.TempPathFactory) -> JobSpec:
    return make_spec(tmp_path_factory.mktemp("specimen"), products=[product(1)])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    options=st.dictionaries(st.text(), st.none() | st.booleans() | st.floats(allow_nan=False)),
    unit=st.text(),
)
def test_a_spec_is_read_as_it_was_written(options, unit, specimen):
    spec = replace(specimen, options=options, unit=unit)
    assert JobSpec.from_json(spec.to_json()) == spec


def test_a_spec_of_another_format_is_refused(specimen):
    text = json.dumps(json.loads(specimen.to_json()) | {"format": 99})
    with pytest.raises(ValueError, match="format"):
        JobSpec.from_json(text)


@pytest.mark.parametrize("slow_s", [0.0, 60.0], ids=["slow", "quick"])
def test_on_a_slow_file_system_and_a_quick_one_every_folder_is_written_or_named(
    tmp_path, monkeypatch, slow_s
):
    monkeypatch.setattr(scripts, "_SLOW_S", slow_s)
    specs = [
        replace(
            make_spec(tmp_path),
            folder=str(tmp_path / f"unit-{n}" / "job.attempts" / "001"),
            token=f"{n:016x}",
        )
        for n in range(100)
    ]
    (tmp_path / "unit-90").write_text("a file in the way")
    assert list(write_attempts(specs)) == [specs[90].token]
    for spec in specs[:90] + specs[91:]:
        assert AttemptFolder.of(spec).load() == spec
        assert AttemptFolder.of(spec).script.read_text() == script(spec)
