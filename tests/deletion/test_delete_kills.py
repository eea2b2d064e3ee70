"""Deleting, restoring, purging, killed at named points and at random: the same command finishes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deletion.conftest import EXPOSURES, NIGHTS
from tests.deletion.synthetic import Synthetic
from tests.deletion.test_delete import CUBES, STARS

SOAK = os.environ.get("SNF_SOAK") == "1"
PROGRAM = Path(sys.executable).with_name("manage_jobs")
DELETE = ("-d", "-j", "SAMPLE[ce]-*", "--yes")
RESTORE = ("--restore", "-j", "SAMPLE[ce]-*")
PURGE = ("--purge", "--older-than", "0", "--yes")
DELETE_POINTS = [
    "remove:half-deleted", "remove:after-commit", "archive:put-away@7", "trash:files-away",
    "trash:job-away@3",
]  # fmt: skip
RESTORE_POINTS = [
    "restore:begun", "archive:bring-back@7", "restore:files-back", "restore:rows-back",
    "manifest:before-rename", "restore:job-back@4",
]  # fmt: skip


def start(*words: str, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [PROGRAM, *words], env=os.environ | environment, process_group=0,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def kill_at(point: str, *words: str) -> None:
    assert start(*words, SNF_KILL_AT=point).wait(120) == -signal.SIGKILL


def seconds_of(*words: str) -> float:
    began = time.monotonic()
    assert start(*words).wait(300) == 0
    return time.monotonic() - began


def kill_after(seconds: float, *words: str) -> bool:
    """Kill a command some time after its start; return whether it still ran then."""
    process = start(*words)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def finishes(made: Synthetic, call: Callable[..., int], point: str) -> None:
    """Kill a deletion or a restore at a point; call it again; hold everything together."""
    before, files = made.everything(), made.files()
    if point.startswith(("remove", "trash", "archive:put")):
        kill_at(point, *DELETE)
        assert call(*DELETE) == 0
        assert made.jobs() == []
        made.hold_together()
        assert call(*RESTORE) == 0
    else:
        assert call(*DELETE) == 0
        kill_at(point, *RESTORE)
        assert call(*RESTORE) == 0
    made.hold_together()
    assert made.everything() == before
    assert made.files() == files
    assert made.rows("SELECT count(*) FROM deleted_job") == [(0,)]
    assert made.trash_files() == set()


@pytest.mark.parametrize("point", [*DELETE_POINTS, *RESTORE_POINTS])
def test_what_was_killed_at_a_point_is_finished_by_the_same_command(made_sqlite, call, point):
    finishes(made_sqlite, call, point)


@pytest.mark.parametrize("point", ["remove:before-commit", "restore:before-commit"])
def test_a_kill_just_before_a_commit_is_finished_on_either_database(made, call, point):
    finishes(made, call, point)


@pytest.mark.parametrize("point", ["purge:begun", "purge:file@3"])
def test_a_purge_that_was_killed_is_finished_and_restores_nothing(made_sqlite, call, point):
    assert call(*DELETE) == 0
    kill_at(point, *PURGE)
    call(*RESTORE)  # finishes the purge of the one, brings back the others
    made_sqlite.hold_together()
    assert len(made_sqlite.jobs()) == 5
    assert len(made_sqlite.trash_files()) == 0


def test_what_was_made_anew_after_a_kill_stays_when_the_deletion_is_finished(made_sqlite, call):
    made = made_sqlite
    kill_at("remove:after-commit", *DELETE)
    made.finish(NIGHTS, EXPOSURES, index=1)
    anew = made.everything()
    assert call("--finish") == 0
    assert made.everything() == anew
    made.hold_together()
    assert made.jobs() == sorted([*CUBES, *STARS])


def test_a_newer_generation_that_came_during_a_restore_sends_the_old_one_back(made_sqlite, call):
    made = made_sqlite
    assert call(*DELETE) == 0
    kill_at("restore:files-back", "--restore", "-j", STARS[0])
    made.finish(NIGHTS[:1], EXPOSURES, index=1)
    anew = made.everything()
    assert call("--restore", "-j", STARS[0]) == 3
    assert made.everything() == anew
    made.hold_together()
    assert made.rows("SELECT DISTINCT state FROM deleted_job") == [("deleted",)]


@pytest.mark.slow
def test_kills_at_random_moments_leave_nothing_that_the_same_command_does_not_finish(
    made_sqlite, call
):
    """200 files, or 2,000: deleted and restored again and again, killed in between."""
    made = made_sqlite
    nights = [f"12_{day:03}" for day in range(100, 120 if SOAK else 110)]
    exposures = 34 if SOAK else 7
    made.observe(nights, exposures)
    made.finish(nights, exposures)
    before, files = made.everything(), made.files()
    assert len(before["file"]) > (2_000 if SOAK else 200)
    chance = random.Random(11)
    took = {command: seconds_of(*command) for command in (DELETE, RESTORE)}
    killed, wanted = 0, 30 if SOAK else 4
    for turn in range(20 * wanted):
        command = RESTORE if turn % 2 else DELETE
        # the start of Python, half a second or so, changes nothing: aim behind it
        if kill_after(chance.uniform(0.4, 1.0) * took[command], *command):
            killed += 1
        else:
            took[command] *= 0.9  # the machine was slower when it was timed
        if turn % 3 == 0:
            assert call(*command) == 0
            made.hold_together()
            assert bool(made.jobs()) == (command is RESTORE)
        if killed == wanted:
            break
    assert killed == wanted
    assert call(*RESTORE) == 0
    made.hold_together()
    assert made.everything() == before
    assert made.files() == files


def test_two_that_delete_and_restore_at_once_do_no_harm(made_sqlite, call):
    made = made_sqlite
    before = made.everything()
    turns = [start(*words) for words in (DELETE, RESTORE, DELETE, RESTORE)]
    for process in turns:
        assert process.wait(120) in (0, 3)
    assert call(*RESTORE) == 0
    made.hold_together()
    assert made.everything() == before
