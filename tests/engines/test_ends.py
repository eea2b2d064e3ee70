"""A file of ends is read once, from where the arrays that are asked for were submitted."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from snfpipe.engines.arrays import TaskId
from snfpipe.engines.base import EngineOutcome
from snfpipe.engines.ends import EndsFile
from snfpipe.errors import ServiceUnavailable


class Lines:
    """A parser of lines ``ARRAY TASK`` that notes what it was given."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, line: str) -> tuple[TaskId, EngineOutcome]:
        self.read.append(line)
        array, task = line.split()
        return TaskId(1, int(task), array), EngineOutcome(exit_status=0)


class Farm:
    """An accounting file of arrays of ten tasks each."""

    def __init__(self, path: Path, **options: int) -> None:
        self.path, self.lines = path, Lines()
        self.ends = EndsFile(path, self.lines, **options)
        self.facts: dict[str, dict[str, object]] = {}

    def run(self, array: str) -> list[TaskId]:
        """Submit an array and let it end."""
        self.facts[array] = self.ends.facts()
        time.sleep(0.01)  # a tick of the clock that files get their times from
        with self.path.open("a") as file:
            file.writelines(f"{array} {task}\n" for task in range(1, 11))
        return [TaskId(1, task, array) for task in range(1, 11)]

    def ask(self, *arrays: list[TaskId], facts_of: str = "") -> int:
        """Return of how many tasks an end is known."""
        wanted = [task for array in arrays for task in array]
        names = {facts_of} if facts_of else {task.token for task in wanted}
        return len(self.ends.of(wanted, {name: self.facts[name] for name in names}))


def test_each_line_is_read_once_however_often_it_is_asked(tmp_path):
    farm = Farm(tmp_path / "accounting")
    one, two = farm.run("one"), farm.run("two")
    for _again in range(3):
        assert farm.ask(one, two) == 20
        assert farm.ask(two) == 10
    assert len(farm.lines.read) == 20


def test_what_came_before_the_arrays_that_are_asked_for_is_not_read(tmp_path):
    farm = Farm(tmp_path / "accounting")
    one, two = farm.run("one"), farm.run("two")
    assert farm.ask(two) == 10
    assert len(farm.lines.read) == 10
    assert farm.ask(one, two) == 20  # an earlier one after all


def test_of_many_ends_the_old_ones_are_dropped_and_found_again(tmp_path):
    farm = Farm(tmp_path / "accounting", most=25)
    arrays = [farm.run(f"array{number}") for number in range(10)]
    assert farm.ask(*arrays) == 100, "those that are asked for are kept, however many"
    assert farm.ask(arrays[8], arrays[9]) == 20
    assert farm.ask(arrays[0], facts_of="array8") == 0, "dropped"
    assert farm.ask(arrays[0]) == 10


def test_the_room_grows_with_what_is_asked_for_so_that_reading_again_stays_rare(tmp_path):
    farm = Farm(tmp_path / "accounting", most=5)
    arrays = [farm.run(f"array{number}") for number in range(40)]
    for number in range(30):  # a production at work: ten arrays are out at any time
        assert farm.ask(*arrays[number : number + 10]) == 100
    assert len(farm.lines.read) < 3 * 400


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    farm = Farm(tmp_path / "accounting")
    tasks = farm.run("one")
    (tmp_path / "accounting").unlink()
    (tmp_path / "accounting").mkdir()
    with pytest.raises(ServiceUnavailable, match="accounting cannot be read"):
        farm.ask(tasks)
