"""One doit process over the configured production: what ``dodo.py`` is made of."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snfpipe.config.project import Project, load_project
from snfpipe.config.step import Step
from snfpipe.errors import SnfError
from snfpipe.ingest.scan import anything_new
from snfpipe.tasks.audits import audit_tasks
from snfpipe.tasks.board import Board
from snfpipe.tasks.record import ManifestChecker, RecordCodec
from snfpipe.tasks.reporter import UnitReporter
from snfpipe.units.decision import Action
from snfpipe.units.freshness import Check, check, memory_path
from snfpipe.units.graph import Unit

if TYPE_CHECKING:
    from snfpipe.tasks.conductor import Conductor


class Driver:
    """The configured production and its one writer, for one run of doit."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.board = Board(project)
        self._conductor: Conductor | None = None
        self._lock = threading.Lock()

    @classmethod
    def open(cls, root: Path) -> Driver:
        """Read the configuration; a user's error ends the process, told plainly.

        No garbage is collected before there is work: a graph of thousands of tasks holds none,
        and looking through it again and again would take a third of the time.
        """
        gc.disable()
        with told_plainly():
            return cls(load_project(root))

    def config(self) -> dict[str, Any]:
        """Return what doit is to know: threads, reporter, and where it keeps its record."""
        record = memory_path(self.project, "doit")
        record.parent.mkdir(parents=True, exist_ok=True)
        return {
            "default_tasks": [step.key for step in self.project.steps],
            "num_process": self.project.site.slots,
            "reporter": UnitReporter.of(self.board, self.close),
            "backend": "json",
            "dep_file": str(record),
            "codec_cls": RecordCodec,
            "check_file_uptodate": partial(ManifestChecker, self.board.stamps),
        }

    def tasks(self) -> Iterator[dict[str, Any]]:
        """Take in raw nights that are new, then yield a task a step and a subtask a unit."""
        with told_plainly():
            self._take_in()
            self._note(check(self.project))
        for step in self.project.steps:
            yield {"basename": step.key, "name": None, "doc": _describe(step)}
        graph = self.board.graph
        for task, unit in graph.items():
            decision = self.board.decisions[task]
            yield {
                "basename": unit.step.key,
                "name": unit.unit,
                "doc": f"{decision.word}: {decision.reason}" if decision.reason else decision.word,
                "actions": [(self.finish, [task])],
                "targets": [unit.manifest],
                "file_dep": [graph[above].manifest for above in unit.upstream],
                "task_dep": list(unit.after),
                "uptodate": [decision.action is Action.NOTHING and self._unmoved(unit)],
                "verbosity": 0,
                "io": {"capture": False},
                "clean": [(_explain_clean, [unit.manifest])],
            }

    def _unmoved(self, unit: Unit) -> bool | Callable[[], bool]:
        """Return what tells doit, when the unit's turn comes, that no step before it moved."""
        return True if not unit.after else partial(self._still_fresh, unit.task)

    def _still_fresh(self, task: str) -> bool:
        """Tell whether nothing was made since that a unit may read."""
        return not self.board.may_have_changed(task)

    def audits(self) -> Iterator[dict[str, Any]]:
        """Yield a task an audit; they run when they are named, not by bare doit."""
        return audit_tasks(self.project, self.board.audits)

    def finish(self, task: str) -> None:
        """Return when a unit is finished; the action of every subtask.

        A unit that was fresh from the start, and reads nothing that was made since, is finished
        already.
        """
        board = self.board
        if board.decisions[task].action is Action.NOTHING and not board.may_have_changed(task):
            return
        try:
            conductor = self.conductor
        except SnfError as error:
            board.stopped_by = error
        else:
            conductor.finish(task)
        if board.stopped_by is not None:
            raise SystemExit(str(board.stopped_by))

    @property
    def conductor(self) -> Conductor:
        """The one writer, started when first needed."""
        with self._lock:
            if self._conductor is None:
                from snfpipe.tasks.conductor import Conductor  # heavy, and seldom needed

                gc.freeze()
                gc.enable()
                self._conductor = Conductor(self.board)
            return self._conductor

    def close(self) -> list[str]:
        """Stop writing; return the units that are still with the engine."""
        return self._conductor.close() if self._conductor is not None else []

    def _note(self, found: Check) -> None:
        """Take over a complete check."""
        self.board.graph = found.graph
        self.board.decisions = found.decisions
        self.board.stamps.update(found.stamps)

    def _take_in(self) -> None:
        """Bring the database up to date with the raw folder."""
        if not anything_new(self.project):
            return
        from snfpipe.db.session import open_database
        from snfpipe.ingest.refresh import refresh

        database = open_database(self.project.site.database_url, self.project.root, create=True)
        for report in refresh(self.project, database):
            if report.night:
                sys.stderr.write(f"ingested night {report.night}\n")
            for problem in report.all_problems:
                sys.stderr.write(f"  {problem}\n")
            self.board.problems += len(report.all_problems)
        database.close()


@contextmanager
def told_plainly() -> Iterator[None]:
    """End the process with an error's message and exit code, without a traceback."""
    try:
        yield
    except SnfError as error:
        sys.stderr.write(f"doit: {error}\n")
        raise SystemExit(error.exit_code) from error


def _describe(step: Step) -> str:
    """Return a step's line in `doit list`."""
    kind = step.kind.name if len(step.units) == 1 else f"{step.kind.name}s"
    reads = sorted({name for names in step.inputs.values() for name in names})
    source = f", from {', '.join(reads)}" if reads else ", from raw frames"
    return f"{step.production}: {len(step.units)} {kind}{source}"


def _explain_clean(manifest: str) -> None:
    """Say why `doit clean` takes nothing away."""
    sys.stdout.write(
        f"{manifest} stays: a manifest tells what was made, and products are deleted by "
        f"tools that show first what they will do{os.linesep}"
    )
