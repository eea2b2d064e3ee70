"""The conductor: the one thread of a driver that plans, submits, looks after and finishes units.

doit's threads only ask and wait.  What they ask for at about the same time is selected in one
query a step, claimed in one transaction, submitted in one call; one look a cycle serves all
active units, those of other drivers and of dead ones included.  Killed anywhere, the next
driver goes on from the database, the ledgers and the engine.
"""

from __future__ import annotations

import queue
import threading
import traceback
from collections.abc import Mapping
from functools import partial

from snfpipe import clock
from snfpipe.config.step import Step
from snfpipe.daemon.osiris import lease_name
from snfpipe.db import lease
from snfpipe.db.session import open_database
from snfpipe.engines import make_engine
from snfpipe.errors import ServiceUnavailable, SnfError
from snfpipe.jobs.harvest import Harvester
from snfpipe.jobs.manifest import Finished, write_manifest
from snfpipe.jobs.programs import check_programs
from snfpipe.jobs.submit import Submitter
from snfpipe.states import ACTIVE, State
from snfpipe.tasks.board import Board
from snfpipe.units.decision import WAITS_FOR_VALIDATION, Action, Decision
from snfpipe.units.graph import Unit, comes_before
from snfpipe.units.job_rows import JobRow, jobs_of, manifests_of
from snfpipe.units.sequence import Considered, claim, consider, submit

_WINDOW_S = 0.015  # requests that come closer than this are planned together
_FIRST_PAUSE_S = 0.02
_ADOPT_EVERY_S = 2.0
_PATIENCE_S = 120.0  # how long a service may be away before a driver gives up
_TO_VALIDATE = {str(State.DONE), str(State.INCOMPLETE)}


class Conductor:
    """Finishes the units that doit's threads ask for.

    Parameters
    ----------
    board : Board
        The units, and where it is noted how each is finished.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._project = project = board.project
        self._database = open_database(project.site.database_url, project.root)
        engine = make_engine(project.site)
        self._osiris = lease_name(engine.name)
        self._submitter = Submitter(project, self._database, engine)
        self._harvester = Harvester(project, self._database, engine)
        self._tasks = {(u.step.production, u.unit): task for task, u in board.graph.items()}
        self._requests: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._events: dict[str, threading.Event] = {}
        self._ready: dict[str, None] = {}
        self._active: dict[str, None] = {}
        self._finished_elsewhere: set[str] = set()
        self._pause_s = _FIRST_PAUSE_S
        self._adopted_at = 0.0
        self._recovered = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="conductor", daemon=True)
        self._thread.start()

    def finish(self, task: str) -> None:
        """Return when a unit is finished, or when nothing can be finished any more."""
        done = self._events.setdefault(task, threading.Event())
        self._requests.put(task)
        while not done.wait(1.0):
            if not self._thread.is_alive():
                break

    def close(self) -> list[str]:
        """Come to an end after what is being written now; return the units left active."""
        self._closing = True
        self._requests.put(None)
        self._thread.join(timeout=30)
        return [*self._active]

    # --- the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        """Serve until closed, or until something makes it impossible."""
        away_since: float | None = None
        try:
            while self._collect():
                try:
                    self._cycle()
                    away_since = None
                except (ServiceUnavailable, OSError):  # a disk is a service, too
                    away_since = away_since or clock.monotonic()
                    if clock.monotonic() - away_since > _PATIENCE_S:
                        raise
                    self._pause_s = max(1.0, self._project.site.poll_s)
        except SnfError as error:
            self._board.stopped_by = error
        except OSError as error:
            self._board.stopped_by = SnfError(str(error), hint="fix that; `doit` goes on")
        except Exception:  # whatever it is, nobody may wait for ever
            self._board.stopped_by = SnfError(
                f"the driver stopped:\n{traceback.format_exc()}",
                hint="report this; `doit` goes on from what is done",
            )
        finally:
            for done in self._events.values():
                done.set()
            self._database.close()

    def _attempt_recovery(self) -> None:
        """Finish what a killed driver left half-done; Osiris does so by itself."""
        if not self._osiris_serves():
            for finished in self._harvester.recover():
                self._note_finished(finished)
        self._recovered = True

    def _osiris_serves(self) -> bool:
        """Tell whether an Osiris looks after the jobs of this site's engine."""
        with self._database.read() as session:
            return lease.holder_of(session, self._osiris) is not None

    def _collect(self) -> bool:
        """Wait for requests, or for the next look; return False when closed."""
        busy = bool(self._active or self._ready)
        wait_s: float | None = self._pause_s if busy else None
        try:
            while True:
                task = self._requests.get(timeout=wait_s)
                if task is not None:
                    self._ready[task] = None
                    self._pause_s = _FIRST_PAUSE_S
                if self._closing:
                    return False
                wait_s = _WINDOW_S
        except queue.Empty:
            return not self._closing

    def _cycle(self) -> None:
        """Look after what is active, then take up what is ready."""
        if not self._recovered:
            self._attempt_recovery()
        before = (len(self._active), len(self._ready))
        problem = self._look_after() if self._active else None
        if self._ready:
            self._take_up()
        for finished in self._submitter.send():
            self._note_finished(finished)
        if (len(self._active), len(self._ready)) == before:
            self._pause_s = min(self._project.site.poll_s, self._pause_s * 1.5)
        else:
            self._pause_s = _FIRST_PAUSE_S
        if problem:
            raise problem

    def _look_after(self) -> ServiceUnavailable | None:
        """Finish what is over; what somebody else has let go of is judged again.

        Returns why something that is over could not be finished.
        """
        problem = None
        if clock.monotonic() - self._adopted_at > _ADOPT_EVERY_S:
            self._adopted_at = clock.monotonic()
            for finished in self._submitter.adopt():
                self._note_finished(finished)
        if not self._osiris_serves():
            for finished in self._harvester.look():
                self._note_finished(finished)
            problem = self._harvester.problem
        units = [self._board.graph[task] for task in self._active]
        with self._database.read() as session:
            rows = jobs_of(session, {it.step.production for it in units}, [it.unit for it in units])
        for task in [*self._active]:
            unit = self._board.graph[task]
            row = rows.get((unit.step.production, unit.unit))
            if row is None or row.state not in ACTIVE:
                del self._active[task]
                self._ready[task] = None
                self._finished_elsewhere.add(task)
        return problem

    # --- taking up --------------------------------------------------------------------------

    def _take_up(self) -> None:
        """Lead the units that were asked for along the sequence, a step's units together."""
        board = self._board
        for key in dict.fromkeys(board.graph[task].step.key for task in self._ready):
            asked = [board.graph[it] for it in board.of_step(key, self._ready)]
            units = {unit.unit: unit for unit in asked}
            step = asked[0].step
            with self._database.read() as session:
                rows = jobs_of(session, [step.production], units)
                texts = manifests_of(session, [step.production], units)
                manifests = {unit: text for (_of, unit), text in texts.items()}
                considered = consider(
                    session,
                    step,
                    list(units),
                    {unit: row for (_of, unit), row in rows.items()},
                    partial(self._is_there, units, manifests),
                )
            to_run = []
            for it in considered:
                unit = units[it.unit]
                if it.decision.action is Action.RUN:
                    held = self._held_back(unit)
                    if held is None:
                        to_run.append(it)
                    else:
                        self._finish(unit.task, held, attempted=False)
                elif it.decision.action is Action.ADOPT:
                    self._activate(unit.task)
                else:
                    self._finish_fresh(unit, it, manifests.get(it.unit))
            self._claim(step, to_run)

    def _finish_fresh(self, unit: Unit, it: Considered, manifest: str | None) -> None:
        """Take note of a unit that needs no attempt; rewrite its manifest where it is missing."""
        path, unwritten, decision = self._project.root / unit.manifest, "", it.decision
        if manifest is not None and decision.action is Action.REWRITE:
            try:
                write_manifest(path, manifest)
            except OSError as error:
                unwritten = str(error)
                decision = _without_manifest(unwritten)
        if it.row is not None and unit.task in self._finished_elsewhere:
            self._note_finished(
                Finished(
                    it.row.name, unit.step.production, unit.unit, path, State(it.row.state),
                    it.row.reason, manifest or "", unwritten,
                )
            )  # fmt: skip
        else:
            self._finish(unit.task, decision, attempted=False)

    def _claim(self, step: Step, to_run: list[Considered]) -> None:
        """Claim units of one step; those that a full engine has no room for stay ready.

        No step's are where another's program is not at hand: a production does not begin what it
        cannot end.
        """
        if to_run:
            check_programs(self._project, self._project.steps)
        room = self._submitter.capacity
        planned = claim(self._project, self._database, step, to_run if room is None else
                        to_run[:room])  # fmt: skip
        failed = submit(self._submitter, planned)
        for spec in planned.claimed:
            self._activate(step.task(spec.unit))
        for finished in [*planned.finished, *failed]:
            self._note_finished(finished)

    def _held_back(self, unit: Unit) -> Decision | None:
        """Say why a unit has to wait for a person, or None."""
        for task in comes_before(self._project, unit):
            decision = self._board.decisions[task]
            unchecked = (
                self._board.graph[task].step.validate == "person" and decision.word in _TO_VALIDATE
            )
            if unchecked or decision.word == WAITS_FOR_VALIDATION:
                return Decision(Action.RUN, WAITS_FOR_VALIDATION, f"{task} is {decision.word}")
        return None

    def _is_there(
        self, units: Mapping[str, Unit], manifests: Mapping[str, str], unit: str, row: JobRow
    ) -> bool:
        """Tell whether a unit's manifest is on disk as the database has it."""
        manifest = manifests.get(unit)
        if manifest is None:
            return True
        try:
            path = self._project.root / units[unit].manifest
            return path.read_text(encoding="utf-8") == manifest
        except (OSError, UnicodeDecodeError):
            return False

    # --- finishing ---------------------------------------------------------------------------

    def _activate(self, task: str) -> None:
        """Keep a unit among the active ones until its attempt is over."""
        self._ready.pop(task, None)
        self._active[task] = None

    def _note_finished(self, finished: Finished) -> None:
        """Take note of a job that an attempt or a verdict finished."""
        task = self._tasks.get((finished.production, finished.unit))
        if task is None:
            return
        decision = Decision(Action.NOTHING, str(finished.state), finished.reason)
        if finished.unwritten:
            decision = _without_manifest(finished.unwritten)
        self._finish(task, decision, attempted=True)

    def _finish(self, task: str, decision: Decision, *, attempted: bool) -> None:
        """Note how a unit is finished, and wake who waits for it."""
        self._ready.pop(task, None)
        self._active.pop(task, None)
        self._finished_elsewhere.discard(task)
        self._board.note(task, decision, attempted=attempted)
        done = self._events.get(task)
        if done is not None:
            done.set()


def _without_manifest(error: str) -> Decision:
    """Return how a unit stands whose manifest doit cannot have."""
    return Decision(Action.NOTHING, str(State.FAILED), f"its manifest cannot be written: {error}")
