"""A file that grows and is rotated gives each of its lines once."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snfpipe.engines.growing import GrowingFile, Mark, mark_end

HEADER = "# Version: 8.1.9\n#\n"


def append(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def rotate(path: Path, how: str) -> None:
    time.sleep(0.01)  # a tick of the clock that files get their times from
    count = len(list(path.parent.glob("accounting.*")))
    for number in reversed(range(count)):
        path.with_name(f"accounting.{number}").rename(path.with_name(f"accounting.{number + 1}"))
    old = path.with_name("accounting.0")
    if how == "rename":
        path.rename(old)
        path.write_text(HEADER)
    else:
        shutil.copy2(path, old)
        path.write_text(HEADER)
    time.sleep(0.01)


def test_only_what_is_new_is_read(tmp_path):
    path = tmp_path / "accounting"
    path.write_text(HEADER)
    append(path, "a", "b")
    reader = GrowingFile(path, mark_end(path))
    assert list(reader.lines()) == []
    append(path, "c")
    assert list(reader.lines()) == ["c"]
    assert list(reader.lines()) == []


def test_a_line_that_is_being_written_is_left_for_later(tmp_path):
    path = tmp_path / "accounting"
    append(path, "a")
    reader = GrowingFile(path, Mark())
    with path.open("a") as file:
        file.write("b: half")
    assert list(reader.lines()) == ["a"]
    append(path, " and half")
    assert list(reader.lines()) == ["b: half and half"]


def test_a_missing_file_has_no_lines_yet(tmp_path):
    path = tmp_path / "accounting"
    reader = GrowingFile(path, mark_end(path))
    assert list(reader.lines()) == []
    append(path, "a")
    assert list(reader.lines()) == ["a"]


@pytest.mark.parametrize("how", ["rename", "copy and truncate"])
def test_nothing_is_lost_over_rotations(tmp_path, how):
    path = tmp_path / "accounting"
    path.write_text(HEADER)
    append(path, "a", "b")
    mark = Mark.from_json(mark_end(path).to_json())
    append(path, "c")
    rotate(path, how)
    append(path, "d")
    rotate(path, how)
    append(path, "e")
    lines = [line for line in GrowingFile(path, mark).lines() if not line.startswith("#")]
    assert lines == ["c", "d", "e"]


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50
)
@given(
    st.lists(
        st.sampled_from(["write", "write", "read", "rename", "copy and truncate"]), max_size=12
    )
)
def test_every_line_is_read_once_whatever_happens(tmp_path_factory, acts):
    path = tmp_path_factory.mktemp("growing") / "accounting"
    path.write_text(HEADER)
    append(path, "first")
    reader = GrowingFile(path, mark_end(path))
    written, read = [], []
    for number, act in enumerate([*acts, "read"]):
        if act == "write":
            written.append(f"line {number}")
            append(path, written[-1])
        elif act == "read":
            read += [line for line in reader.lines() if not line.startswith("#")]
        else:
            rotate(path, act)
    assert read == written
