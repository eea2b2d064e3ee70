"""What Grid Engine and Slurm have in common: arrays, the cap on jobs at once, and finding again.

The cap holds over all arrays of all productions that share the engine's folder, whoever
submitted them: of our tasks in the queue, at most as many as the site's slots are not held.
Tasks beyond that are held back and released as others end.  Submitting and releasing happen
under a lease; a command that was left behind by a killed process holds it until it has ended.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snfpipe import clock
from snfpipe.engines.arrays import (
    Array,
    ArrayFolder,
    TaskId,
    check_folder,
    group,
    is_token,
    made_at,
    parse_ids,
    token_of,
)  # fmt: skip
from snfpipe.engines.base import EngineOutcome, EngineState, Submission
from snfpipe.engines.scheduler import Rejection, Scheduler
from snfpipe.errors import Refused, ServiceUnavailable
from snfpipe.grouping import grouped
from snfpipe.handles import opened

_LEASE_S = 120.0  # how long to wait for others that submit
_FRESH_S = 1.0  # how long a look at the queue serves
_RECENT_S = 86_400.0  # how long ago a submission may have been made whose id was never stored
_KEPT_S = 60 * 86_400.0  # how long an array's files are kept


@dataclass(frozen=True, slots=True)
class OurTasks:
    """Our tasks in the queue at one moment.

    ``open`` may start, ``waiting`` are held back for the cap, ``held`` by an operator.
    """

    time: float
    states: dict[TaskId, EngineState]
    open: list[TaskId]
    waiting: list[TaskId]
    held: list[TaskId]


class BatchEngine:
    """A batch scheduler behind the contract of engines.

    Parameters
    ----------
    scheduler : Scheduler
        Its commands.
    folder : Path
        What all that drive this site share: the arrays' files and the lease.
    slots : int
        The cap.
    grace_s : float
        See :class:`~snfpipe.engines.base.Engine`; also how long a task may be in error.
    """

    asks_scheduler = True

    def __init__(self, scheduler: Scheduler, folder: Path, slots: int, grace_s: float) -> None:
        self.name = scheduler.name
        self.grace_s = grace_s
        self.notices: tuple[str, ...] = ()
        self._scheduler = scheduler
        self._arrays = check_folder(folder) / "arrays"
        self._arrays.mkdir(parents=True, exist_ok=True)
        self._lease_path = folder / "lease"
        self._slots = slots
        self._folders: dict[str, ArrayFolder] = {}
        self._forget()
        self._in_error: dict[TaskId, float] = {}
        self._tidied = False

    # --- the contract -----------------------------------------------------------------------

    def capacity(self) -> int:
        """Return the room under the cap."""
        look = self._recent_look()
        return max(0, self._slots - len(look.open) - len(look.waiting))

    def submit(self, batch: Sequence[Submission]) -> dict[str, str]:
        """Submit all of `batch` as arrays; what the cap has no room for waits in the queue."""
        if not batch:
            return {}
        taken: dict[str, str] = {}
        with self._lease() as lease:
            look = self._look()
            room = self._slots - len(look.open) if not look.waiting else 0
            held_back = False
            for array in group(batch, self._scheduler.largest_array):
                held = len(array.submissions) > room
                held_back = held_back or held
                room = 0 if held else room - len(array.submissions)
                job = self._submit(array, held, lease)
                taken |= {
                    it.token: str(TaskId(job, task, array.token))
                    for task, it in enumerate(array.submissions, 1)
                }
            self._forget()
            if held_back:
                self._fill(self._look())
            self._tidy(look)
        return taken

    def refused(self, engine_ids: Collection[str]) -> dict[str, str]:
        """Return what qsub or sbatch said."""
        never = [it for it in parse_ids(engine_ids) if not it.job]
        return {
            str(it): end.failure
            for token, tasks in _by_token(never).items()
            for it in tasks
            if (end := self._folder(token).failures().get(it.task))
        }

    def snapshot(self) -> Mapping[str, EngineState]:
        """Return the state of all tasks in the queue that come from here."""
        return {str(task): state for task, state in self._look().states.items()}

    def fill(self) -> None:
        """Release what waits, as far as there is room; withdraw what stays in error."""
        look = self._recent_look()
        self._withdraw(look)
        if look.waiting and len(look.open) < self._slots:
            with self._lease():
                self._fill(self._look())

    def find(self, tokens: Collection[str]) -> dict[str, str]:
        """Return the ids of submissions in queue or accounting, by the tables of their arrays."""
        if not tokens:
            return {}
        with self._lease():  # whoever is submitting now has done it after this
            look = self._look()
        queued = {
            self._folder(task.token).submissions.get(task.task): str(task)
            for task in sorted(look.states, key=lambda it: it.token)
        }
        found = {token: queued[token] for token in tokens if token in queued}
        return found | self._find_ended([token for token in tokens if token not in found])

    def folders(self, engine_ids: Collection[str]) -> dict[str, Path]:
        """Return what the tables of arrays say."""
        return {
            str(it): folder
            for token, tasks in _by_token(parse_ids(engine_ids)).items()
            for it in tasks
            if (folder := self._folder(token).folders.get(it.task))
        }

    def outcomes(self, engine_ids: Collection[str]) -> dict[str, EngineOutcome]:
        """Return what accounting has, or what is known of those that never reached it."""
        found: dict[TaskId, EngineOutcome] = {}
        rest: list[TaskId] = []
        facts: dict[str, dict[str, Any]] = {}
        for token, tasks in _by_token(parse_ids(engine_ids)).items():
            folder = self._folder(token)
            failures = folder.failures()
            found |= {it: failures[it.task] for it in tasks if it.task in failures}
            asked = [it for it in tasks if it.task not in failures]
            if asked:
                rest += asked
                facts[token] = folder.facts
        if rest:
            found |= self._scheduler.ended(rest, facts)
        return {str(it): outcome for it, outcome in found.items()}

    def cancel(self, engine_ids: Collection[str]) -> None:
        """End tasks, queued or running."""
        for job, tasks in _by_job(parse_ids(engine_ids)).items():
            self._scheduler.cancel(job, [it.task for it in tasks])
        self._forget()

    def hold(self, engine_ids: Collection[str]) -> None:
        """Keep queued tasks from starting until they are released."""
        with self._lease():
            for job, tasks in _by_job(parse_ids(engine_ids)).items():
                numbers = [it.task for it in tasks]
                self._scheduler.hold(job, numbers)
                for token in {it.token for it in tasks}:
                    folder = self._folder(token)
                    folder.waiting = folder.waiting - set(numbers)
        self._forget()

    def release(self, engine_ids: Collection[str]) -> None:
        """Let held tasks start when there is room under the cap."""
        with self._lease():
            held = set(self._look().held)
            for token, tasks in _by_token(parse_ids(engine_ids)).items():
                folder = self._folder(token)
                folder.waiting = folder.waiting | {it.task for it in tasks if it in held}
            self._fill(self._look())

    # --- the cap ----------------------------------------------------------------------------

    def _fill(self, look: OurTasks) -> None:
        """Release waiting tasks, oldest array first; call it under the lease."""
        room = self._slots - len(look.open)
        chosen = sorted(look.waiting, key=lambda it: (it.token, it.task))[: max(0, room)]
        if not chosen:
            return
        for job, tasks in _by_job(chosen).items():
            with suppress(Refused):  # somebody else's: their driver releases them
                self._scheduler.release(job, [it.task for it in tasks])
        still = set(self._look().waiting)
        for token, tasks in _by_token(chosen).items():
            folder = self._folder(token)
            folder.waiting = folder.waiting - {it.task for it in tasks if it not in still}
        self._forget()

    def _withdraw(self, look: OurTasks) -> None:
        """Take tasks out of the queue that have been in error for the engine's grace."""
        now = clock.monotonic()
        in_error = [it for it, state in look.states.items() if state is EngineState.ERROR]
        self._in_error = {it: self._in_error.get(it, now) for it in in_error}
        for task, since in self._in_error.items():
            if now - since >= self.grace_s:
                reason = self._scheduler.problem(task.job, task.task)
                self._folder(task.token).fail([task.task], f"it could not be started: {reason}")
                with suppress(Refused):
                    self._scheduler.cancel(task.job, [task.task])

    # --- submitting -------------------------------------------------------------------------

    def _submit(self, array: Array, held: bool, lease: int) -> int:
        """Write an array's files and submit it; return the job number, 0 where it is refused."""
        folder = ArrayFolder(self._arrays, array.token)
        folder.write(array, self._scheduler.variable, self._scheduler.facts())
        everything = range(1, len(array.submissions) + 1)
        if held:
            folder.waiting = everything
        try:
            return self._scheduler.submit(array, folder, held=held, lease=lease)
        except Rejection as rejection:
            folder.fail(everything, f"it was refused: {rejection}")
            return 0

    def _tidy(self, look: OurTasks) -> None:
        """Remove the files of arrays of long ago, once a process."""
        if self._tidied:
            return
        self._tidied = True
        living = {it.token for it in look.states}
        for token in self._tokens_since(0.0):
            if made_at(token) < clock.epoch_s() - _KEPT_S and token not in living:
                shutil.rmtree(self._arrays / token, ignore_errors=True)

    @contextmanager
    def _lease(self) -> Iterator[int]:
        """Be the only one that submits or releases; the lock's handle may be passed on.

        Raises
        ------
        ServiceUnavailable
            Somebody has had it for minutes.
        """
        deadline = clock.monotonic() + _LEASE_S
        with opened(self._lease_path, os.O_RDWR | os.O_CREAT, 0o666) as handle:
            while not _is_locked(handle):
                if clock.monotonic() > deadline:
                    raise ServiceUnavailable(
                        f"somebody has been submitting jobs for {_LEASE_S:g} s",
                        hint=f"see who holds {self._lease_path} (lsof), and what it waits for",
                    )
                clock.sleep(0.02)
            yield handle

    # --- looking ----------------------------------------------------------------------------

    def _recent_look(self) -> OurTasks:
        """Return the last look, or a new one where that is old."""
        return self._seen if clock.monotonic() - self._seen.time < _FRESH_S else self._look()

    def _forget(self) -> None:
        """Look anew next time: something was changed."""
        self._seen = OurTasks(float("-inf"), {}, [], [], [])

    def _look(self) -> OurTasks:
        """Ask the scheduler for all tasks in the queue, and sort ours."""
        moment, queue = clock.monotonic(), self._scheduler.queue()
        look = OurTasks(moment, {}, [], [], [])
        waiting: dict[str, set[int]] = {}
        for entry in queue.entries:
            token = token_of(entry.name)
            if token is None or not self._folder(token).name:
                continue
            task = TaskId(entry.job, entry.task, token)
            state = entry.state
            if token not in waiting:
                waiting[token] = self._folder(token).waiting
            if state is not EngineState.HELD:
                look.open.append(task)
            elif task.task in waiting[token]:
                look.waiting.append(task)
                state = EngineState.QUEUED
            else:
                look.held.append(task)
            look.states[task] = state
        waiting_here = (  # the scheduler alone would never start them
            f"{len(look.waiting)} waiting for one of {self._slots} slots: doit or osiris, while it "
            "runs, lets them start"
        )
        self.notices = (*queue.notices, *([waiting_here] if look.waiting else []))
        self._seen = look
        return look

    def _find_ended(self, tokens: Sequence[str]) -> dict[str, str]:
        """Return the ids of submissions of late that accounting knows."""
        ids = {}
        for array in self._tokens_since(clock.epoch_s() - _RECENT_S):
            tasks = self._folder(array).tasks
            ids.update({token: (array, tasks[token]) for token in tokens if token in tasks})
        if not ids:
            return {}
        wanted = [TaskId(0, task, array) for array, task in ids.values()]
        facts = {it.token: self._folder(it.token).facts for it in wanted}
        ended = {(it.token, it.task): it for it in self._scheduler.ended(wanted, facts)}
        return {token: str(ended[key]) for token, key in ids.items() if key in ended}

    def _tokens_since(self, moment: float) -> list[str]:
        """Return the tokens of arrays made since a moment, oldest first."""
        tokens = sorted(it.name for it in os.scandir(self._arrays) if is_token(it.name))
        return [token for token in tokens if made_at(token) >= moment]

    def _folder(self, token: str) -> ArrayFolder:
        """Return an array's folder, remembered with its table."""
        folder = self._folders.get(token) or ArrayFolder(self._arrays, token)
        if folder.name:  # its files do not change any more
            self._folders[token] = folder
        return folder


def _by_job(tasks: Iterable[TaskId]) -> dict[int, list[TaskId]]:
    """Return tasks by job number; what was refused has none."""
    return grouped((it.job, it) for it in tasks if it.job)


def _by_token(tasks: Iterable[TaskId]) -> dict[str, list[TaskId]]:
    """Return tasks by array."""
    return grouped((it.token, it) for it in tasks)


def _is_locked(handle: int) -> bool:
    """Lock a file if nobody has; tell whether it is."""
    with suppress(BlockingIOError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
