"""The catalogue of file classes."""

from __future__ import annotations

import pytest

from snfpipe import fclass
from snfpipe.declarations.registry import plan_spec
from snfpipe.errors import BadName


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ((17, 0), "object frame, raw"),
        ((24, 0), "bias frame, raw"),
        ((25, 0), "dark frame, raw"),
        ((22, 0), "Euro3D"),
        ((38, 100), "point-source spectrum"),
        ((630, 610), "non-photometric"),
        ((700, 800), "SALT2"),
        ((995, 42), "by hand"),
    ],
)
def test_a_class_has_a_meaning(pair: fclass.Pair, words: str) -> None:
    assert words in fclass.meaning(*pair)
    assert fclass.warning(*pair) is None


def test_an_unknown_class_is_kept_with_a_warning() -> None:
    assert fclass.meaning(998, 7) == "unknown class"
    assert fclass.warning(998, 7) == "class 998_007 is not in the catalogue; it is kept as it is"
    assert fclass.parents(998, 7) == fclass.children(998, 7) == ()


def test_a_spectrum_descends_from_a_raw_frame() -> None:
    assert (22, 0) in fclass.parents(38, 100)
    assert (18, 207) in fclass.parents(22, 0)
    assert fclass.parents(18, 207) == ((17, 0),)
    assert fclass.parents(17, 0) == ()


def test_parents_and_children_are_one_relation_without_circles() -> None:
    known = fclass.catalogue()
    seen: set[fclass.Pair] = set()

    def walk(pair: fclass.Pair, above: tuple[fclass.Pair, ...]) -> None:
        assert pair not in above, f"{pair} descends from itself"
        if pair in seen:
            return
        for parent in fclass.parents(*pair):
            assert parent in known
            assert pair in fclass.children(*parent)
            walk(parent, (*above, pair))
        seen.add(pair)

    for pair in known:
        walk(pair, ())
        for child in fclass.children(*pair):
            assert pair in fclass.parents(*child)


def test_raw_classes_have_no_parents_and_every_other_class_tells_what_makes_it() -> None:
    for known in fclass.catalogue().values():
        assert known.made_by and known.meaning
        assert not (known.made_by == "raw" and known.parents)


def test_what_the_plans_write_is_in_the_catalogue_as_theirs() -> None:
    written = {
        name: {pair for output in plan_spec(name).outputs for pair in output.classes}
        for name in ("cube_generation", "extract_star", "file_quality")
    }
    for plan, classes in written.items():
        assert {fclass.catalogue()[pair].made_by for pair in classes} == {plan}


def test_a_code_is_read_as_it_is_written() -> None:
    for pair in fclass.catalogue():
        assert fclass.parse(fclass.code(*pair)) == pair


@pytest.mark.parametrize(
    "text", ["", "38_100", "038100", "038_1000", "038_1 0", "038_\u0661\u0660\u0660"]
)
def test_a_malformed_code_is_refused(text: str) -> None:
    with pytest.raises(BadName, match="no file class"):
        fclass.parse(text)
