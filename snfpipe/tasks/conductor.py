"""The conductor: the one thread of a driver that plans, submits, looks after and settles units.

doit's threads only ask and wait.  What they ask for at about the same time is selected in one
query a step, claimed in one transaction, submitted in one call; one look a cycle serves all
units in hand, those of other drivers and of dead ones included.  Killed anywhere, the next
driver goes on from the database, the ledgers and the engine.
"""

from __future__ import annotations

import queue
import threading
import traceback
from collections.abc import Iterable
from typing import TYPE_CHECKING

import sqlalchemy as sa

from snfpipe import clock
from snfpipe.daemon.osiris import lease_name
from snfpipe.db import lease
from snfpipe.db.models import Job, Production
from snfpipe.db.session import open_database
from snfpipe.db.store import chunks
from snfpipe.engines import make_engine
from snfpipe.errors import ServiceUnavailable, SnfError
from snfpipe.jobs.harvest import Harvester
from snfpipe.jobs.manifest import Settled, write_manifest
from snfpipe.jobs.planning import claim
from snfpipe.jobs.submit import Submitter
from snfpipe.plans import PLANS
from snfpipe.plans.base import digest
from snfpipe.states import IN_HAND, State
from snfpipe.units.decision import WAITS_FOR_VALIDATION, Act, Standing, judge
from snfpipe.units.job_rows import JobRow

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from snfpipe.plans.base import UnitPlan
    from snfpipe.tasks.driver import Driver
    from snfpipe.units.graph import Unit

_WINDOW_S = 0.015  # requests that come closer than this are planned together
_FIRST_PAUSE_S = 0.02
_ADOPT_EVERY_S = 2.0
_PATIENCE_S = 120.0  # how long a service may be away before a driver gives up
_TO_VALIDATE = {str(State.DONE), str(State.INCOMPLETE)}
_IN_HAND = {str(state) for state in IN_HAND}


class Conductor:
    """Settles the units that doit's threads ask for.

    Parameters
    ----------
    driver : Driver
        Whose units; it is told of each that is settled.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._project = project = driver.project
        self._database = open_database(project.site.database_url, project.root)
        engine = make_engine(project.site)
        self._osiris = lease_name(engine.name)
        self._submitter = Submitter(project, self._database, engine)
        self._harvester = Harvester(project, self._database, engine)
        self._tasks = {(u.step.production, u.unit): task for task, u in driver.graph.items()}
        self._requests: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._events: dict[str, threading.Event] = {}
        self._ready: dict[str, None] = {}
        self._in_hand: dict[str, None] = {}
        self._settled_elsewhere: set[str] = set()
        self._pause_s = _FIRST_PAUSE_S
        self._adopted_at = 0.0
        self._recovered = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="conductor", daemon=True)
        self._thread.start()

    def settle(self, task: str) -> None:
        """Return when a unit is settled, or when nothing can be settled any more."""
        done = self._events.setdefault(task, threading.Event())
        self._requests.put(task)
        while not done.wait(1.0):
            if not self._thread.is_alive():
                break

    def close(self) -> list[str]:
        """Come to an end after what is being written now; return the units left in hand."""
        self._closing = True
        self._requests.put(None)
        self._thread.join(timeout=30)
        return [*self._in_hand]

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
            self._driver.stopped_by = error
        except OSError as error:
            self._driver.stopped_by = SnfError(str(error), hint="mend that; `doit` goes on")
        except Exception:  # whatever it is, nobody may wait for ever
            self._driver.stopped_by = SnfError(
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
            for settled in self._harvester.recover():
                self._note_settled(settled)
        self._recovered = True

    def _osiris_serves(self) -> bool:
        """Tell whether an Osiris looks after the jobs of this site's engine."""
        with self._database.read() as session:
            return lease.holder_of(session, self._osiris) is not None

    def _collect(self) -> bool:
        """Wait for requests, or for the next look; return False when closed."""
        busy = bool(self._in_hand or self._ready)
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
        """Look after what is in hand, then take up what is ready."""
        if not self._recovered:
            self._attempt_recovery()
        before = (len(self._in_hand), len(self._ready))
        trouble = self._look_after() if self._in_hand else None
        if self._ready:
            self._take_up()
        for settled in self._submitter.send():
            self._note_settled(settled)
        if (len(self._in_hand), len(self._ready)) == before:
            self._pause_s = min(self._project.site.poll_s, self._pause_s * 1.5)
        else:
            self._pause_s = _FIRST_PAUSE_S
        if trouble:
            raise trouble

    def _look_after(self) -> ServiceUnavailable | None:
        """Settle what is over; what somebody else has let go of is judged again.

        Returns why something that is over could not be settled.
        """
        trouble = None
        if clock.monotonic() - self._adopted_at > _ADOPT_EVERY_S:
            self._adopted_at = clock.monotonic()
            for settled in self._submitter.adopt():
                self._note_settled(settled)
        if not self._osiris_serves():
            for settled in self._harvester.look():
                self._note_settled(settled)
            trouble = self._harvester.trouble
        with self._database.read() as session:
            rows = self._rows(session, self._in_hand)
        for task in [*self._in_hand]:
            row = rows.get(task)
            if row is None or row[0].state not in _IN_HAND:
                del self._in_hand[task]
                self._ready[task] = None
                self._settled_elsewhere.add(task)
        return trouble

    # --- taking up --------------------------------------------------------------------------

    def _take_up(self) -> None:
        """Select what was asked for, settle what is fresh, claim as much as there is room for."""
        graph = self._driver.graph
        for key in dict.fromkeys(graph[task].step.key for task in self._ready):
            units = [graph[task] for task in self._ready if graph[task].step.key == key]
            step = units[0].step
            with self._database.read() as session:
                plans = PLANS[step.plan].select(session, step, [unit.unit for unit in units])
                rows = self._rows(session, [unit.task for unit in units])
            to_run = []
            for unit in units:
                row, manifest = rows.get(unit.task, (None, None))
                there = self._is_there(unit, manifest)
                standing = judge(row, digest(step, plans[unit.unit]), there)
                if standing.act is Act.RUN:
                    held = self._held_back(unit)
                    if held is None:
                        to_run.append(unit)
                    else:
                        self._settled(unit.task, held, attempted=False)
                elif standing.act is Act.ADOPT:
                    self._hold(unit.task)
                else:
                    path, unwritten = self._project.root / unit.manifest, ""
                    if manifest is not None and not there:
                        try:
                            write_manifest(path, manifest)
                        except OSError as error:
                            unwritten = str(error)
                            standing = _without_manifest(unwritten)
                    if row is not None and unit.task in self._settled_elsewhere:
                        self._note_settled(
                            Settled(
                                row.name, step.production, unit.unit, path, State(row.state),
                                row.reason, manifest or "", unwritten,
                            )
                        )  # fmt: skip
                    else:
                        self._settled(unit.task, standing, attempted=False)
            self._claim(to_run, plans)

    def _claim(self, units: list[Unit], plans: dict[str, UnitPlan]) -> None:
        """Claim units of one step; those that a full engine has no room for stay ready."""
        room = self._submitter.capacity
        units = units if room is None else units[:room]
        if not units:
            return
        step = units[0].step
        planned = claim(self._project, self._database, step, [plans[u.unit] for u in units])
        failed = self._submitter.add(planned.claimed)
        for spec in planned.claimed:
            self._hold(f"{step.key}:{spec.unit}")
        for settled in [*planned.settled, *failed]:
            self._note_settled(settled)

    def _held_back(self, unit: Unit) -> Standing | None:
        """Say why a unit has to wait for a person, or None."""
        for task in unit.upstream:
            standing = self._driver.standings[task]
            unchecked = (
                self._driver.graph[task].step.validate == "person" and standing.word in _TO_VALIDATE
            )
            if unchecked or standing.word == WAITS_FOR_VALIDATION:
                return Standing(Act.RUN, WAITS_FOR_VALIDATION, f"{task} is {standing.word}")
        return None

    def _rows(self, session: Session, tasks: Iterable[str]) -> dict[str, tuple[JobRow, str | None]]:
        """Return task -> (row, manifest) for those that have a job."""
        units = [self._driver.graph[task] for task in tasks]
        productions = {unit.step.production for unit in units}
        found = {}
        for part in chunks(sorted({unit.unit for unit in units})):
            query = (
                sa.select(
                    Production.name, Job.unit, Job.name, Job.folder, Job.state, Job.reason,
                    Job.inputs_digest, Job.manifest_sha, Job.attempts, Job.manifest,
                )
                .join(Production, Production.id == Job.production_id)
                .where(Production.name.in_(productions), Job.unit.in_(part))
            )  # fmt: skip
            for production, unit, *row, manifest in session.execute(query):
                task = self._tasks.get((production, unit))
                if task is not None:
                    found[task] = (JobRow(*row), manifest)
        return found

    def _is_there(self, unit: Unit, manifest: str | None) -> bool:
        """Tell whether a unit's manifest is on disk as the database has it."""
        if manifest is None:
            return True
        try:
            return (self._project.root / unit.manifest).read_text(encoding="utf-8") == manifest
        except (OSError, UnicodeDecodeError):
            return False

    # --- settling ---------------------------------------------------------------------------

    def _hold(self, task: str) -> None:
        """Keep a unit in hand until its attempt is over."""
        self._ready.pop(task, None)
        self._in_hand[task] = None

    def _note_settled(self, settled: Settled) -> None:
        """Take note of a job that an attempt or a verdict settled."""
        task = self._tasks.get((settled.production, settled.unit))
        if task is None:
            return
        standing = Standing(Act.NOTHING, str(settled.state), settled.reason)
        if settled.unwritten:
            standing = _without_manifest(settled.unwritten)
        self._settled(task, standing, attempted=True)

    def _settled(self, task: str, standing: Standing, *, attempted: bool) -> None:
        """Tell the driver of a unit, and wake who waits for it."""
        self._ready.pop(task, None)
        self._in_hand.pop(task, None)
        self._settled_elsewhere.discard(task)
        self._driver.note(task, standing, attempted=attempted)
        done = self._events.get(task)
        if done is not None:
            done.set()


def _without_manifest(error: str) -> Standing:
    """Return how a unit stands whose manifest doit cannot have."""
    return Standing(Act.NOTHING, str(State.FAILED), f"its manifest cannot be written: {error}")
