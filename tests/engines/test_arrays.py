"""Arrays: what goes into one, how tasks are named and written, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snfpipe.engines.arrays import (
    ArrayFolder,
    TaskId,
    check_folder,
    group,
    parse_ids,
    parse_ranges,
    ranges,
    token_of,
)
from snfpipe.engines.base import Submission
from snfpipe.errors import ConfigError

TASKS = st.sets(st.integers(1, 2000), min_size=1, max_size=200)


def make_submission(number: int, plan: str = "cube_generation", cpu_s: int = 60) -> Submission:
    folder = Path(f"/jobs/job{number}.attempts/001-{number:016x}")
    return Submission(
        f"{number:016x}", f"job{number}", "SNF-0203-TESTc", plan, folder / "job.sh",
        folder / "engine.out", folder / "engine.err", cpu_s, 2000, 60,
    )  # fmt: skip


def test_submissions_of_one_kind_are_one_array():
    batch = [make_submission(n) for n in range(1300)]
    [array] = group(batch, 75_000)
    assert array.submissions == tuple(batch)
    assert token_of(array.name) == array.token


def test_an_array_is_one_plan_and_one_class_of_resources():
    batch = [make_submission(1), make_submission(2, "extract_star"), make_submission(3, cpu_s=90)]
    arrays = group([*batch, make_submission(4)], 100)
    assert sorted(len(it.submissions) for it in arrays) == [1, 1, 2]


@given(st.integers(1, 60), st.integers(1, 25))
def test_arrays_are_cut_to_the_sites_limit_and_lose_nothing(count, largest):
    batch = [make_submission(n) for n in range(count)]
    arrays = group(batch, largest)
    assert [it for array in arrays for it in array.submissions] == batch
    assert max(len(array.submissions) for array in arrays) <= largest
    assert len({array.token for array in arrays}) == len(arrays) == -(-count // largest)


@given(TASKS)
def test_ranges_are_read_back(tasks):
    assert set(parse_ranges(",".join(ranges(tasks)))) == tasks


def test_ranges_of_schedulers_are_read():
    assert list(parse_ranges("1-7:2")) == [1, 3, 5, 7]
    assert list(parse_ranges("3, 5-6:1")) == [3, 5, 6]


@pytest.mark.parametrize("text", ["", "x", "1-", "1-5:0", "1;2", "1-99999999999", "-1", "\u0663"])
def test_what_is_no_list_of_tasks_is_refused(text):
    with pytest.raises(ValueError, match="no list of tasks"):
        list(parse_ranges(text))


@given(st.integers(1, 10**9), st.integers(1, 75_000))
def test_ids_are_read_back(job, task):
    it = TaskId(job, task, "0123456789abcd")
    assert parse_ids([str(it)]) == [it]


@given(st.text())
def test_foreign_ids_are_left_out(text):
    assert parse_ids([text]) == []


@pytest.mark.parametrize(
    "name",
    ["", "sleep", "SNF-0203-TESTc-06334", "../x.0123456789abcd", "a.0123456789ABCD",
     "a.0123456789abcd\n", "a b.0123456789abcd", ".0123456789abcd"],
)  # fmt: skip
def test_names_of_others_are_not_ours(name):
    assert token_of(name) is None


def test_the_folder_tells_tasks_and_leads_to_attempts(tmp_path):
    [array] = group([make_submission(n) for n in range(3)], 10)
    folder = ArrayFolder(tmp_path, array.token)
    folder.write(array, "SGE_TASK_ID", {"accounting": {"offset": 7}})
    again = ArrayFolder(tmp_path, array.token)
    assert again.tasks == {f"{n:016x}": n + 1 for n in range(3)}
    assert again.facts == {"accounting": {"offset": 7}}
    assert (again.path / "2").readlink() == array.submissions[1].script.parent
    again.waiting = {2, 3}
    assert folder.waiting == {2, 3}
    again.waiting = set()
    assert folder.waiting == set()
    folder.fail([1, 3], "no such queue")
    assert {task: it.failure for task, it in again.failures().items()} == {
        1: "no such queue", 3: "no such queue",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["a b", "a:b", "a$TASK_ID", "a,b", "a%b", "a\nb"])
def test_a_folder_that_schedulers_misread_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="misread"):
        check_folder(tmp_path / name)
