"""The audits of jobs: scopes, counts, chains, patterns, environments, provenance, the page."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any, cast

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snfpipe.audit.attrition import job_attrition
from snfpipe.audit.environment import job_env_check
from snfpipe.audit.errors import job_errors
from snfpipe.audit.findings import Finding, Kind, Report
from snfpipe.audit.outputs import check_job_output
from snfpipe.audit.page import write_page
from snfpipe.audit.patterns import ERR, REASON, gist, load_patterns, match
from snfpipe.audit.provenance import provenance
from snfpipe.audit.scope import select_jobs, select_steps
from snfpipe.config.project import load_project
from snfpipe.errors import ConfigError, NotFound, UsageError
from snfpipe.plans.observed import SurveySoFar
from snfpipe.states import State
from snfpipe.units.decision import (
    NOT_CREATED,
    OUTDATED,
    VALIDATED_OUTDATED,
    WAITING,
    WAITS_FOR_VALIDATION,
)
from snfpipe.units.states import UnitState

DOCUMENT = Path(__file__).parents[2] / "docs" / "audit.md"
CUBE_JOB = "SNF-0203-SAMPLEc-06334"
SPECTRUM = "06_334_001_003_2_038_100_02-03_000.fits"
RAW_ARC = "06_334_001_004_03_R.fits"


def schemas() -> dict[str, dict[str, Any]]:
    """Return the schemas of the documentation, by title."""
    blocks = re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    return {schema["title"]: schema for schema in map(json.loads, blocks)}


# --- which jobs ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ((), 6),
        ((CUBE_JOB,), 1),
        (("cube_generation:06_334",), 1),
        (("*:06_336",), 3),
        (("cube_generation",), 2),
        (("SNF-0203-SAMPLEe",), 2),
        (("PES",), 2),
        (("SNF-0203-SAMPLE[ce]-06334",), 2),
        (("*",), 6),
        ((CUBE_JOB, "PCG"), 2),
    ],
)
def test_jobs_are_named_in_many_ways(case, words, count):
    with case.database.read() as session:
        assert len(select_jobs(session, case.project, words)) == count


def test_jobs_are_named_by_files(case, tmp_path):
    (spec,) = case.project.site.jobs.glob(f"PCG/06/334/{CUBE_JOB}.sh")
    listed = tmp_path / "some.list"
    listed.write_text(f"# the two of a night\n{CUBE_JOB}\n\nextract_star:06_334  # and this\n")
    with case.database.read() as session:
        assert [job.name for job in select_jobs(session, case.project, [str(spec)])] == [CUBE_JOB]
        assert len(select_jobs(session, case.project, [str(listed)])) == 2


@pytest.mark.parametrize(
    "word", ["%", "' OR 1=1 --", "../../etc", "SNF-0203-SAMPLEc", "x" * 5000, "[", "-d", "a\nb"]
)
def test_hostile_and_unknown_names_select_nothing_or_themselves(case, word):
    with case.database.read() as session:
        if word == "SNF-0203-SAMPLEc":
            assert len(select_jobs(session, case.project, [word])) == 2
        else:
            with pytest.raises(NotFound):
                select_jobs(session, case.project, [word])
        with pytest.raises(UsageError):
            select_jobs(session, case.project, [" "])


# --- check_job_output ----------------------------------------------------------------------


def test_outputs_are_counted_by_class_with_what_is_missing_by_name(case):
    name = "06_334_001_003_4_022_000_02-03_000.fits"
    case.driven.query("UPDATE process SET state = 'superseded' WHERE id_process = "
                      "'633400100340220000203000'")  # fmt: skip
    report = check_job_output(case.project, case.database, [CUBE_JOB])
    row = report.to_json()["table"][0]
    assert (row["class"], row["expected"], row["registered"], row["fraction"]) == (
        "022_000", 4, 3, 0.75,
    )  # fmt: skip
    assert [(it.kind, it.object, it.place) for it in report.findings] == [
        (Kind.MISSING, name, CUBE_JOB)
    ]
    assert check_job_output(case.project, case.database, ["extract_star"]).clean


def test_a_job_that_failed_before_it_promised_anything_is_a_finding(case):
    case.driven.query("UPDATE process SET state = 'superseded' WHERE fclass = 3 AND "
                      "night = '06_334'")  # fmt: skip
    case.driven.doit("cube_generation:06_334", exit_code=1)
    (finding,) = check_job_output(case.project, case.database, [CUBE_JOB]).findings
    assert (finding.kind, finding.object) == (Kind.FAILED, "cube_generation:06_334")
    assert "no arc in night 06_334" in finding.what


def test_a_product_that_no_job_declared_is_unexpected(case):
    case.driven.query("DELETE FROM expected WHERE id_process = '633400100340220000203000'")
    (finding,) = check_job_output(case.project, case.database).findings
    assert (finding.kind, finding.object) == (
        Kind.UNEXPECTED, "06_334_001_003_4_022_000_02-03_000.fits",
    )  # fmt: skip


# --- job_attrition -------------------------------------------------------------------------

WORDS = [*map(str, State), NOT_CREATED, WAITING, OUTDATED, VALIDATED_OUTDATED, WAITS_FOR_VALIDATION]


def test_the_documentation_explains_every_word():
    text = DOCUMENT.read_text()
    start = text.index("| word |")
    table = text[start : text.index("\n\n", start)].splitlines()[2:]
    told = {word for line in table for word in line.split("|")[1].strip().split(", ")}
    assert told == set(WORDS)


@given(st.data())
def test_units_add_up_for_a_step_and_along_the_chain(produced, data):
    """Whatever the states, each row is its list, and what comes in goes on or stops."""
    project = load_project(produced.root)
    units = [
        UnitState(step.key, unit, data.draw(st.sampled_from(WORDS)), "why", (), (unit,))
        for step in project.steps
        for unit in step.units
    ]
    from snfpipe.audit import attrition

    states = attrition._states(project.steps, units, "")
    for row in states.rows[:-1]:
        units_of, *by_state = cast(tuple[int, ...], row[1:])
        assert sum(by_state) == units_of == 2
    assert states.rows[-1][1] == 6
    nights_of = {"A": ["06_334"], "B": ["06_334", "06_336"], "C": ["06_336"]}
    runs = [(it, night, "T06334001") for it, nights in nights_of.items() for night in nights]
    observed = SurveySoFar(lambda query: runs if "target" in query else [], project.root)
    chain = attrition._Chain(project.steps, units, (), observed)
    for report, total in ((next(chain.units()), 2), (next(chain.targets()), 3)):
        came = total
        for _step, *counts, _why in report.rows:
            entered, through, stopped = cast(list[int], counts)
            assert entered == came == through + stopped
            came = through
    good = all(it.word in ("done", "nothing to do", "waived", "validated") for it in units)
    assert states.clean == good


def test_attrition_says_who_waits_for_whom_and_where_exposures_stop(case):
    case.behave(fail=["06_334_001_003_B"], only="extract_star")
    try:
        case.driven.change_option("extract_star", "truncate_r", [5200, 9700])
        case.driven.doit(exit_code=1)
    finally:
        case.behave()
    case.driven.set_nights(["06_334", "06_336", "06_337"])
    project = load_project(case.driven.root)
    states, nights, targets, exposures = job_attrition(project, case.database, case.units())
    waits = [it for it in states.findings if it.kind is Kind.WAITING]
    assert "cube_generation:06_337" in " ".join(it.what for it in waits)
    assert {it.object for it in states.findings if it.kind is Kind.FAILED} == {
        "extract_star:06_334"
    }
    assert nights.title == "3 nights, 2 get to the end, 1 stop on their way"
    assert targets.title == "2 targets, 2 get to the end, 0 stop on their way"
    last = exposures.to_json()["table"][-1]
    assert (last["declared"], last["made"], last["missing"]) == (8, 7, 1)
    assert "told to fail (1)" in last["why"]
    assert "8 raw science exposures" in exposures.title


def test_a_step_is_named_by_key_folder_or_production(case):
    for word in ("cube_generation", "PCG", "work/jobs/SNF-02-03/PCG", "SNF-0203-SAMPLEc"):
        assert [step.key for step in select_steps(case.project, word)] == ["cube_generation"]
    with pytest.raises(NotFound, match="PXX"):
        select_steps(case.project, "PXX")


# --- jobErrors -----------------------------------------------------------------------------


def test_a_good_job_has_the_line_of_old(case):
    report = job_errors(case.project, case.database, [CUBE_JOB])
    assert report.notes == (f"Job {CUBE_JOB}: 4 results, 0 with errors (incl. warnings)",)
    assert report.clean


def test_errors_in_a_jobs_output_are_counted_with_meaning_and_action(case):
    with (case.project.site.jobs / f"PCG/06/334/{CUBE_JOB}.err").open("a") as err:
        err.write("ERROR 06_334_001_003_B: the arc shows no lines\n")
        err.write("ERROR 06_334_002_003_B: the arc shows no lines\n")
        err.write("x.py:3: RuntimeWarning: divide by zero in 06_334_002_003_R\n")
    (path,) = (case.project.site.jobs / "PCG/06/334").glob(f"*/*/{CUBE_JOB}.ledger")
    with path.open("a") as ledger:
        ledger.write('{"kind": "starting", "time": 0}\n')
    report = job_errors(case.project, case.database, [CUBE_JOB])
    assert report.notes == (f"Job {CUBE_JOB}: 4 results, 3 with errors (incl. warnings)",)
    assert {row[2]: row[3] for row in report.rows} == {"arc lines not found": 2, "a warning": 1}
    told = [(it.kind, it.what.split(":")[0]) for it in report.findings]
    assert (Kind.WRONG, "2 start records in the ledger of one attempt") in told
    assert (Kind.FAILED, "arc lines not found") in told


@pytest.mark.parametrize(
    ("where", "tool", "text", "key"),
    [
        (REASON, "cube_generation", "no arc in night 06_336", "no-arc"),
        (REASON, "extract_star", "no arc in night 06_336", None),
        (REASON, "any", "over its limit of memory: 210 MB used, 200 MB allowed", "memory"),
        (REASON, "any", "it left no trace in queue, accounting or ledger", "lost"),
        (REASON, "any", "the engine could not run it: Eqw", "not-started"),
        (ERR, "any", "OSError: [Errno 28] No space left on device", "disk-full"),
        (ERR, "any", "astropy.io.fits.VerifyError: odd", "python"),
        (ERR, "any", "all is well", None),
        (ERR, "any", "ERROR " + "x" * 1_000_000, "error"),
    ],
)
def test_patterns_know_texts(case, where, tool, text, key):
    found = match(load_patterns(case.project), where, tool, text)
    assert (found.key if found else None) == key


def test_a_bad_pattern_is_refused_with_its_place(case):
    path = case.project.root / "configs" / "errors.toml"
    path.write_text(path.read_text().replace("'no arc in night'", "'no arc ('"))
    with pytest.raises(ConfigError, match=r"errors\.toml.*no-arc.*regex"):
        load_patterns(case.project)


def test_reasons_of_different_units_have_one_gist():
    reasons = ["06_334_001_003_B: 12 lines of 30 in /a/b", "07_001_012_001_R: 3 lines of 9 in /c"]
    assert {gist(reason) for reason in reasons} == {"* * lines of * in *"}


# --- job_env_check -------------------------------------------------------------------------


def test_two_jobs_and_a_job_and_its_version_are_compared(case):
    one, other = CUBE_JOB, "SNF-0203-SAMPLEc-06336"
    assert job_env_check(case.project, case.database, [one]).clean
    assert job_env_check(case.project, case.database, [one, other]).clean
    seen = case.driven.query(
        "SELECT environment FROM attempt WHERE token = (SELECT token FROM job WHERE name = :name)",
        name=other,
    )[0][0]
    changed = json.loads(seen)
    changed["variables"]["SNF_CALIBRATION"] = "SNF-02-01"
    case.driven.query("UPDATE attempt SET environment = :new WHERE token = (SELECT token FROM job "
                      "WHERE name = :name)", new=json.dumps(changed), name=other)  # fmt: skip
    for words in ([one, other], [other]):
        (finding,) = job_env_check(case.project, case.database, words).findings
        assert "SNF_CALIBRATION" in finding.what
        assert "SNF-02-01" in finding.what
    with pytest.raises(UsageError):
        job_env_check(case.project, case.database, ["cube_generation"])


# --- provenance ----------------------------------------------------------------------------


@pytest.mark.parametrize("word", [SPECTRUM, "633400100320381000203000",
                                  SPECTRUM.replace(".fits", ".log.txt"),
                                  f"/a/b/{SPECTRUM}"])  # fmt: skip
def test_a_chain_leads_from_a_spectrum_to_raw_frames(case, word):
    found = provenance(case.database, word)
    up = [(depth, node.name) for depth, node in found.walk(found.parents)]
    assert up[0] == (1, "06_334_001_003_2_022_000_02-03_000.fits")
    assert (3, RAW_ARC) in up
    assert len(up) == 14  # both channels of the exposure: they share the place of the source
    made = found.nodes[found.process].made_by
    assert made is not None
    assert (made.job, made.attempt, made.program) == (
        "SNF-0203-SAMPLEe-06334", 1, "extract_star 1.0.0",
    )  # fmt: skip
    assert "truncate_r" in made.options


def test_a_chain_leads_from_a_raw_frame_to_spectra(case):
    found = provenance(case.database, RAW_ARC)
    assert found.nodes[found.process].made_by is None
    down = {node.name for _depth, node in found.walk(found.children)}
    assert SPECTRUM in down
    with pytest.raises(NotFound):
        provenance(case.database, "nothing.fits")


# --- commands ------------------------------------------------------------------------------


def test_commands_print_what_their_schemas_say_and_end_with_one_on_findings(case):
    run = case.driven.run
    report, chain = (
        schemas()[title] for title in ("The report of an audit", "The chain of a file")
    )
    reports = json.loads(run("snf", "audit", "--json").stdout)
    assert {it["audit"] for it in reports} >= {"products", "check_job_output", "job_attrition",
                                               "jobErrors", "job_env_check"}  # fmt: skip
    for found in reports:
        jsonschema.validate(found, report)
        assert found["clean"]
    jsonschema.validate(json.loads(run("snf", "provenance", SPECTRUM, "--json").stdout), chain)

    case.file(SPECTRUM).unlink()
    done = run("check_job_output", "--verify", "--json", "extract_star", exit_code=1)
    jsonschema.validate(json.loads(done.stdout), report)
    rows = list(csv.DictReader(io.StringIO(
        run("snf", "audit", "--csv", "--findings", exit_code=1).stdout)))  # fmt: skip
    assert [(row["kind"], row["object"]) for row in rows] == [("missing", SPECTRUM)]
    assert run("job_env_check", "nobody", exit_code=2).stderr.startswith("job_env_check: no job")
    assert "audit:products" in run("doit", "list", "--all", "audit").stdout
    run("doit", "audit:products", exit_code=1)
    run("doit", "audit:job_env_check")


def test_the_page_holds_all_audits_and_escapes_what_comes_from_outside(tmp_path):
    evil = "<script>alert('x')</script>"
    reports = [
        Report("products", evil,
               ("step", "class", "expected", "excused", "declared", "registered", "archived"),
               ((f"${evil}$", "022_000", 4, 1, 4, 3, 2),),
               (Finding("products", Kind.WRONG, evil, evil, evil, evil),)),
        Report("job_attrition", evil, ("step", "units", "done", "failed"), (("a$b", 9, 4, 5),)),
        Report("job_attrition: nights", evil, ("step", "in", "go on", "stop", "why"),
               (("a", 9, 4, 5, evil),)),
    ]  # fmt: skip
    page = write_page(tmp_path / "audit", evil, reports)
    text = page.read_text()
    assert evil not in text
    assert "&lt;script&gt;" in text
    assert "1 finding (1 wrong)" in text
    for name in ("attrition.png", "products.png"):
        assert (page.parent / name).read_bytes().startswith(b"\x89PNG")
    assert evil in (page.parent / "findings.csv").read_text()
