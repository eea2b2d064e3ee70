"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from snfpipe.wholefile import aside, text_of, write_whole


def test_what_is_written_replaces_what_was_there(tmp_path):
    path = tmp_path / "a file"
    assert text_of(path) == ""
    write_whole(path, "old")
    write_whole(path, "Grüße\n".encode(), sync=True)
    assert text_of(path) == "Grüße\n"
    assert os.listdir(tmp_path) == ["a file"]


def test_a_writer_that_fails_leaves_what_was_there_and_nothing_else(tmp_path):
    path = tmp_path / "a file"
    write_whole(path, "old")
    with pytest.raises(ZeroDivisionError), aside(path) as new:
        new.write_text("half")
        raise ZeroDivisionError
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "\udc80")
    assert text_of(path) == "old"
    assert os.listdir(tmp_path) == ["a file"]


def test_a_writer_that_is_killed_before_the_renaming_leaves_what_was_there(tmp_path):
    path = tmp_path / "a file"
    write_whole(path, "old")
    code = (
        "import sys; from pathlib import Path; from snfpipe.wholefile import write_whole; "
        "write_whole(Path(sys.argv[1]), 'new', sync=True, point='here')"
    )
    words = [sys.executable, "-c", code, str(path)]
    killed = subprocess.run(words, env={**os.environ, "SNF_KILL_AT": "here"}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert text_of(path) == "old"
    subprocess.run(words, check=True)
    assert text_of(path) == "new"
