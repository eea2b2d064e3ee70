"""Which jobs a pattern means, and what hostile ones do: nothing."""

from __future__ import annotations

import fnmatch
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snfpipe.errors import NotFound, Refused, UsageError
from snfpipe.jobs.select import Wanted
from tests.deletion.test_delete import CUBES, STARS

NAMES = [
    "SNF-0202-INCMFRh-11281", "SNF-0203-INCMFRh-1128", "SNF-0203-INCMFRh-1129",
    "SNF-0203-INCMFRh-11290", "SNF-0203-INCMFR2h-1129", "SNF-0203-SAMPLEe-09dlc",
    "NICO-0013-PATTESTa-LSQ13vy", "SNF-0203-SAMPLEe-CSS120517_01", "SNF-0203-SAMPLEe-BD+17d4708",
]  # fmt: skip


def pick(pattern: str, **options: Any) -> list[str]:
    return Wanted((pattern,), start="SNF-0203-", **options).pick(NAMES)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("SNF-0203-INCMFRh-112[89]", ["SNF-0203-INCMFRh-1128", "SNF-0203-INCMFRh-1129"]),
        ("INCMFRh-112[89]", ["SNF-0203-INCMFRh-1128", "SNF-0203-INCMFRh-1129"]),
        ("INCMFRh-112[!9]", ["SNF-0203-INCMFRh-1128"]),
        ("SNF-0203-INCMFRh-1129", ["SNF-0203-INCMFRh-1129"]),
        ("INCMFRh-1129?", ["SNF-0203-INCMFRh-11290"]),
        ("SNF-020?-INCMFRh-1128*", ["SNF-0202-INCMFRh-11281", "SNF-0203-INCMFRh-1128"]),
        ("NICO-0013-PATTESTa-LSQ13vy", ["NICO-0013-PATTESTa-LSQ13vy"]),
        ("SAMPLEe-BD+17d4708", ["SNF-0203-SAMPLEe-BD+17d4708"]),
        ("*", NAMES),
    ],
)
def test_whole_names_are_meant_with_shell_patterns(pattern, found):
    assert pick(pattern) == found


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        (r"SNF-0203-INCMFR2?h-11(28|29)", NAMES[1:3] + NAMES[4:5]),
        (r"INCMFRh-\d{5}", ["SNF-0203-INCMFRh-11290"]),
        (r"NICO-.*", ["NICO-0013-PATTESTa-LSQ13vy"]),
    ],
)
def test_a_regular_expression_means_whole_names_too(pattern, found):
    assert pick(pattern, regex=True) == found


def test_a_pattern_that_only_begins_names_says_how_many_it_would_match():
    with pytest.raises(NotFound, match=r"3 jobs begin like that: add \*"):
        pick("INCMFRh-11")
    with pytest.raises(NotFound, match=r"1 job begins like that: add \*"):
        pick("NICO-0013-PATTESTa")
    with pytest.raises(NotFound, match=r"1 job begins like that: add \.\*"):
        pick("NICO-00[0-9]+", regex=True)
    with pytest.raises(NotFound, match="did you mean SNF-0203-SAMPLEe-09dlc"):
        pick("SNF-0203-SAMPLEe-O9dlc")


@pytest.mark.parametrize(
    "pattern", ["", " ", "a/b", "../x", "/etc", "a\nb", "\x1b[31m", "x" * 5000]
)
def test_a_pattern_that_no_name_can_match_is_refused(pattern):
    with pytest.raises(UsageError):
        Wanted((pattern,))


def test_a_wrong_regular_expression_is_told():
    with pytest.raises(UsageError, match="no regular expression"):
        Wanted(("(",), regex=True)
    assert pick("SNF-0203-SAMPLEe-BD+17*") == ["SNF-0203-SAMPLEe-BD+17d4708"]


@pytest.mark.parametrize("pattern", ["%", "_", "SNF-0203-%", "SNF_0203_INCMFRh_1128", "[", "'; --"])
def test_what_is_special_elsewhere_is_a_letter_here(pattern):
    with pytest.raises(NotFound):
        pick(pattern)


@pytest.mark.parametrize(
    ("pattern", "regex"), [("*", False), ("**", False), ("?*", False), (".*", True), (".+", True)]
)
def test_what_means_everything_is_too_wide_for_a_change(pattern, regex):
    with pytest.raises(Refused, match="every job there is"):
        Wanted((pattern,), regex).refuse_everything()
    Wanted(("SNF-0203-*",)).refuse_everything()


@given(st.text(alphabet="SNFabe019-*?[]!", min_size=1, max_size=12))
def test_a_shell_pattern_means_what_the_shell_would_say(pattern):
    if not pattern.strip():
        return
    expected = [name for name in NAMES if fnmatch.fnmatchcase(name, pattern)]
    short = [name for name in NAMES if name.startswith("SNF-0203-")
             and fnmatch.fnmatchcase(name[9:], pattern)]  # fmt: skip
    wanted = [name for name in NAMES if name in {*expected, *short}]
    try:
        assert pick(pattern) == wanted
    except NotFound:
        assert wanted == []


def test_hostile_patterns_delete_nothing(made_sqlite, call, capsys):
    before = made_sqlite.everything()
    hostile = ("%", "*", "", "?*", "../../etc", "SNF-0203-SAMPLEe-", "' OR 1=1 --")
    codes = {it: call("-d", "-j", it, "--yes", "--with-descendants") for it in hostile}
    assert set(codes.values()) == {2, 3}, codes
    assert call("-d", "--yes") == 2
    assert call("-d", "-E", "-j", ".*", "--yes") == 3
    assert made_sqlite.everything() == before


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE file SET path = '../../precious.txt' WHERE id_process LIKE '11281001%038%'",
        "UPDATE file SET path = '/etc/passwd' WHERE id_process LIKE '11281001%038%'",
        "UPDATE file SET area = 'raw' WHERE id_process LIKE '11281001%038%'",
        "UPDATE job SET folder = '../..' WHERE name LIKE '%e-11281'",
        "UPDATE job SET name = 'x/../../y' WHERE name LIKE '%e-11281'",
        "UPDATE attempt SET token = '../../..' WHERE job_id = (SELECT id FROM job WHERE "
        "name LIKE '%e-11281')",
    ],
)
def test_rows_that_lead_elsewhere_are_not_followed(made_sqlite, call, change):
    made = made_sqlite
    precious = made.project.root / "work" / "precious.txt"
    precious.write_text("mine")
    made.run(change)
    before, files = made.everything(), made.files()
    [name] = [name for name in made.jobs() if name.endswith("e-11281") or "/" in name]
    assert call("-d", "-j", name.replace("/", "?"), "--yes") == 3
    assert made.everything() == before
    assert made.files() == files
    assert precious.read_text() == "mine"


def schema(title: str) -> dict[str, Any]:
    """Return a schema of docs/manage_jobs.md."""
    text = (Path(__file__).parents[2] / "docs" / "manage_jobs.md").read_text()
    found = [json.loads(it) for it in re.findall(r"```json\n(.*?)```", text, flags=re.DOTALL)]
    return next(it for it in found if it["title"] == title)


def test_a_plan_is_printed_as_the_documentation_says(made_sqlite, call, capsys):
    assert call("-d", "-j", CUBES[0], "--json", "--yes") == 3
    plan = json.loads(capsys.readouterr().out)
    jsonschema.validate(plan, schema("A deletion"))
    assert [it["job"] for it in plan["descends"]] == [STARS[0]]
    assert len(plan["refusals"]) == 1 and not plan["deleted"]
    assert call("-d", "-j", STARS[0], "--json", "--yes") == 0
    done = json.loads(capsys.readouterr().out)
    jsonschema.validate(done, schema("A deletion"))
    assert done["deleted"] and done["totals"]["jobs"] == 1


def test_the_list_reads_as_the_original_and_as_json(made_sqlite, call, capsys):
    made_sqlite.run("UPDATE job SET created = '2015-12-03 16:41:13.000000'")
    assert call("-s", "2", "-j", STARS[0]) == 0
    made_sqlite.run("UPDATE job SET state = 'nothing to do' WHERE name = :name", name=STARS[2])
    made_sqlite.run("DELETE FROM process_parent WHERE child LIKE '11290%'")
    made_sqlite.run("DELETE FROM file WHERE id_process LIKE '11290%038%'")
    made_sqlite.run("DELETE FROM process WHERE id_process LIKE '11290%038%'")
    capsys.readouterr()
    assert call("-j", "SAMPLEe-*") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{STARS[0]}: Status=ReadOnly Created=2015-12-03T16:41:13 Version=203 nprocs=2",
        f"{STARS[1]}: Status=done Created=2015-12-03T16:41:13 Version=203 nprocs=2",
        f"{STARS[2]}: Status=nothing_to_do Created=2015-12-03T16:41:13 Version=203 nprocs=0",
    ]
    assert call("-n", "-j", "SNF-0203-*") == 0
    assert capsys.readouterr().out.startswith(f"{STARS[2]}: ")
    assert call("--json", "-j", CUBES[0]) == 0
    told = capsys.readouterr().out
    jsonschema.validate(json.loads(told), schema("Jobs"))
    [job] = json.loads(told)
    assert (job["name"], job["unit"], job["processes"]) == (CUBES[0], "11_281", 2)


@pytest.mark.parametrize(
    "words",
    [
        ("-d", "-k"), ("-d", "-n"), ("-s", "2", "-n"), ("-s", "3"), ("--force",), ("--later",),
        ("-d", "--with-descendants", "--keep-descendants"), ("--waive", " "), ("--yes",),
        ("--older-than", "3"), ("-s", "x"),
    ],
)  # fmt: skip
def test_words_that_do_not_go_together_are_refused(made_sqlite, call, words):
    before = made_sqlite.everything()
    assert call("-j", STARS[0], *words) == 2
    assert made_sqlite.everything() == before
