"""What is told once, and which names are one target."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snfpipe.ingest.cards import SECOND, UNREADABLE
from snfpipe.ingest.frames import frame_name, read_frame
from snfpipe.ingest.problems import grouped, said_once, told_once
from snfpipe.ingest.spelling import KnownTargets, spelling
from snfpipe.names import RawName
from tests.ingest.conftest import write_frame

NAME = "06_334_001_003_17_B.fits"
FRAMES = [f"frame{number}" for number in range(8)]
GROUPS = {"the night": FRAMES, "run 1": FRAMES[:4], "run 2": FRAMES[4:]}


def test_what_all_frames_of_a_night_or_a_run_share_is_told_once() -> None:
    found = {frame: ["of all"] for frame in FRAMES}
    found |= {frame: [*found[frame], "of a run"] for frame in FRAMES[:4]}
    found["frame5"] += ["of one"]
    assert list(told_once(found, GROUPS)) == [
        ("the night", "of all"), ("run 1", "of a run"), ("frame5", "of one"),
    ]  # fmt: skip


@given(st.dictionaries(st.sampled_from(FRAMES), st.sets(st.sampled_from("abc"))))
def test_nothing_that_was_found_is_left_untold(found: dict[str, set[str]]) -> None:
    told = {
        (frame, text) for who, text in told_once(found, GROUPS) for frame in GROUPS.get(who, [who])
    }
    assert told == {(frame, text) for frame, texts in found.items() for text in texts}


def test_what_many_lines_of_a_table_share_is_told_once() -> None:
    lines = [(f"log:{number}", "guide cannot be used") for number in range(2, 9)]
    assert list(said_once([*lines, ("log:9", "no channel")])) == [
        ("log:2", "guide cannot be used (and 6 more lines)"), ("log:9", "no channel"),
    ]  # fmt: skip


def test_notes_that_differ_by_values_and_cards_only_share_a_line() -> None:
    found = {frame: [f"DATE-OBS is -{60 + n} s off JD", "RAIN=9999999: no such sensor",
                     "TEMP=0: no such sensor"] for n, frame in enumerate(FRAMES)}  # fmt: skip
    names = "8 frames (frame0, frame1, frame2 ...)"
    assert grouped(found) == [
        f"{names}: DATE-OBS is -60 s off JD", f"{names}: RAIN, TEMP: no such sensor",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["gd71", "GD 71", "GD-71", "Gd_71", " GD71", "GD\xa071", "GD71"])
def test_a_target_is_known_by_any_spelling(text: str) -> None:
    assert KnownTargets(["GD71", "GD153"]).name_of(text) == "GD71"


def test_a_spelling_of_two_targets_means_neither() -> None:
    known = KnownTargets(["SN2006X", "SN-2006x"])
    assert known.name_of("SN2006X") == "SN2006X"
    assert known.name_of("sn 2006x") == "sn2006x"
    assert known.like("nothing of the kind") is None
    assert KnownTargets(["GD71", "Feige110"]).like("GD17") == "GD71"


@given(st.text("ABCabc019+.", min_size=1), st.lists(st.sampled_from(" -_"), max_size=4))
def test_case_blanks_and_dashes_never_tell_targets_apart(name: str, added: list[str]) -> None:
    other = "".join(added).join(name.swapcase())
    assert spelling(other) == spelling(name)
    assert KnownTargets([name]).name_of(other) == name


@pytest.mark.parametrize(
    "file_name", [NAME, f"{NAME}.gz", f"{NAME}.BZ2", f"{NAME}.fz", NAME.replace(".fits", ".FITS")]
)
def test_a_frame_is_named_whatever_its_ending(file_name: str) -> None:
    assert frame_name(file_name) == RawName.parse(NAME)


VALUES = {"EXPTIME": 300.0, "AIRMASS": 1.2, "PARANG": 30.0, "TEMP": 3.5, "PRESSURE": 617.0}


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from([*VALUES, "OBJECT", "RASTER", "CHANNEL", "RUNID"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=70),
)
def test_whatever_a_card_says_costs_no_other_card(tmp_path: Path, card: str, said: str) -> None:
    path = write_frame(tmp_path, NAME, RUNID="06_334_001")
    before = read_frame(path, RawName.parse(NAME))
    content = path.read_bytes()
    at = content.index(f"{card:8}=".encode()) + 10
    path.write_bytes(content[:at] + said.encode().ljust(70) + content[at + 70 :])
    after = read_frame(path, RawName.parse(NAME))
    mine = {card, card + UNREADABLE, card + SECOND}
    assert {k: v for k, v in after.cards.items() if k not in mine} == {
        k: v for k, v in before.cards.items() if k not in mine
    }
    for other in VALUES.keys() - {card}:
        assert after.number(other) == before.number(other) == VALUES[other]
    for text in (*after.problems, *after.warnings):
        assert text.isprintable()
