"""What doit does after manage_jobs: real jobs, driven by commands as a user drives them."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import time

import pytest

from tests.e2e import survey
from tests.e2e.project import Project

A, B = "06_334", "06_336"
CUBE_A, STAR_A = "SNF-0203-SAMPLEc-06334", "SNF-0203-SAMPLEe-06334"


def tokens(project: Project) -> dict[str, str]:
    return dict(project.query("SELECT name, token FROM job"))


def manage(project: Project, *words: str, exit_code: int = 0) -> str:
    done = project.run("manage_jobs", *words, exit_code=exit_code)
    return done.stdout + done.stderr


def made_again(project: Project, before: dict[str, str]) -> set[str]:
    return {name for name, token in tokens(project).items() if before.get(name) != token}


def test_after_a_deletion_doit_makes_again_what_was_deleted_and_no_more(driven):
    before, products = tokens(driven), driven.products()
    manage(driven, "-d", "-j", CUBE_A, "--keep-descendants", "--yes")
    told = driven.run("snf", "audit", exit_code=1).stdout
    assert f"was deleted with job {CUBE_A}" in told
    driven.doit()
    # the cubes are as they were to the byte: whoever read them has nothing to do
    assert made_again(driven, before) == {CUBE_A}
    now = driven.products()
    assert sorted(now.values()) == sorted(products.values())
    moved = {path for path in products if path not in now}
    assert moved and all(path.replace("_000.", "_001.") in now for path in moved)
    driven.run("snf", "audit", "--verify")
    assert "extract_star:06_334" in driven.run("snf", "why", f"extract_star:{A}").stdout
    before = tokens(driven)
    driven.doit()
    assert tokens(driven) == before
    assert "a newer" in manage(driven, "--restore", "-j", CUBE_A, exit_code=3)
    driven.run("snf", "audit")


def test_after_a_deletion_with_descendants_doit_makes_both_and_nothing_else(driven):
    before = tokens(driven)
    manage(driven, "-d", "-j", CUBE_A, "--with-descendants", "--yes")
    driven.doit()
    assert made_again(driven, before) == {CUBE_A, STAR_A}
    driven.run("snf", "audit")


def test_what_reads_changed_bytes_is_made_again_after_a_deletion(driven):
    before = tokens(driven)
    manage(driven, "-d", "-j", CUBE_A, "--keep-descendants", "--yes")
    survey.write_frame(driven.root / "work/raw/06/334", A, 1, 3, 17, "B", "GD71", salt="again")
    driven.doit()
    assert made_again(driven, before) == {"SNF-0203-SAMPLEz-06334", CUBE_A, STAR_A}
    driven.run("snf", "audit")


def test_after_a_restore_doit_has_nothing_to_do(driven):
    before, products = tokens(driven), driven.products()
    manage(driven, "-d", "-j", "SNF-0203-SAMPLE*", "--yes")
    assert tokens(driven) == {}
    manage(driven, "--restore", "-j", "SNF-0203-SAMPLE*")
    driven.doit()
    assert (tokens(driven), driven.products()) == (before, products)
    driven.run("snf", "audit")


def set_validation(project: Project, step: str, word: str) -> None:
    path = project.root / "configs" / "productions" / "sample.toml"
    head, tail = path.read_text().split(f'key = "{step}"')
    path.write_text(f'{head}key = "{step}"' + tail.replace('"none"', f'"{word}"', 1))


def test_a_person_validates_and_doit_goes_on_and_never_redoes_it_silently(driven):
    manage(driven, "-d", "-j", "SAMPLEe-*", "--yes")
    set_validation(driven, "cube_generation", "person")
    driven.doit(exit_code=None)
    assert "waiting for validation" in driven.run("snf", "status", exit_code=None).stdout
    assert not any(name.startswith("SNF-0203-SAMPLEe") for name in tokens(driven))
    manage(driven, "-s", "2", "-j", CUBE_A)
    driven.doit(exit_code=None)
    assert STAR_A in tokens(driven)
    assert "SNF-0203-SAMPLEe-06336" not in tokens(driven)

    # an input of the validated job changes
    survey.write_frame(driven.root / "work/raw/06/334", A, 1, 3, 17, "B", "GD71", salt="again")
    before = tokens(driven)
    driven.doit(exit_code=None)
    assert CUBE_A not in made_again(driven, before)
    assert "validated but outdated" in driven.run("snf", "why", f"cube_generation:{A}").stdout
    assert "Status=ReadOnly" in manage(driven, "-j", CUBE_A)

    # until it is reopened
    manage(driven, "-s", "1", "-j", CUBE_A)
    driven.doit(exit_code=None)
    assert CUBE_A in made_again(driven, before)


def test_a_resubmitted_job_takes_the_failed_one_it_depends_on_along(driven, produced):
    manage(driven, "-d", "-j", "SAMPLEc-06334", "--with-descendants", "--yes")
    produced.write_behaviour(leave="nothing", only="cube_generation")
    driven.doit(exit_code=1)
    failed = driven.status()
    assert failed["attempts"]
    driven.query("UPDATE job SET state = 'killed' WHERE name = :name", name=STAR_A)
    produced.write_behaviour()
    told = manage(driven, "-r", "-j", STAR_A, "--dry-run")
    assert f"cube_generation:{A}" in told and f"extract_star:{A}" in told
    assert driven.status()["attempts"] == failed["attempts"]
    manage(driven, "-r", "-j", STAR_A)
    states = dict(driven.query("SELECT name, state FROM job"))
    assert set(states.values()) == {"done"}
    driven.run("snf", "audit")


def test_a_waived_night_holds_nothing_up_and_is_excused(driven, produced):
    manage(driven, "-d", "-j", "SAMPLEc-06334", "--with-descendants", "--yes")
    produced.write_behaviour(leave="nothing", only="cube_generation")
    driven.doit(exit_code=1)
    manage(driven, "--waive", "clouds", "-j", CUBE_A)
    driven.doit(exit_code=None)
    assert dict(driven.query("SELECT name, state FROM job"))[CUBE_A] == "waived"
    assert "clouds" in driven.run("snf", "why", f"cube_generation:{A}").stdout
    before = tokens(driven)
    driven.doit(exit_code=None)
    assert tokens(driven) == before


def test_a_running_job_is_cancelled_and_what_it_reads_is_not_deleted_before(driven, produced):
    manage(driven, "-d", "-j", STAR_A, "--yes")
    produced.write_behaviour(sleep_s=60, only="extract_star")
    driver = driven.start("doit")
    deadline = time.monotonic() + 60
    while not driven.query("SELECT 1 FROM job WHERE name = :n AND state = 'running'", n=STAR_A):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    told = manage(driven, "-d", "-j", CUBE_A, "--keep-descendants", "--yes", exit_code=3)
    assert f"read just now by {STAR_A}" in told
    assert "would be" in manage(driven, "-k", "-j", STAR_A, "--dry-run")
    assert "cancelled" in manage(driven, "-k", "-j", STAR_A)
    assert driver.wait(60) == 1
    manage(driven, "-d", "-j", CUBE_A, "--with-descendants", "--yes")
    manage(driven, "-k", "-j", "SNF-0202-SAMPLEe-06334", exit_code=2)


# --- at a terminal -------------------------------------------------------------------------


def at_a_terminal(project: Project, typed: str, *words: str) -> tuple[int, str]:
    """Run manage_jobs on a pseudo-terminal, type when it asks, return its exit code and output."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["manage_jobs", *words], cwd=project.root, env=project.environment | {"TERM": "dumb"},
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    told, asked = "", False
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not select.select([ours], [], [], 1)[0]:
            continue
        try:
            told += os.read(ours, 4096).decode()
        except OSError:
            break
        if not asked and re.search(r"Type the number .*: $", told):
            os.write(ours, f"{typed}\n".encode())
            asked = True
    os.close(ours)
    return process.wait(10), told


@pytest.mark.parametrize("typed", ["", "y"])
def test_a_wrong_count_typed_at_a_terminal_deletes_nothing(produced, typed):
    before = tokens(produced)
    code, told = at_a_terminal(produced, typed, "-d", "-j", "SAMPLEe-*")
    assert code == 3, told
    assert "nothing was done" in told
    assert tokens(produced) == before


def test_the_count_typed_at_a_terminal_deletes(driven):
    code, told = at_a_terminal(driven, "2", "-d", "-j", "SAMPLEe-*")
    assert code == 0, told
    assert "in all 2 jobs" in told and "deleted 2 jobs" in told
    assert len(tokens(driven)) == 4
    restored = driven.run("manage_jobs", "--restore", "-j", "SAMPLEe-*", "--json").stdout
    assert [it["refused"] for it in json.loads(restored)] == ["", ""]
