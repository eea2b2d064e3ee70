"""Osiris as a batch job: submitted under its name, with Anubis waiting in a job of his own.

Both run in the daemon queue: the one that the site's settings name for plan ``osiris``
(``queues.osiris``).  Whichever Anubis takes over takes the name as well, and submits the next; the
scheduler may be away just then, so that it tries until it can.  Where several Anubis wait, all but
the youngest end when their wait is over.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import snfpipe
from snfpipe import clock
from snfpipe.config.project import Project
from snfpipe.daemon.osiris import Event, Osiris, lease_name
from snfpipe.daemon.single import database_variable, scripts_of, submit_command
from snfpipe.db import lease
from snfpipe.db.session import Database
from snfpipe.engines.settings import Settings
from snfpipe.engines.single import JOB_ID, Queued, SingleJobs
from snfpipe.errors import Refused, ServiceUnavailable, SnfError, told

OSIRIS = "Osiris"
ANUBIS = "Anubis"
LIMIT_S = 7 * 24 * 3600.0
#: How long before its limit Osiris hands over, at most: a harvest stops between two transactions.
_MARGIN_S = 120.0
_TRY_EVERY_S = 60.0
_SUBMITTING_S = 200.0  # longer than the scheduler's three answers may take


class Standing(NamedTuple):
    """Where Osiris and Anubis of a site are: those that serve or wait, and jobs in error."""

    there: dict[str, str]
    in_error: list[Queued]


def standing(project: Project, database: Database) -> Standing:
    """Return who there is of Osiris and Anubis for this site.

    An Osiris need not be a job: whoever has the lease is one.  A job in error is none.

    Raises
    ------
    Refused
        Neither can be submitted: the site has no batch queue, or the database is named in a way
        that no file may hold.
    ServiceUnavailable
        The scheduler or the database does not answer.
    """
    found = _in_queue(project)
    database_variable()
    with database.read() as session:
        holder = lease.holder_of(session, lease_name(project.site.engine))
    jobs = {it.name: f"job {it.ident}" for it in found if not it.error}
    return Standing(({OSIRIS: holder} if holder else {}) | jobs, [it for it in found if it.error])


@contextmanager
def alone(project: Project, database: Database) -> Iterator[None]:
    """Keep others from submitting the daemons of this site meanwhile.

    Raises
    ------
    Refused
        Another is at it.
    """
    name, me = f"submit {lease_name(project.site.engine)}", secrets.token_hex(8)
    if not database.transact(lambda session: lease.take(session, name, me, _SUBMITTING_S)):
        raise Refused(
            "another command submits Osiris and Anubis at this moment",
            hint="call it again in a while: it submits only what is missing",
        )
    try:
        yield
    finally:
        database.transact(lambda session: lease.release(session, name, me))


def submit(project: Project, name: str, words: list[str], limit_s: float = LIMIT_S) -> str:
    """Submit Osiris or Anubis; return the job id.

    Parameters
    ----------
    project : Project
        Whose jobs it looks after.
    name : str
        :data:`OSIRIS` or :data:`ANUBIS`.
    words : list of str
        Options of the command that the job runs.
    limit_s : float
        The job's time limit.

    Raises
    ------
    Refused
        The site has no batch queue, or the database is named in a way that no file may hold.
    ServiceUnavailable
        The scheduler does not take it.
    """
    SingleJobs(project.site)  # a site without a queue is refused
    folder = project.site.jobs.parent / ".osiris"
    folder.mkdir(parents=True, exist_ok=True)
    daemon = [sys.executable, "-I", "-m", snfpipe.__name__, name.lower()]
    return submit_command(
        project, name, [*daemon, "--in-batch", f"{limit_s:g}", *words],
        log=folder / f"{name}.log",
        queue=Settings.of(project.site.settings).queue_of("osiris"),
        wall_s=limit_s,
    ).engine_id  # fmt: skip


def time_to_serve(limit_s: float) -> float:
    """Return after how long a job with a time limit hands over."""
    return limit_s - min(_MARGIN_S, limit_s / 4)


def time_to_wait(limit_s: float) -> float:
    """Return after how long a job with a time limit leaves the wait to a fresh Anubis.

    Osiris and Anubis are submitted together: one who waited as long as Osiris may serve would take
    over at the end of his own time.
    """
    return 0.6 * time_to_serve(limit_s)


def take_the_name(project: Project) -> str:
    """Rename the job this process runs in to Osiris; return what stood in the way, if anything."""
    try:
        answer = SingleJobs(project.site).rename(_this_job(project), OSIRIS)
    except (SnfError, OSError) as error:  # a name is no reason not to serve
        return told(error)
    return "" if answer.status == 0 else answer.said


def _this_job(project: Project) -> str:
    """Return the id of the job that this process runs in."""
    return os.environ.get(JOB_ID[project.site.engine], "")


def _in_queue(project: Project) -> list[Queued]:
    """Return the jobs of Osiris and Anubis in the queue, oldest first, but not another site's."""
    here = scripts_of(project.site).resolve()
    found = SingleJobs(project.site).queued(OSIRIS, ANUBIS)
    return [it for it in found if it.folder.resolve().parent == here]


def _queue_one_after(project: Project, words: list[str], limit_s: float) -> str:
    """Return the id of an Anubis younger than this job: one that there is, or a new one."""
    this = _this_job(project)
    age = int(this) if this.isdecimal() else 0
    younger = [
        it.ident
        for it in _in_queue(project)
        if it.name == ANUBIS and it.ident > age and not it.error
    ]
    return str(younger[-1]) if younger else submit(project, ANUBIS, words, limit_s)


class NextAnubis:
    """The Anubis that is to wait after the one this process is: queued once, tried until then.

    Parameters
    ----------
    queue : callable
        Submits it where there is none yet, and returns its job id.
    say : callable
        Told when it is queued, and of each new problem.
    every_s : float
        How long after a try that failed the next one comes.

    Attributes
    ----------
    queued : bool
        Whether it is.
    problem : str
        What stood in the way last.
    """

    def __init__(
        self, queue: Callable[[], str], say: Callable[[Event], None], every_s: float
    ) -> None:
        self._queue, self._say, self._every_s = queue, say, every_s
        self._next_try = float("-inf")
        self.queued = False
        self.problem = ""

    def see_to(self) -> bool:
        """Queue it if it is not and was not tried just now; tell whether it is queued."""
        if self.queued or clock.monotonic() < self._next_try:
            return self.queued
        try:
            ident = self._queue()
        except (SnfError, OSError) as error:  # a disk is a service, too
            self._next_try = clock.monotonic() + self._every_s
            before, self.problem = self.problem, told(error)
            if self.problem != before:  # once, not every minute
                self._say(Event("no Anubis", self.problem))
            return False
        self.queued = True
        self._say(Event("queued Anubis", f"job {ident}"))
        return True


def wait_in_batch(
    project: Project, one: Osiris, words: list[str], limit_s: float, heartbeat_s: float
) -> None:
    """Be Anubis in a job: take the name of Osiris with his work; the next Anubis is queued.

    Parameters
    ----------
    project : Project
        Whose jobs are looked after.
    one : Osiris
        The daemon.
    words : list of str
        Options of the next Anubis.
    limit_s : float
        Time limit of this job, and of the next.
    heartbeat_s : float
        See :class:`~snfpipe.daemon.osiris.Osiris`.

    Raises
    ------
    ServiceUnavailable
        The time is up, and no Anubis waits: none could be queued.
    """
    until = clock.monotonic() + time_to_wait(limit_s)
    following = NextAnubis(
        lambda: _queue_one_after(project, words, limit_s),
        one.say,
        min(_TRY_EVERY_S, heartbeat_s),
    )
    if one.wait(lambda: clock.monotonic() > until and following.see_to()):
        if problem := take_the_name(project):
            one.say(Event("keeps its name", problem))
        one.serve(following.see_to)
    if not (following.queued or one.stopped):
        raise ServiceUnavailable(
            f"no Anubis waits after this one: {following.problem}",
            hint="fix that, then call `osiris --submit`",
        )
