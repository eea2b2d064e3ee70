"""What Slurm's programs print, and what they are called with."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from snfpipe.engines.arrays import TaskId, group
from snfpipe.engines.base import EngineOutcome, EngineState
from snfpipe.engines.commands import Answer
from snfpipe.engines.scheduler import Rejection
from snfpipe.engines.settings import Settings
from snfpipe.engines.slurm import (
    parse_configuration,
    parse_record,
    parse_sacct,
    parse_squeue,
    sbatch,
    submitted,
)
from snfpipe.errors import ServiceUnavailable
from tests.engines.test_arrays import make_submission

TOKEN = "69251c6b0123ab"  # noqa: S105 - names an array
NAME = f"SNF-0203-SAMPLEe.{TOKEN}"


def row(
    task: str = "3", state: str = "COMPLETED", code: str = "0:0", start: str = "1795624052",
    end: str = "1795624055", name: str = NAME,
) -> str:  # fmt: skip
    return f"4711_{task}|{state}|{code}|{start}|{end}|3|node7|{name}"


# --- ends ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "code", "expected"),
    [
        ("COMPLETED", "0:0", (0, None, "")),
        ("FAILED", "3:0", (3, None, "")),
        ("FAILED", "0:9", (None, 9, "")),
        ("FAILED", "0:53", (None, None, "it could not be started (exit code 0:53)")),
        ("TIMEOUT", "0:0", (None, 15, "it was over the scheduler's limit of time")),
        ("OUT_OF_MEMORY", "0:125", (None, 9, "it was over the scheduler's limit of memory")),
        ("NODE_FAIL", "0:0", (None, None, "its node failed")),
        ("CANCELLED by 1000", "0:15", (None, 15, "it was cancelled by user '1000'")),
        ("SOMETHING_NEW", "0:0", (None, None, "Slurm calls it 'SOMETHING_NEW'")),
    ],
)
def test_states_and_exit_codes_are_told_apart(state, code, expected):
    [(task, outcome)] = parse_sacct(row(state=state, code=code))
    assert task == TaskId(4711, 3, TOKEN)
    assert (outcome.exit_status, outcome.signal, outcome.failure) == expected
    assert (outcome.started, outcome.ended, outcome.cpu_s) == (1795624052, 1795624055, 3)
    assert outcome.final


@pytest.mark.parametrize(
    "state", ["PENDING", "RUNNING", "COMPLETING", "SUSPENDED", "REQUEUED", "RESIZING", ""]
)
def test_what_has_not_ended_has_no_end(state):
    assert list(parse_sacct(row(state=state, end="Unknown"))) == []


def test_tasks_cancelled_together_before_they_ran_are_told_one_by_one():
    text = row("[3,7-9%4]", "CANCELLED by 0", start="None")
    ends = dict(parse_sacct(text))
    assert sorted(task.task for task in ends) == [3, 7, 8, 9]
    assert {it.failure for it in ends.values()} == {"it was cancelled by user '0'"}
    assert {it.started for it in ends.values()} == {None}


def test_records_that_are_not_complete_yet_or_of_others_are_left_out():
    others = [row(name="allocation"), row(name="sleep"), "4711|COMPLETED|0:0|1|2|3|n|" + NAME,
              "4711_3.batch|COMPLETED|0:0|1|2|3|n|" + NAME, "", "|||", "sacct: error"]  # fmt: skip
    assert list(parse_sacct("\n".join(others))) == []


@given(st.text())
def test_any_output_is_read_or_left_out(text):
    list(parse_sacct(text))
    parse_squeue(text)
    parse_record(text)
    parse_configuration(text)


@example(1, " ")  # a state of blanks
@given(st.integers(0, 7), st.text(alphabet="0123456789_[]-%,:.aé ", max_size=12))
def test_a_row_with_one_odd_field_is_read_or_left_out(place, text):
    fields = row().split("|")
    fields[place] = text
    list(parse_sacct("|".join(fields)))


RECORD = (
    "JobId=4712 UserId=snf(1000) GroupId=snf(1000) Name={name} JobState={state} Partition=main "
    "TimeLimit=3 StartTime={start} EndTime=2026-11-25T16:27:34 NodeList={node} NodeCnt=1 "
    "ProcCnt=1 WorkDir=/a folder/with=signs ReservationName= Tres=cpu=1,mem=100M Account=snf "
    "QOS=normal WcKey= Cluster=x SubmitTime=2026-11-25T16:27:31 "
    "EligibleTime=2026-11-25T16:27:32 ArrayJobId=4711 ArrayTaskId=3 DerivedExitCode=0:0 "
    "ExitCode={code} "
)


def record(
    state: str = "COMPLETED", code: str = "0:0", name: str = NAME,
    start: str = "2026-11-25T16:27:32", node: str = "node7",
) -> tuple[TaskId, EngineOutcome] | None:  # fmt: skip
    return parse_record(RECORD.format(state=state, code=code, name=name, start=start, node=node))


def told(end: tuple[TaskId, EngineOutcome] | None) -> tuple[TaskId, EngineOutcome]:
    """Hold that a record tells an end of ours."""
    assert end is not None
    return end


def test_completion_records_say_what_sacct_does(monkeypatch):
    task, outcome = told(record())
    assert (task, outcome.exit_status, outcome.host) == (TaskId(4711, 3, TOKEN), 0, "node7")
    assert outcome.started is not None and outcome.ended == outcome.started + 2
    assert told(record("FAILED", "0:9"))[1].signal == 9
    assert told(record("TIMEOUT"))[1].failure == "it was over the scheduler's limit of time"
    assert told(record("CANCELLED", start="Unknown", node="(null)"))[1].started is None
    assert record(name="sleep") is None
    assert parse_record("JobId=4711 Name=" + NAME) is None


# --- queue ---------------------------------------------------------------------------------


def test_no_task_one_and_many_are_listed_with_their_states():
    assert parse_squeue("").entries == []
    lines = [
        f"4711|1|RUNNING|None|{NAME}", f"4711|2|PENDING|Priority|{NAME}",
        f"4711|3|PENDING|JobHeldUser|{NAME}", f"4711|4|COMPLETING|None|{NAME}",
        f"4711|5|PENDING|launch failed requeued held|{NAME}", f"4711|6|PENDING|InvalidQOS|{NAME}",
        "99|N/A|RUNNING|None|osiris", "4711|7|SUSPENDED|None|a|b",
    ]  # fmt: skip
    entries = parse_squeue("\n".join(lines)).entries
    assert [it.task for it in entries] == [1, 2, 3, 4, 5, 6, 7]
    assert [it.state for it in entries] == [
        EngineState.RUNNING, EngineState.QUEUED, EngineState.HELD, EngineState.RUNNING,
        EngineState.ERROR, EngineState.ERROR, EngineState.RUNNING,
    ]  # fmt: skip
    assert entries[-1].name == "a|b"


def test_reasons_to_wait_that_are_more_than_others_coming_first_are_told():
    usual = ["None", "Priority", "Resources", "JobHeldUser", "QOSMaxJobsPerUserLimit"]
    lines = [f"1|{n}|PENDING|{reason}|{NAME}" for n, reason in enumerate(usual)]
    assert parse_squeue("\n".join(lines)).notices == ()
    lines += [f"2|{n}|PENDING|PartitionDown|{NAME}" for n in range(7)]
    lines += [f"3|1|PENDING|ReqNodeNotAvail, UnavailableNodes:vm|{NAME}", f"3|2|RUNNING|odd|{NAME}"]
    lines += ["4|1|PENDING|PartitionDown|of somebody else"]
    told = parse_squeue("\n".join(lines)).notices
    assert told[0] == "7 waiting: Slurm says 'PartitionDown'"
    assert told[1] == "1 waiting: Slurm says 'ReqNodeNotAvail, UnavailableNodes:vm'"


# --- configuration and sbatch --------------------------------------------------------------


def test_limits_and_the_place_of_ends_are_read_from_the_configuration():
    text = "AccountingStorageType   = accounting_storage/slurmdbd\nMaxArraySize  = 10001\n"
    found = parse_configuration(text + "JobCompType = jobcomp/filetxt\nJobCompLoc = /a/b c\n")
    assert (found.largest_array, found.slurmdbd, found.records) == (10_000, True, "/a/b c")
    found = parse_configuration("AccountingStorageType = (null)\nJobCompType = jobcomp/none\n")
    assert (found.largest_array, found.slurmdbd, found.records) == (1000, False, "")


def test_sbatch_is_called_once_for_an_array_with_all_that_the_site_says():
    [array] = group([make_submission(n) for n in range(900)], 1000)
    settings = Settings(queue="long", queues={"cube_generation": "short"}, options=("-A", "snf"))
    words = sbatch(array, Path("/jobs/x"), settings, held=True)
    for word in ("--array=1-900", "--no-requeue", "--hold", "--partition=short", "-A", "snf",
                 "--mem=2656", "--time=3", f"--job-name={array.name}"):  # fmt: skip
        assert word in words
    assert words[-1] == "/jobs/x/script"
    assert "--hold" not in sbatch(array, Path("/jobs/x"), settings, held=False)


@pytest.mark.parametrize(("out", "job"), [("4711", 4711), ("4711;private", 4711)])
def test_the_job_number_is_read(out, job):
    assert submitted(Answer(0, out, "")) == job


@pytest.mark.parametrize(
    ("status", "err"),
    [(1, "sbatch: error: Batch job submission failed: Invalid partition name specified"),
     (1, "sbatch: error: Invalid generic resource (gres) specification"),
     (255, "sbatch: error: Invalid --time specification"),
     (255, "sbatch: unrecognized option '--nosuch'")],
)  # fmt: skip
def test_a_rejection_is_told_with_its_words(status, err):
    with pytest.raises(Rejection, match="sbatch"):
        submitted(Answer(status, "", err))


@pytest.mark.parametrize(
    "err",
    ["sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect "
     "failure)", "sbatch: error: Batch job submission failed: Socket timed out on send/recv",
     "sbatch: error: Munge encode failed", "", "sbatch: Slurm temporarily unable to accept job",
     "sbatch: fatal: Unable to process configuration file"],
)  # fmt: skip
def test_no_answer_is_no_rejection(err):
    with pytest.raises(ServiceUnavailable):
        submitted(Answer(1, "", err))
