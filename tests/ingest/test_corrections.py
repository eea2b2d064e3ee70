"""Logs and lists that are wrong, then right: what is lost is told, and what is fixed re-runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from snfpipe.db.models import Exposure, Process, Run, Target
from snfpipe.ingest.standing import standing
from tests.e2e import project as e2e
from tests.ingest.conftest import Survey
from tests.ingest.faults import COLUMNS, TARGETS, RawNight

MANGLED, GOOD = "06_334", "06_336"


def mangle(night: RawNight) -> None:
    """Save a night's log as no log should be, in eleven ways."""
    rows = []
    for line in night.lines():
        key = line["run"], line["exposure"], line["channel"]
        line["channel"] = line["channel"].lower()  # 1: another case
        line["exptime_s"] = "300,0"  # 2: a decimal comma
        if line["run"] == "001":
            line["object"] = "GD7l"  # 3: a target misspelt in all lines
        else:
            line["object"] = "snf 20061129-003"  # 4: another spelling
            line["run_type"] = "SPECTRD"  # 5: a word that nobody knows
        if key == ("002", "003", "R"):
            continue  # 6: a missing line
        rows.append(line)
        if key == ("001", "001", "B"):
            rows.append(line)  # 7: a doubled line
        if key == ("001", "001", "R"):
            rows.append({**line, "qzelog": 2})  # 8: a doubled line that disagrees
        if key == ("002", "004", "R"):
            rows.append({**line, "run": "003"})  # 9: a line without a frame
            rows.append({**line, "exposure": "four"})  # 10: a key that is none
    names = [name.replace("_", " ").title() for name in COLUMNS]  # 11: other names of columns
    lines = [";".join(names), *(";".join(str(row[name]) for name in COLUMNS) for row in rows)]
    night.log.write_bytes("\r\n".join(lines).encode("utf-16"))


def attempts(driven: e2e.Project) -> dict[str, int]:
    """Return step and night -> number of attempts."""
    return {key.partition("/")[2]: count for key, count in driven.attempts_of().items()}


def cubes(driven: e2e.Project, night: str) -> int:
    return sum(f"/{night}_" in path and "_022_000_" in path for path in driven.products())


@pytest.mark.slow
def test_a_mangled_log_is_told_line_by_line_and_the_mended_one_reruns_what_it_reaches(
    tmp_path: Path,
) -> None:
    driven = e2e.Project.make(tmp_path / "project", [MANGLED, GOOD])
    raw = driven.root / "work/raw"
    nights = {name: RawNight(raw, name) for name in (MANGLED, GOOD)}
    for night in nights.values():
        night.make()
    (raw / "targets.csv").write_text(TARGETS)
    mangle(nights[MANGLED])
    driven.doit(exit_code=1)
    assert (cubes(driven, MANGLED), cubes(driven, GOOD)) == (0, 4)

    told = driven.run("snf", "ingest", exit_code=1).stdout
    for loss in (
        "all 6 frames of run 06_334_001: the log says 'GD7l', OBJECT 'GD71'",
        "run 06_334_001: nothing is expected of 06_334_001_003_17_B.fits, "
        "06_334_001_003_17_R.fits: "
        "the kind of target GD7l is unknown (is GD71 meant?)",
        "run_type 'SPECTRD' is none of",
        "run 06_334_002: nothing is expected of 06_334_002_003_17_B.fits, "
        "06_334_002_003_17_R.fits: "
        "the run's type is 'SPECTRD'",
        "06_334_002_003_17_R.fits: the log has no line of it",
        "obslog.csv:3: says again what line 2 says",
        "obslog.csv:5: says again what line 4 says, but not of qzelog: left out",
        "obslog.csv:15: there is no frame 06_334_003_004_R",
        "obslog.csv:16: exposure 'four' cannot be used, the line is left out",
    ):
        assert loss in told
    audited = driven.run("snf", "audit", exit_code=1).stdout
    # every science frame of the night is named as one of which nothing is expected
    for run in (1, 2):
        for channel in "BR":
            assert nights[MANGLED].name(run, 3, channel) in audited

    before = attempts(driven)
    nights[MANGLED].write_log(nights[MANGLED].lines())
    assert "0 problems" in driven.run("snf", "ingest").stdout
    driven.doit()
    now = attempts(driven)
    again = {key for key, count in now.items() if count != before.get(key, 0)}
    assert again == {f"cube_generation:{MANGLED}", f"extract_star:{MANGLED}"}
    assert (cubes(driven, MANGLED), cubes(driven, GOOD)) == (4, 4)
    driven.run("snf", "audit")
    total = driven.attempts()
    driven.doit()
    assert driven.attempts() == total


# --- rows follow a corrected table --------------------------------------------------------------


def log(survey: Survey, **values: Any) -> None:
    """Write the log of the one night, with other values in all lines."""
    line = {"object": "GD71", "run_kind": "StdStar", "run_type": "SPECTRED", "quality": 1,
            "guide": 1} | values  # fmt: skip
    survey.table(
        "06/334/obslog.csv",
        f"run,exposure,channel,{','.join(line)}",
        *(
            f"1,{exposure},{channel},{','.join(map(str, line.values()))}"
            for exposure in (1, 3, 4) for channel in "BR"
        ),
    )  # fmt: skip


@pytest.mark.services
def test_a_changed_log_changes_the_rows_made_of_it(survey: Survey) -> None:
    survey.frames()
    survey.ingest()
    log(survey, run_kind="FinalRef", quality=0, guide=3)
    report = survey.ingest_one()
    assert (report.taken, report.changed, report.problems) == ([], [], [])
    assert {row["kind"] for row in survey.rows("run")} == {"FinalRef"}
    assert {(row["quality"], row["guide"]) for row in survey.rows("exposure")} == {(0, 3)}
    assert {row["quality"] for row in survey.rows("pose")} == {0}
    assert survey.ingest() == []


@pytest.mark.services
def test_what_was_set_by_hand_survives_a_changed_log(survey: Survey) -> None:
    survey.frames()
    survey.ingest()
    with survey.database.write() as session:
        session.execute(sa.update(Run).values(kind="ScreenR"))
        session.execute(sa.update(Exposure).values(quality=7))
    log(survey, run_kind="FinalRef", quality=0)
    survey.ingest()
    assert {row["kind"] for row in survey.rows("run")} == {"ScreenR"}
    assert {row["quality"] for row in survey.rows("exposure")} == {7}
    assert {row["quality"] for row in survey.rows("pose")} == {0}


@pytest.mark.services
def test_a_log_that_was_removed_takes_nothing_back_and_is_missed(survey: Survey) -> None:
    survey.frames()
    survey.ingest()
    before = survey.rows("run"), survey.rows("exposure"), survey.rows("pose")
    (survey.night / "obslog.csv").unlink()
    (survey.night / "06_334_001_004_03_R.fits").touch()
    (problem,) = survey.ingest_one().problems
    assert (problem.kind, str(problem)) == ("missing", "06/334/obslog.csv: is missing")
    assert (survey.rows("run"), survey.rows("exposure"), survey.rows("pose")) == before


@pytest.mark.services
def test_a_misspelt_target_gets_its_name_once_the_log_is_corrected(survey: Survey) -> None:
    survey.frames()
    log(survey, object="GD7l")
    survey.ingest()
    (wrong,) = survey.rows("target")
    log(survey)
    assert survey.ingest_one().problems == []
    (target,) = survey.rows("target")
    assert (target["name"], target["kind"], target["id"]) == ("GD71", "StdStar", wrong["id"])
    assert {row["target_id"] for row in survey.rows("run")} == {target["id"]}


@pytest.mark.services
def test_a_run_that_was_given_to_another_target_gets_its_own(survey: Survey) -> None:
    """The other target keeps its other runs, and is called after the first of these."""
    survey.frames()
    (survey.raw / "06/336").mkdir()
    for path in survey.night.glob("*.fits"):
        copy = survey.raw / "06/336" / path.name.replace("334", "336")
        copy.write_bytes(path.read_bytes())
    survey.table("targets.csv", "name,kind", "GD71,StdStar", "GD153,StdStar")
    log(survey, object="GD153")
    text = (survey.night / "obslog.csv").read_text()
    (survey.raw / "06/336/obslog.csv").write_text(text)
    survey.ingest()
    assert [row["id_target"] for row in survey.rows("target")] == ["T06334001"]
    log(survey)
    survey.ingest()
    named = {row["name"]: row for row in survey.rows("target")}
    assert {name: row["id_target"] for name, row in named.items()} == {
        "GD71": "T06334001", "GD153": "T06336001",
    }  # fmt: skip
    of_run = {row["id_run"]: row["target_id"] for row in survey.rows("run")}
    assert of_run == {6334001: named["GD71"]["id"], 6336001: named["GD153"]["id"]}
    with survey.database.read() as session:
        query = sa.select(Process.night, Process.target_id).distinct()
        assert dict(session.execute(query).all()) == {
            "06_334": named["GD71"]["id"], "06_336": named["GD153"]["id"],
        }  # fmt: skip


@pytest.mark.services
def test_targets_follow_their_list_but_for_what_was_set_by_hand(survey: Survey) -> None:
    survey.frames()
    survey.table("targets.csv", "name,kind,type,mwebv", "GD71,,DA,0.1")
    (_, report) = survey.ingest(), survey
    with survey.database.read() as session:
        (idle,) = standing(session, survey.raw)
    assert "the kind of target GD71 is unknown" in idle.what
    with survey.database.write() as session:
        session.execute(sa.update(Target).values(type="WD"))
    survey.table("targets.csv", "name,kind,type,mwebv", "GD71,StdStar,DB,0.2")
    assert survey.ingest() == []
    (target,) = report.rows("target")
    assert (target["kind"], target["type"], target["mwebv"]) == ("StdStar", "WD", 0.2)
    with survey.database.read() as session:
        assert standing(session, survey.raw) == []


@pytest.mark.services
def test_a_target_gets_the_spelling_of_the_list_that_comes_after_it(survey: Survey) -> None:
    survey.frames()
    log(survey, object="gd 71")
    survey.table("targets.csv", "name,kind")
    survey.ingest()
    assert [row["name"] for row in survey.rows("target")] == ["gd71"]
    survey.table("targets.csv", "name,kind", "GD71,StdStar")
    survey.ingest()
    assert [(row["name"], row["kind"]) for row in survey.rows("target")] == [("GD71", "StdStar")]


@pytest.mark.services
def test_a_frame_that_was_packed_later_stays_the_same_frame(survey: Survey) -> None:
    import gzip

    survey.frames()
    survey.ingest()
    path = survey.night / "06_334_001_003_17_B.fits"
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    report = survey.ingest_one()
    assert (report.taken, report.changed) == ([], [path.name])
    files = {row["name"]: row["path"] for row in survey.rows("file")}
    assert files[packed.name] == f"06/334/{packed.name}"
    assert len(files) == 6 == len(survey.rows("process"))
    assert survey.ingest() == []
