"""What doit shows: a line a unit in a log, one moving line on a terminal, and the end's account.

Units that are up to date are only counted.  Dependants wait for units to be finished, not for
their success, so doit itself never sees a failure: it is told here, when it happens and again
at the end together with those of earlier runs, and makes doit end with 1.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar, TextIO

from snfpipe.states import FAILURES
from snfpipe.tasks.board import Board
from snfpipe.units.decision import VALIDATED_OUTDATED, WAITS_FOR_VALIDATION

_REDRAW_S = 0.2
_TOLD_AT_END = {VALIDATED_OUTDATED, WAITS_FOR_VALIDATION}


class UnitReporter:
    """doit's reporter; doit makes it with an output stream and options.

    :meth:`of` gives the class that knows the board, and how to come to an end.
    """

    desc = "a line a unit, what stands failed at the end"
    board: ClassVar[Board]
    close: ClassVar[staticmethod[[], list[str]]]

    @classmethod
    def of(cls, board: Board, close: Callable[[], list[str]]) -> type[UnitReporter]:
        """Return the reporter class of one run; `close` returns the units that run on."""
        return type("UnitReporter", (cls,), {"board": board, "close": staticmethod(close)})

    def __init__(self, outstream: TextIO, options: dict[str, Any]) -> None:
        self.outstream = outstream
        self.seen: list[str] = []
        self.up_to_date = 0
        self.broken: list[str] = []
        self.live: _Live | None = None

    # --- called by doit ---------------------------------------------------------------------

    def initialize(self, tasks: dict[str, Any], selected_tasks: list[str]) -> None:
        """Note what may run; called once, before everything else."""
        if self.outstream.isatty():
            self.live = _Live(self.outstream, self.board, tasks, selected_tasks)

    def get_status(self, task: Any) -> None:
        """Note that doit asks whether a task is up to date."""
        self.seen.append(task.name)

    def execute_task(self, task: Any) -> None:
        """Note that a unit is taken up."""
        if self.live is not None:
            self.live.start(task.name)

    def add_success(self, task: Any) -> None:
        """Tell how a unit was finished."""
        finished = self.board.finished.get(task.name)
        if self.live is not None:
            self.live.finish(task.name, finished is not None and finished.word in FAILURES)
        if finished is None:
            self.up_to_date += task.name in self.board.graph
            return
        reason = f": {finished.reason}" if finished.reason else ""
        self._line(f"{time.strftime('%H:%M:%S')} {task.name} {finished.word}{reason}")

    def add_failure(self, task: Any, fail: Any) -> None:
        """Tell of a problem in doit or in ourselves; a unit's failure is no such thing."""
        self.broken.append(task.name)
        if self.board.stopped_by is None:
            self._line(f"{task.name}: {fail.get_msg()}")

    def skip_uptodate(self, task: Any) -> None:
        """Count a unit that is up to date."""
        self.up_to_date += 1
        if self.live is not None:
            self.live.finish(task.name, failed=False)

    def skip_ignore(self, task: Any) -> None:
        """Tell of a unit that `doit ignore` set aside."""
        self._line(f"{task.name} ignored (`doit forget {task.name}` takes it up again)")

    def cleanup_error(self, exception: Any) -> None:
        """Tell of a problem while cleaning up."""
        self._line(exception.get_msg())

    def runtime_error(self, msg: str) -> None:
        """Tell of a problem with the graph itself."""
        self.broken.append("doit")
        self._line(f"doit: {msg}")

    def teardown_task(self, task: Any) -> None:
        """Take no notice: no task of ours has a teardown."""

    def complete_run(self) -> None:
        """Give the account, and end with the exit code that it asks for.

        doit has closed its record by then; an exit raised here becomes the process's.
        """
        interrupted = isinstance(sys.exc_info()[1], KeyboardInterrupt)
        if self.live is not None:
            self.live.end()
        on_their_way = self.close()
        if interrupted or self.board.stopped_by is not None:
            self._tell_what_runs(on_their_way)
        if interrupted:
            raise SystemExit(130)
        if self.board.stopped_by is not None:
            error = self.board.stopped_by
            sys.stderr.write(f"doit: {error}\n")
            raise SystemExit(error.exit_code)
        failing = self._tell_the_end()
        if self.board.problems:
            told = f"{self.board.problems} problems of raw frames were found at ingest"
            self._line(f"{told}: `snf ingest` names them")
        if self.broken:
            raise SystemExit(3)
        if failing or self.board.audits or self.board.problems:
            raise SystemExit(1)

    # --- the account ------------------------------------------------------------------------

    def _tell_the_end(self) -> bool:
        """Count what was finished, list what is not as it should be; tell if anything failed."""
        graph, decisions = self.board.graph, self.board.decisions
        counts = Counter(done.word for done in self.board.finished.values())
        if self.up_to_date:
            counts["up to date"] = sum(name in graph for name in self.seen) - counts.total()
        parts = [f"{count} {word}" for word, count in counts.items() if count]
        self._line(", ".join(parts) or "no units")
        words = FAILURES | _TOLD_AT_END
        seen = set(self.seen)
        told = [
            (task, decision)
            for task, decision in decisions.items()
            if decision.word in words and task in seen
        ]
        failing = [(task, decision) for task, decision in told if decision.word in FAILURES]
        for title, found in (
            ("not made:", [pair for pair in told if pair not in failing]),
            ("failed (tried again when inputs change, or after `snf retry UNIT`):", failing),
        ):
            if found:
                self._line(title)
            for task, decision in found:
                self._line(f"  {task} {decision.word}: {decision.reason}")
        return bool(failing)

    def _tell_what_runs(self, tasks: list[str]) -> None:
        """Say what goes on without this doit, and how to end it."""
        if not tasks:
            self._line("nothing runs on")
            return
        self._line("still with the engine (the next doit takes them up):")
        for task in tasks:
            self._line(f"  {task}")
        self._line("end them with `snf cancel UNIT`, or all of them with `snf cancel --all`")

    def _line(self, text: str) -> None:
        """Write a line, above the moving one if there is one."""
        if self.live is not None:
            self.live.clear()
        self.outstream.write(f"{text}\n")
        self.outstream.flush()


class _Live:
    """The moving line of a terminal: done and total of each step, what runs, what failed."""

    def __init__(
        self, stream: TextIO, board: Board, tasks: dict[str, Any], selected: list[str]
    ) -> None:
        self.stream = stream
        self.board = board
        self.tasks = tasks
        self.selected = selected
        self.totals: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.running: set[str] = set()
        self.failed = 0
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.thread: threading.Thread | None = None

    def start(self, name: str) -> None:
        """Begin to draw with the first unit that is taken up."""
        if name not in self.board.graph:
            return
        with self.lock:
            self.running.add(name)
            if self.thread is not None:
                return
            self.totals = Counter(task.partition(":")[0] for task in self._reached())
            self.thread = threading.Thread(target=self._draw_on, daemon=True)
            self.thread.start()

    def finish(self, name: str, failed: bool) -> None:
        """Count a unit."""
        if name not in self.board.graph:
            return
        with self.lock:
            self.running.discard(name)
            self.done[name.partition(":")[0]] += 1
            self.failed += failed

    def end(self) -> None:
        """Take the line away."""
        self.ended.set()
        if self.thread is not None:
            self.thread.join()
        self.clear()

    def clear(self) -> None:
        """Make room for a line that stays."""
        if self.thread is not None:
            self.stream.write("\r\033[K")

    def _reached(self) -> set[str]:
        """Return the units among the selected tasks and what they depend on."""
        reached: set[str] = set()
        waiting = list(self.selected)
        while waiting:
            name = waiting.pop()
            if name not in reached:
                reached.add(name)
                waiting.extend(self.tasks[name].task_dep)
        return {name for name in reached if name in self.board.graph}

    def _draw_on(self) -> None:
        """Draw, five times a second."""
        while not self.ended.wait(_REDRAW_S):
            with self.lock:
                steps = [
                    f"{step.key} {self.done[step.key]}/{self.totals[step.key]}"
                    for step in self.board.project.steps
                    if self.totals[step.key]
                ]
                text = f"{' · '.join(steps)} · {len(self.running)} active"
                if self.failed:
                    text += f" · {self.failed} failed"
            width = shutil.get_terminal_size().columns - 1
            self.stream.write(f"\r\033[K{text[:width]}")
            self.stream.flush()
