"""The arguments of plans: read for what they are, and never more than data."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snfpipe.config.plan_file import PlanFile
from snfpipe.declarations.registry import plan_spec
from snfpipe.errors import SnfError, UsageError
from snfpipe.launch.arguments import parse, split

OPTIONS = {
    "truncate_r": [5100, 9700], "psf": "gaussian-moffat", "sigma": 3.0, "degree": 3, "flat": True,
}  # fmt: skip
PLAN = PlanFile(plan_spec("extract_star"), OPTIONS, {"-R": "always so"}, {}, Path("e.toml"))


def test_an_old_command_line_is_understood():
    found = parse(PLAN, split("--truncateR 5100,9700 -R -j SNF-0013-CUBEFIT3e"))
    assert found.options == {"truncate_r": [5100, 9700]}
    assert found.inputs == {"cubes": ("SNF-0013-CUBEFIT3e",)}
    assert found.notes == ("-R has no effect: always so",)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("--truncate-r=1,2", {"truncate_r": [1, 2]}),
        ("--Truncate_R 1,2", {"truncate_r": [1, 2]}),
        ("--psf 'a b; c'", {"psf": "a b; c"}),
        ("--sigma 2", {"sigma": 2.0}),
        ("--degree -1", {"degree": -1}),
        ("--flat", {"flat": True}),
        ("--no-flat", {"flat": False}),
        ("--flat=false", {"flat": False}),
        ("", {}),
    ],
)
def test_options_take_values_of_the_kind_of_their_own(text, options):
    found = parse(PLAN, split(text)).options
    assert found == options
    assert [type(it) for it in found.values()] == [type(it) for it in options.values()]


def test_inputs_keep_the_order_of_preference_and_may_name_their_role():
    words = split("-j SNF-0203-Ac,cubes=SNF-0202-Ac --job SNF-0201-Ac -j SNF-0203-Ac")
    assert parse(PLAN, words).inputs["cubes"] == ("SNF-0203-Ac", "SNF-0202-Ac", "SNF-0201-Ac")


def test_words_that_are_no_options_are_left_over_in_their_order():
    found = parse(PLAN, ["06_334", "--sigma", "1", "06_336", "--", "--flat"])
    assert found.rest == ("06_334", "06_336", "--flat")


@pytest.mark.parametrize(
    "text",
    [
        "--sigm 1", "--sigma", "--sigma x", "--sigma nan", "--degree 1.5", "--truncateR 1",
        "--truncateR 1,2,3", "--flat=maybe", "--no-sigma", "-x", "-j", "-j $(id)", "-j ../x",
        "-j frames=SNF-0203-Ac", "--psf '\x1b[2J'", "'open",
    ],
)  # fmt: skip
def test_what_the_plan_does_not_have_is_refused_with_what_it_has(text):
    with pytest.raises(UsageError) as caught:
        parse(PLAN, split(text))
    assert caught.value.hint
    assert str(caught.value).isascii()
    assert "\x1b" not in str(caught.value)


@given(st.lists(st.text(max_size=12), max_size=6))
def test_any_words_are_read_or_refused(words):
    try:
        found = parse(PLAN, words)
    except SnfError as error:
        assert "\n" not in error.message
    else:
        assert set(found.options) <= set(OPTIONS)


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(10**9), 10**9),
    st.lists(st.integers(), min_size=2, max_size=2),
)
def test_values_come_back_as_they_were_written(sigma, degree, truncate):
    words = [
        "--sigma",
        repr(sigma),
        f"--degree={degree}",
        "--truncate-r",
        f"{truncate[0]},{truncate[1]}",
    ]
    found = parse(PLAN, words).options
    assert math.copysign(1, found["sigma"]) == math.copysign(1, sigma)
    assert found == {"sigma": sigma, "degree": degree, "truncate_r": truncate}
