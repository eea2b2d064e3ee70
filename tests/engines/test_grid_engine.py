"""What Grid Engine's programs print, at many sites, and what they are called with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snfpipe.engines.arrays import TaskId, group
from snfpipe.engines.base import EngineOutcome, EngineState
from snfpipe.engines.commands import Answer
from snfpipe.engines.ends import EndsFile
from snfpipe.engines.grid_engine import (
    parse_accounting,
    parse_qstat,
    qsub,
    submitted,
)
from snfpipe.engines.growing import Mark
from snfpipe.engines.scheduler import Rejection
from snfpipe.engines.settings import Settings
from snfpipe.errors import ServiceUnavailable
from tests.engines.test_arrays import make_submission

TOKEN = "69251c6b0123ab"  # noqa: S105 - names an array
NAME = f"SNF-0203-SAMPLEe.{TOKEN}"


def line(
    job: int = 4711, task: int = 3, failed: int = 0, status: int = 0, name: str = NAME,
    submitted: int = 1795621479, scale: int = 1, extra: int = 0,
    started: int = 1795621481, ended: int = 1795621491,
) -> str:  # fmt: skip
    """A line as Son of Grid Engine 8.1.9 writes it; others have more fields behind."""
    usage = "1:0.003335:0.007746:4712.0:0:0:0:0:875:0:0:40.0:16:0:0:0:11:4"
    return (
        f"all.q:node7:snf:snf:{name}:{job}:sge:0:{submitted * scale}:{started * scale}:"
        f"{ended * scale}:{failed}:{status}:{usage}:NONE:defaultdepartment:NONE:1:{task}:12.5:0.0:"
        f"0.000036:-l h_cpu=100:0.0:NONE:5115904.0" + ":0" * extra
    )


def parsed(text: str) -> tuple[TaskId, EngineOutcome]:
    """Return what a line of one of our tasks says."""
    found = parse_accounting(text)
    assert found is not None, text
    return found


# --- accounting ----------------------------------------------------------------------------


@given(st.integers(0, 31), st.sampled_from([1, 1000]), st.integers(1, 10**7), st.integers(1, 75000))
def test_records_of_43_to_74_fields_in_seconds_or_milliseconds_say_the_same(
    extra, scale, job, task
):
    text = line(job=job, task=task, extra=extra, scale=scale)
    assert len(text.split(":")) == 43 + extra
    where, outcome = parsed(text)
    assert where == TaskId(job, task, TOKEN)
    assert (outcome.started, outcome.ended) == (1795621481, 1795621491)
    assert (outcome.exit_status, outcome.signal, outcome.failure) == (0, None, "")
    assert (outcome.host, outcome.cpu_s, outcome.memory_mb) == ("node7", 12.5, 4.8)


@given(st.text(alphabet=st.characters(exclude_characters="\n")))
def test_any_line_is_read_or_left_out(text):
    parse_accounting(text)
    parse_accounting(text + ":" * 45)


@given(st.integers(0, 44), st.text(alphabet="0123456789abc.:-é\x00", max_size=9))
def test_a_record_with_one_odd_field_is_read_or_left_out(place, text):
    fields = line(extra=2).split(":")
    fields[place] = text
    parse_accounting(":".join(fields))


@pytest.mark.parametrize("text", ["", "# Version: 8.1.9", "#", line(name="sleep"), "a:b:c"])
def test_lines_of_others_are_left_out(text):
    assert parse_accounting(text) is None


@pytest.mark.parametrize(
    ("failed", "status", "expected"),
    [
        (0, 3, {"exit_status": 3, "failure": "", "final": True}),
        (0, 139, {"signal": 11, "failure": "", "final": True}),
        (100, 137, {"signal": 9, "failure": "", "final": True}),
        (37, 137, {"signal": 9, "final": True,
                   "failure": "failed 37: qmaster enforced h_rt, h_cpu or h_vmem limit"}),
        (100, 0, {"failure": "failed 100: assumedly after job", "final": True}),
        (21, 0, {"failure": "failed 21: in recognizing job", "final": False}),
        (1, 0, {"failure": "failed 1: assumedly before job", "final": False}),
        (77, 0, {"failure": "failed 77: unknown to accounting(5)", "final": False}),
    ],
)  # fmt: skip
def test_what_failed_means(failed, status, expected):
    _task, outcome = parsed(line(failed=failed, status=status))
    assert {name: getattr(outcome, name) for name in expected} == expected


def outcome_of(tmp_path: Path, lines: list[str], job: int = 4711) -> EngineOutcome | None:
    path = tmp_path / "accounting"
    path.write_text("".join(f"{text}\n" for text in lines))
    task = TaskId(job, 3, TOKEN)
    facts = {TOKEN: {"accounting": Mark().to_json()}}
    return EndsFile(path, parse_accounting).of([task], facts).get(task)


START = line(failed=21, started=0, ended=0)


@pytest.mark.parametrize("lines", [[START, line()], [START, START, line()], [line(), START],
                                   [line(), line()]])  # fmt: skip
def test_the_real_end_counts_whatever_failed_starts_came_before_or_late(tmp_path, lines):
    outcome = outcome_of(tmp_path, lines)
    assert outcome is not None and outcome.final
    assert outcome.exit_status == 0


def test_failed_starts_alone_are_no_end(tmp_path):
    outcome = outcome_of(tmp_path, [START, START])
    assert outcome is not None and not outcome.final


def test_a_job_number_that_came_round_again_is_told_apart(tmp_path):
    older = line(name="SNF-0203-SAMPLEe.650000000123ab", submitted=1695621479, status=1)
    assert outcome_of(tmp_path, [older]) is None
    outcome = outcome_of(tmp_path, [older, line()])
    assert outcome is not None and outcome.exit_status == 0
    assert outcome_of(tmp_path, [line(job=4712)]) is None


# --- qstat ---------------------------------------------------------------------------------

JOB = """<job_list state="pending">
  <JB_job_number>{job}</JB_job_number><JAT_prio>0.5</JAT_prio><JB_name>{name}</JB_name>
  <JB_owner>snf</JB_owner><state>{state}</state><queue_name></queue_name><slots>1</slots>
  {tasks}
</job_list>"""


def document(*jobs: str, namespace: str = "") -> str:
    return (
        f"<?xml version='1.0'?>\n<job_info {namespace}>\n<queue_info>\n{''.join(jobs[:1])}"
        f"</queue_info>\n<job_info>\n{''.join(jobs[1:])}</job_info>\n</job_info>"
    )


@pytest.mark.parametrize(
    "namespace",
    ["", 'xmlns="http://gridengine.example/qstat"', 'xmlns:xsd="http://gridengine.example/qstat"'],
)
def test_no_job_one_job_and_many_are_listed_in_any_namespace(namespace):
    assert parse_qstat(document(namespace=namespace)).entries == []
    one = JOB.format(job=7, name=NAME, state="r", tasks="<tasks>2</tasks>")
    [entry] = parse_qstat(document(one, namespace=namespace)).entries
    assert (entry.job, entry.task, entry.name) == (7, 2, NAME)
    many = JOB.format(job=7, name=NAME, state="qw", tasks="<tasks>3-1300:1</tasks>")
    entries = parse_qstat(document(one, many, namespace=namespace)).entries
    assert [it.task for it in entries] == [2, *range(3, 1301)]


def test_a_job_that_is_no_array_has_one_task():
    [entry] = parse_qstat(document(JOB.format(job=9, name="osiris", state="r", tasks=""))).entries
    assert (entry.job, entry.task, entry.name) == (9, 1, "osiris")


@pytest.mark.parametrize(
    ("letters", "state"),
    [("qw", "queued"), ("Rq", "queued"), ("hqw", "held"), ("hRwq", "held"), ("r", "running"),
     ("t", "running"), ("dr", "running"), ("hr", "running"), ("S", "running"),
     ("Eqw", "queue error"), ("EhRqw", "queue error"), ("dt", "running")],
)  # fmt: skip
def test_states_are_told(letters, state):
    text = document(JOB.format(job=1, name=NAME, state=letters, tasks="<tasks>1</tasks>"))
    assert [it.state for it in parse_qstat(text).entries] == [EngineState(state)]


@pytest.mark.parametrize("text", ["", "error: no", "<a/>", "<job_info>", "<html></html>"])
def test_what_is_no_list_of_jobs_is_an_error(text):
    with pytest.raises((ValueError, SyntaxError)):
        parse_qstat(text)


QUEUE = "<Queue-List><name>{name}</name><slots_total>360</slots_total>{state}</Queue-List>"


@given(st.lists(st.sampled_from(["", "E", "d", "au", "aS", "dE"])))
def test_queues_where_nothing_starts_are_told_with_the_next_step(states):
    queues = [
        QUEUE.format(name=f"all.q@node{number}", state=f"<state>{letters}</state>" * bool(letters))
        for number, letters in enumerate(states)
    ]
    found = parse_qstat(document("".join(queues)))
    assert found.entries == []
    steps = {"E": "qmod -cq", "d": "qmod -e", "u": "sge_execd"}
    for letter, step in steps.items():
        names = [f"node{n}" for n, letters in enumerate(states) if letter in letters]
        told = [notice for notice in found.notices if step in notice]
        assert len(told) == bool(names)
        assert all(all(name in notice for name in names[:3]) for notice in told)
        assert all(f"and {len(names) - 3} more" in notice for notice in told if len(names) > 3)


# --- qsub ----------------------------------------------------------------------------------


def test_qsub_is_called_once_for_an_array_with_all_that_the_site_says():
    [array] = group([make_submission(n) for n in range(1300)], 75_000)
    settings = Settings(queue="long", queues={"cube_generation": "short"}, options=("-P", "P_snf"))
    words = qsub(array, Path("/jobs/.grid_engine/arrays/x"), settings, held=True)
    text = " ".join(words)
    for part in ("-t 1-1300", "-r n", "-h", "-q short", "-P P_snf", "-l h_rt=132,h_cpu=132",
                 f"-N {array.name}", "-o $TASK_ID/engine.out"):  # fmt: skip
        assert part in text
    assert words[-1] == "/jobs/.grid_engine/arrays/x/script"
    assert "-h" not in qsub(array, Path("/x"), settings, held=False)
    other = Settings(request="vmem={memory_mb}M")
    assert "vmem=2656M" in qsub(array, Path("/x"), other, held=False)


@pytest.mark.parametrize(
    ("out", "job"), [("4711.1-50:1", 4711), ("4711", 4711), ("warning: slow\n4711.1-1:1", 4711)]
)
def test_the_job_number_is_read(out, job):
    assert submitted(Answer(0, out, "")) == job


@pytest.mark.parametrize(
    ("status", "err"),
    [(1, 'Unable to run job: Job was rejected because job requests unknown queue "x".\nExiting.'),
     (1, 'Unable to run job: unknown resource "x".\nExiting.'),
     (1, "Unable to run job: job rejected: you tried to submit a job with more than 75000 tasks"),
     (2, 'qsub: invalid option argument "-foo"'),
     (7, 'qsub: invalid priority "9999".  Must be an integer from -1023 to 1024')],
)  # fmt: skip
def test_a_rejection_is_told_with_its_words(status, err):
    with pytest.raises(Rejection, match=re.escape(err.split()[-1])):
        submitted(Answer(status, "", err))


@pytest.mark.parametrize(
    "answer",
    [Answer(1, "", "error: commlib error: got select error (Connection refused)\nUnable to run "
                   'job: unable to send message to qmaster using port 1 on host "localhost"'),
     Answer(1, "", "Unable to run job: failed receiving gdi request response for mid=1 (timeout)"),
     Answer(1, "", 'error: SGE_ROOT directory "/nosuch" does not exist'),
     Answer(1, "", "Unable to initialize environment because of error: unable to read qmaster"),
     Answer(0, "", ""), Answer(0, "hello", ""), Answer(139, "", ""), Answer(-9, "", "x"),
     Answer(127, "", "qsub: not found"), Answer(1, "4711.1-5:1", "x")],
)  # fmt: skip
def test_no_answer_is_no_rejection(answer):
    with pytest.raises(ServiceUnavailable):
        submitted(answer)
