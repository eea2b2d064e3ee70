"""Grid Engine's commands: arguments, and what qsub, qstat and the accounting file say.

Seen to work with Son of Grid Engine 8.1.9.  The accounting of others has the same fields in the
same places, more or fewer behind them, times in milliseconds in some; see accounting(5).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from snfpipe.engines.arrays import Array, TaskId, parse_ranges, token_of
from snfpipe.engines.base import EngineOutcome, EngineState
from snfpipe.engines.ends import EndsFile
from snfpipe.engines.scheduler import Answers, Queue, QueueEntry, Scheduler
from snfpipe.engines.settings import Settings
from snfpipe.errors import ServiceUnavailable, shown

_LARGEST = 75_000  # max_aj_tasks, where qconf does not tell
_REQUEST = "h_rt={wall_s},h_cpu={cpu_s},h_rss={memory_mb}M"

#: ``failed`` -> what it means, where the job's script ran (sge_status(5)).
_RAN = {
    12: "before pestop", 13: "in pestop", 14: "before epilog", 15: "in epilog",
    16: "releasing processor set", 17: "through signal", 24: "migrating", 30: "application error",
    37: "qmaster enforced h_rt, h_cpu or h_vmem limit", 100: "assumedly after job",
}  # fmt: skip
#: The same, where it did not, or will again.
_NOT_STARTED = {
    1: "assumedly before job", 3: "before writing config", 4: "before writing PID",
    6: "setting processor set", 7: "before prolog", 8: "in prolog", 9: "before pestart",
    10: "in pestart", 11: "before job", 18: "shepherd returned error",
    19: "before writing exit_status", 20: "found unexpected error file", 21: "in recognizing job",
    25: "rescheduling", 26: "opening output file", 27: "searching requested shell",
    28: "changing to working directory", 29: "AFS setup", 31: "accessing sgepasswd file",
    32: "entry is missing in password file", 33: "wrong password",
    36: "checking configured daemons", 38: "adding supplementary group",
}  # fmt: skip
_SIGNALLED = {17, 37, 100}
#: Letters of a queue's state -> what they mean, and what to do (sge_status(5), qmod(1)).
_TROUBLES = {
    "E": "in error after starts that failed; `qmod -cq QUEUE` clears that",
    "u": "its host does not answer; see its sge_execd",
    "d": "disabled by an operator; `qmod -e QUEUE` enables it",
}
_NAMED = 3
_ANSWERS = Answers(
    submits="qsub",
    number=re.compile(r"([0-9]{1,12})(\.[0-9:-]+)?"),  # qsub -terse: 4711.1-50:1
    # "Unable to run job" is also how qsub tells that nobody answered
    denied=re.compile(r"privileges|must be (manager|operator|owner)|denied: (?!job .*not exist)"),
    no_answer=re.compile(
        r"qmaster|commlib|gdi|timeout|communication|initialize environment|SGE_ROOT|"
        r"critical error",
        re.IGNORECASE,
    ),
)
submitted = _ANSWERS.job_number


class GridEngine(Scheduler):
    """The commands of one cell; ``SGE_ROOT`` and the like are in its environment."""

    name = "grid_engine"
    variable = "SGE_TASK_ID"
    answers = _ANSWERS
    holds, releases, cancels = ("qhold",), ("qrls",), ("qdel",)

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._accounting = EndsFile(self._accounting_path, parse_accounting)

    @cached_property
    def largest_array(self) -> int:
        """What max_aj_tasks says, asked once."""
        answer = self._commands.call("qconf", "-sconf", "global")
        match = re.search(r"^max_aj_tasks\s+([0-9]+)", answer.out, re.MULTILINE)
        return (int(match[1]) if match else 0) or _LARGEST

    def facts(self) -> dict[str, Any]:
        """Return the end of the accounting file."""
        return self._accounting.facts()

    def queue(self) -> Queue:
        """Call qstat, which tells the state of queues (-f) in the same answer."""
        text = self._commands.ask("qstat", "-f", "-u", "*", "-xml")
        try:
            return parse_qstat(text)
        except (ElementTree.ParseError, ValueError) as error:
            raise ServiceUnavailable(
                f"qstat -xml prints what is no list of jobs: {shown(error)}",
                hint="run it by hand and look",
            ) from error

    def problem(self, job: int, task: int) -> str:
        """Return the error reason that ``qstat -j`` shows."""
        answer = self._commands.call("qstat", "-j", str(job))
        match = re.search(rf"^error reason\s+{task}:\s+(.*)", answer.out, re.MULTILINE)
        return match[1].strip() if match else "its queue entry is in error"

    def ended(
        self, wanted: Collection[TaskId], facts: Mapping[str, Mapping[str, Any]]
    ) -> dict[TaskId, EngineOutcome]:
        """Read on in the accounting file, and return what is known of tasks."""
        return self._accounting.of(wanted, facts)

    @property
    def _accounting_path(self) -> Path:
        """Where the qmaster writes."""
        if self._settings.accounting:
            return Path(self._settings.accounting)
        found = self._commands.environment
        root = found.get("SGE_ROOT", "/var/lib/gridengine")
        return Path(root, found.get("SGE_CELL", "default"), "common", "accounting")

    def _call_of(self, array: Array, folder: Path, *, held: bool) -> list[str]:
        """Return the call of qsub."""
        return qsub(array, folder, self._settings, held=held)

    def _named(self, job: int, parts: Sequence[str]) -> list[str]:
        """Return a word a range."""
        return [f"{job}.{part}" for part in parts]


# --- arguments -----------------------------------------------------------------------------


def qsub(array: Array, folder: Path, settings: Settings, *, held: bool) -> list[str]:
    """Return the call that submits an array."""
    queue = settings.queue_of(array.plan)
    request = settings.request_of(array, _REQUEST)
    return [
        "qsub", "-terse", "-N", array.name, "-t", f"1-{len(array.submissions)}",
        "-r", "n", "-notify", "-S", "/bin/bash",
        "-wd", str(folder), "-o", "$TASK_ID/engine.out", "-e", "$TASK_ID/engine.err",
        *(["-h"] if held else []),
        *(["-q", queue] if queue else []),
        *(["-l", request] if request else []),
        *settings.options,
        str(folder / "script"),
    ]  # fmt: skip


# --- parsers -------------------------------------------------------------------------------


def parse_qstat(text: str) -> Queue:
    """Read what ``qstat -f -xml`` lists, whatever namespace its elements are in.

    Raises
    ------
    ParseError, ValueError
        It is no list of jobs.
    """
    root = ElementTree.fromstring(text)  # noqa: S314 - the qmaster's own; expat bounds entities
    if _plain(root.tag) != "job_info":
        raise ValueError(f"found <{_plain(root.tag)}>, expected <job_info>")
    entries: list[QueueEntry] = []
    troubled: dict[str, list[str]] = {letter: [] for letter in _TROUBLES}
    for element in root.iter():
        kind = _plain(element.tag)
        if kind not in ("job_list", "Queue-List"):
            continue
        fields = {_plain(child.tag): (child.text or "").strip() for child in element}
        if kind == "job_list":
            entries += _entries(fields)
        else:
            for letter in _TROUBLES.keys() & fields.get("state", ""):
                troubled[letter].append(fields.get("name", ""))
    return Queue(entries, tuple(_notice(it, names) for it, names in troubled.items() if names))


def _entries(fields: Mapping[str, str]) -> Iterator[QueueEntry]:
    """Yield the tasks that an element stands for."""
    job = int(fields["JB_job_number"])
    state = _state(fields.get("state", ""))
    for task in parse_ranges(fields["tasks"]) if fields.get("tasks") else (1,):
        yield QueueEntry(job, task, fields.get("JB_name", ""), state)


def _notice(letter: str, names: Sequence[str]) -> str:
    """Return the words on queues in problem, of many the first only."""
    which = ", ".join(shown(name, 80) for name in names[:_NAMED])
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"nothing starts in {which}{more}: {_TROUBLES[letter]}"


def _plain(tag: str) -> str:
    """Return an element's name without its namespace."""
    return tag.rpartition("}")[2]


def _state(letters: str) -> EngineState:
    """Return what qstat's letters mean (sge_status(5))."""
    if "E" in letters:
        return EngineState.ERROR
    if "q" not in letters:
        return EngineState.RUNNING
    return EngineState.HELD if "h" in letters else EngineState.QUEUED


def parse_accounting(line: str) -> tuple[TaskId, EngineOutcome] | None:
    """Return the task and its end, if a line of the accounting file is one of an array of ours."""
    fields = line.split(":")
    if len(fields) < 43 or line.startswith("#"):
        return None
    token = token_of(fields[4])
    if token is None:
        return None
    try:
        return TaskId(int(fields[5]), int(fields[35]), token), _outcome(fields)
    except ValueError:
        return None


def _outcome(fields: Sequence[str]) -> EngineOutcome:
    """Return what the fields of a record say (accounting(5))."""
    failed, status = int(fields[11]), int(fields[12])
    host = fields[1]
    if failed in _NOT_STARTED or (failed and failed not in _RAN):
        why = _NOT_STARTED.get(failed, "unknown to accounting(5)")
        return EngineOutcome(failure=f"failed {failed}: {why}", host=host, final=False)
    signal = status - 128 if status > 128 else None
    failure = f"failed {failed}: {_RAN[failed]}" if failed else ""
    if failed in _SIGNALLED and failed != 37 and signal is not None:
        failure = ""  # that it was signalled is said by the signal
    return EngineOutcome(
        exit_status=None if signal else status,
        signal=signal,
        failure=failure,
        host=host,
        started=_seconds(fields[9]),
        ended=_seconds(fields[10]),
        cpu_s=float(fields[36]),
        memory_mb=round(float(fields[16]) * 1024 / 1e6, 1) or None,  # ru_maxrss, in kB
    )


def _seconds(text: str) -> float | None:
    """Return a time in epoch seconds; some sites write milliseconds, and 0 for never."""
    value = float(text)
    return (value / 1000 if value > 1e11 else value) or None
