"""Slurm's commands: arguments, and what sbatch, squeue, sacct and completion records say.

Seen to work with Slurm 22.05.  Ends are told by sacct where a slurmdbd keeps them, else by the
file of the plugin jobcomp/filetxt.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from snfpipe.engines.arrays import Array, TaskId, parse_ranges, token_of
from snfpipe.engines.base import EngineOutcome, EngineState
from snfpipe.engines.ends import Ends, EndsFile
from snfpipe.engines.scheduler import WORDS_A_CALL, Answers, Queue, QueueEntry, Scheduler
from snfpipe.engines.settings import Settings
from snfpipe.errors import shown

_LARGEST = 1000  # MaxArraySize is 1001 where nobody changed it
_REQUEST = "--mem={memory_mb} --time={wall_min}"
_QUEUE_FORMAT = "%F|%K|%T|%r|%j"
_SACCT_FIELDS = "JobID,State,ExitCode,Start,End,CPUTimeRAW,NodeList,JobName"
# times as epoch seconds, lists of tasks in full
_OUTPUT = {"SLURM_TIME_FORMAT": "%s", "SLURM_BITSTR_LEN": "0"}

_HELD = {"JobHeldUser", "JobHeldAdmin"}
#: Reasons that waiting does not fix.
_STUCK = {
    "BadConstraints", "DependencyNeverSatisfied", "InvalidAccount", "InvalidQOS",
    "JobLaunchFailure", "launch failed requeued held", "launch_failed_requeued_held",
}  # fmt: skip
#: Reasons of every pending job; limits are left out, too.
_USUAL = {"None", "Priority", "Resources", "Dependency", "BeginTime", "Licenses", "Reservation"}
_NAMED = 3
_OPEN = {
    "PENDING", "RUNNING", "SUSPENDED", "COMPLETING", "CONFIGURING", "RESIZING", "REQUEUED",
    "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "STAGE_OUT", "SIGNALING", "STOPPED",
}  # fmt: skip
#: Ends that Slurm made, and what to call them.
_ENDED_BY_SLURM = {
    "BOOT_FAIL": "its node did not boot", "CANCELLED": "it was cancelled",
    "DEADLINE": "its deadline passed", "NODE_FAIL": "its node failed",
    "OUT_OF_MEMORY": "it was over the scheduler's limit of memory",
    "PREEMPTED": "it was preempted", "REVOKED": "it was revoked",
    "TIMEOUT": "it was over the scheduler's limit of time",
}  # fmt: skip
_KILLED_BY = {"CANCELLED": 15, "OUT_OF_MEMORY": 9, "TIMEOUT": 15}
_COULD_NOT_START = 53  # as exit signal: slurmstepd could not set the job up

_ANSWERS = Answers(
    submits="sbatch",
    number=re.compile(r"([0-9]{1,12})(;.*)?"),  # sbatch --parsable: 4711, or 4711;cluster
    denied=re.compile(r"permission denied|not permitted", re.IGNORECASE),
    no_answer=re.compile(
        r"unable to contact|timed out|connection (refused|reset)|temporarily|try again|transport|"
        r"munge|authentication|zero bytes|slurmdbd|connect failure|fatal:",
        re.IGNORECASE,
    ),
)
submitted = _ANSWERS.job_number


class Slurm(Scheduler):
    """The commands of one cluster; ``SLURM_CONF`` is in its environment."""

    name = "slurm"
    variable = "SLURM_ARRAY_TASK_ID"
    answers = _ANSWERS
    holds, releases, cancels = ("scontrol", "hold"), ("scontrol", "release"), ("scancel",)

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, _OUTPUT)

    @property
    def largest_array(self) -> int:
        """The highest task number there may be."""
        return self._configuration.largest_array

    def facts(self) -> dict[str, Any]:
        """Return the end of the completion records, where those are what is read."""
        return {} if self._records is None else self._records.facts()

    def queue(self) -> Queue:
        """Call squeue."""
        return parse_squeue(self._commands.ask("squeue", "-h", "-r", "-o", _QUEUE_FORMAT))

    def problem(self, job: int, task: int) -> str:
        """Return the reason that scontrol shows."""
        answer = self._commands.call("scontrol", "-o", "show", "job", f"{job}_{task}")
        match = re.search(r"\bReason=(\S+)", answer.out)
        return f"Slurm's reason is {match[1]}" if match else "its queue entry is in error"

    def ended(
        self, wanted: Collection[TaskId], facts: Mapping[str, Mapping[str, Any]]
    ) -> dict[TaskId, EngineOutcome]:
        """Ask sacct, or read on in the completion records."""
        if self._records is None:
            return self._ask_sacct(wanted)
        return self._records.of(wanted, facts)

    @cached_property
    def _configuration(self) -> Configuration:
        """Return what the controller's configuration says, asked once."""
        return parse_configuration(self._commands.ask("scontrol", "show", "config"))

    @cached_property
    def _records(self) -> EndsFile | None:
        """Return the completion records, where there is no slurmdbd or the site names them."""
        path = self._settings.accounting
        if not path and not self._configuration.slurmdbd:
            path = self._configuration.records
        return EndsFile(Path(path), parse_record) if path else None

    def _ask_sacct(self, wanted: Collection[TaskId]) -> dict[TaskId, EngineOutcome]:
        """Call sacct for the arrays that tasks are of: by job number, or by name."""
        ends = Ends()
        jobs = sorted({it.job for it in wanted if it.job})
        calls = [
            ["-j", ",".join(map(str, jobs[start : start + WORDS_A_CALL]))]
            for start in range(0, len(jobs), WORDS_A_CALL)
        ]
        if any(not it.job for it in wanted):
            calls.append(["-S", "now-2days"])
        for words in calls:
            text = self._commands.ask("sacct", "-n", "-X", "-P", "-D", "-o", _SACCT_FIELDS, *words)
            for task, outcome in parse_sacct(text):
                ends.add(task, outcome)
        return ends.of(wanted)

    def _call_of(self, array: Array, folder: Path, *, held: bool) -> list[str]:
        """Return the call of sbatch."""
        return sbatch(array, folder, self._settings, held=held)

    def _named(self, job: int, parts: Sequence[str]) -> list[str]:
        """Return one word for all."""
        return [f"{job}_[{','.join(parts)}]"]


@dataclass(frozen=True, slots=True)
class Configuration:
    """What matters of a controller's configuration."""

    largest_array: int
    slurmdbd: bool
    records: str


# --- arguments -----------------------------------------------------------------------------


def sbatch(array: Array, folder: Path, settings: Settings, *, held: bool) -> list[str]:
    """Return the call that submits an array.

    Its job sees this process's allow-listed variables, which the job script drops in its turn.
    """
    queue = settings.queue_of(array.plan)
    return [
        "sbatch", "--parsable", f"--job-name={array.name}", f"--array=1-{len(array.submissions)}",
        "--no-requeue", f"--chdir={folder}", "--output=%a/engine.out", "--error=%a/engine.err",
        "--open-mode=append", "--ntasks=1",
        *(["--hold"] if held else []),
        *([f"--partition={queue}"] if queue else []),
        *settings.request_of(array, _REQUEST).split(),
        *settings.options,
        str(folder / "script"),
    ]  # fmt: skip


# --- parsers -------------------------------------------------------------------------------


def parse_configuration(text: str) -> Configuration:
    """Read ``scontrol show config``."""
    found = dict(re.findall(r"^(\w+)\s*=\s*(.*?)\s*$", text, re.MULTILINE))
    size = found.get("MaxArraySize", "")
    return Configuration(
        largest_array=max(1, int(size) - 1) if size.isdigit() else _LARGEST,
        slurmdbd="slurmdbd" in found.get("AccountingStorageType", ""),
        records=found.get("JobCompLoc", "") if "filetxt" in found.get("JobCompType", "") else "",
    )


def parse_squeue(text: str) -> Queue:
    """Read the array tasks that ``squeue -r`` lists in our format; other jobs are left out."""
    entries = []
    reasons: Counter[str] = Counter()
    for line in text.splitlines():
        fields = line.split("|", 4)
        if len(fields) == 5 and fields[0].isdecimal() and fields[1].isdecimal():
            job, task, state, reason, name = fields
            entry = QueueEntry(int(job), int(task), name, _state(state, reason))
            entries.append(entry)
            if entry.state is EngineState.QUEUED and token_of(name) and _is_trouble(reason):
                reasons[reason] += 1
    told = [f"{n} waiting: Slurm says {shown(why, 160)}" for why, n in reasons.most_common(_NAMED)]
    return Queue(entries, tuple(told))


def _is_trouble(reason: str) -> bool:
    """Tell whether a reason to wait is more than that others come first."""
    return reason not in _USUAL and not reason.endswith("Limit")


def _state(state: str, reason: str) -> EngineState:
    """Return what squeue's words mean."""
    if reason in _STUCK or state in ("SPECIAL_EXIT", "REQUEUE_HOLD"):
        return EngineState.ERROR
    if state != "PENDING":
        return EngineState.RUNNING
    return EngineState.HELD if reason in _HELD else EngineState.QUEUED


def parse_sacct(text: str) -> Iterator[tuple[TaskId, EngineOutcome]]:
    """Yield the ended array tasks of ours that sacct lists, a group of them that never ran too."""
    for line in text.splitlines():
        fields = line.split("|", 7)
        match = re.fullmatch(r"([0-9]+)_(?:([0-9]+)|\[(.+)\])", fields[0])
        token = token_of(fields[-1])
        if len(fields) != 8 or match is None or token is None:
            continue
        try:
            outcome = _outcome(*fields[1:7])
            tasks = [int(match[2])] if match[2] else parse_ranges(match[3].partition("%")[0])
            if outcome is not None:
                yield from ((TaskId(int(match[1]), task, token), outcome) for task in tasks)
        except ValueError:
            continue


def parse_record(line: str) -> tuple[TaskId, EngineOutcome] | None:
    """Return the task and its end, if a line of jobcomp/filetxt is of an array task of ours."""
    fields = dict(re.findall(r"(\w+)=(.*?)(?= \w+=|\s*$)", line))
    token = token_of(fields.get("Name", ""))
    try:
        task = TaskId(int(fields["ArrayJobId"]), int(fields["ArrayTaskId"]), token or "")
        start, end = (_epoch(fields[name]) for name in ("StartTime", "EndTime"))
        outcome = _outcome(
            fields["JobState"], fields["ExitCode"], start, end, "", fields["NodeList"]
        )
    except (KeyError, ValueError):
        return None
    return (task, outcome) if token and outcome else None


def _epoch(local: str) -> str:
    """Return a time of a record, which is local, as sacct gives them here."""
    return str(datetime.fromisoformat(local).timestamp()) if local[:1].isdigit() else ""


def _outcome(
    state: str, exit_code: str, start: str, end: str, cpu_s: str, node: str
) -> EngineOutcome | None:
    """Return an end in our words; None where it is none yet."""
    word, *_more = state.split() or [""]
    if word in _OPEN or not word:
        return None
    status, _, number = exit_code.partition(":")
    signal = _KILLED_BY.get(word) or int(number or 0) or None
    failure = _ENDED_BY_SLURM.get(word, "")
    if word == "CANCELLED" and " by " in state:
        failure += f" by user {shown(state.partition(' by ')[2], 20)}"
    if signal == _COULD_NOT_START:
        signal, failure = None, "it could not be started (exit code 0:53)"
    if not failure and word not in ("COMPLETED", "FAILED"):
        failure = f"Slurm calls it {shown(word, 40)}"
    started = float(start) if re.fullmatch(r"[0-9.]+", start) else None
    return EngineOutcome(
        exit_status=None if signal or failure else int(status),
        signal=signal if started else None,
        failure=failure if started else failure or "it never started",
        host="" if node.startswith("None") or node == "(null)" else node,
        started=started,
        ended=float(end) if re.fullmatch(r"[0-9.]+", end) else None,
        cpu_s=float(cpu_s) if cpu_s else None,
    )
