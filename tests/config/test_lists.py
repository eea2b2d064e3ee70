"""Lists of units."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snfpipe.config.lists import parse_list, read_list
from snfpipe.declarations.unit_kinds import NIGHT, TARGET
from snfpipe.errors import ConfigError, NotFound
from snfpipe.names import Night
from tests.vocabulary.test_names import nights

targets = st.from_regex(r"[A-Za-z][A-Za-z0-9+_-]{0,20}", fullmatch=True)
noise = st.sampled_from(["", "   ", "# a comment", "\t# 06_334"])


@given(st.lists(nights, unique=True), st.data())
def test_nights_are_kept_in_their_order_whatever_stands_around_them(
    some: list[Night], data: st.DataObject
) -> None:
    lines = []
    for night in some:
        lines += data.draw(st.lists(noise, max_size=2))
        written = data.draw(st.sampled_from([str(night), night.code]))
        lines.append(data.draw(st.sampled_from(["", " ", "\t"])) + written
                     + data.draw(st.sampled_from(["", " # good", "\r"])))  # fmt: skip
    assert parse_list("\n".join(lines), NIGHT, "x.list") == tuple(map(str, some))


@given(st.lists(targets, unique=True, max_size=8))
def test_targets_are_read_as_they_are_written_or_share_a_job_name(some: list[str]) -> None:
    try:
        assert parse_list("\n".join(some), TARGET, "x.list") == tuple(some)
    except ConfigError as error:
        assert "would both be called" in error.message


def test_two_targets_of_one_job_name_are_refused_with_both_lines() -> None:
    with pytest.raises(ConfigError) as refused:
        parse_list("PTF09dlc\nLSQ13vy\n# and\nSNF09dlc\n", TARGET, "x.list")
    assert str(refused.value).startswith(
        "x.list:4: SNF09dlc and PTF09dlc of line 1 would both be called 09dlc in job names"
    )


def test_a_night_twice_is_refused_with_both_lines_however_it_is_written() -> None:
    with pytest.raises(ConfigError, match=r"x\.list:3: '06_334' is listed twice, first in line 1"):
        parse_list("06_334\n06_336\n06334\n", NIGHT, "x.list")


@pytest.mark.parametrize(
    "line", ["../../x; rm -rf $HOME #", "it's", 'say "no"', "$(id)", "GD71 GD153", "-rf", "a\0b"]
)
def test_a_hostile_target_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(ConfigError, match=r"x\.list:2: .* is no target name"):
        parse_list(f"GD71\n{line}\n", TARGET, "x.list")


def test_an_empty_list_is_a_list(tmp_path: Path) -> None:
    path = tmp_path / "none.list"
    path.write_text("# nothing yet\n")
    assert read_list(path, NIGHT) == ()
    with pytest.raises(NotFound, match="there is no file"):
        read_list(tmp_path / "other.list", NIGHT)
