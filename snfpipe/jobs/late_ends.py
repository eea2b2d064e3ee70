"""Late ends of older attempts: told, and never registered.

An attempt that was given up as lost, and whose job was then tried again, may come to an end
nevertheless.  Its row says so; what it left in the incoming area goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from snfpipe.config.site import Site
from snfpipe.db import store
from snfpipe.db.models import Attempt, Job, Production
from snfpipe.db.session import Database
from snfpipe.jobs.active import Whose
from snfpipe.jobs.postmortem import moment_of
from snfpipe.states import State
from snfpipe.worker import ledger
from snfpipe.worker.spec import AttemptFolder


@dataclass(frozen=True, slots=True)
class LateEnd:
    """The end of an attempt that its job does not name any more."""

    token: str
    job: str
    number: int
    current: int
    ended: datetime

    @property
    def text(self) -> str:
        """What the attempt's row says of it."""
        return (
            f"given up as lost; it ended on {self.ended:%Y-%m-%d at %H:%M:%S} UTC, when attempt "
            f"{self.current} had taken its place: nothing of it is registered"
        )


def note_late_ends(database: Database, site: Site, whose: Whose, since: datetime) -> list[LateEnd]:
    """Find the late ends of older attempts that were given up since a moment; note each once.

    Returns
    -------
    list of LateEnd
        Those that were not noted before.
    """
    with database.read() as session:
        query = (
            sa.select(
                Attempt.token, Attempt.number, Attempt.ended_at, Job.name, Job.attempts, Job.folder,
                Production.version,
            )
            .join(Job, Job.id == Attempt.job_id)
            .join(Production, Production.id == Job.production_id)
            .where(
                whose, Attempt.outcome == State.LOST.value, Attempt.ended_at >= since,
                Attempt.token != sa.func.coalesce(Job.token, ""),
            )
        )  # fmt: skip
        rows = session.execute(query).all()
    found = []
    for token, number, noted, job, attempts, folder, version in rows:
        place = site.jobs.parent / version / folder
        ended = _end_of(AttemptFolder.numbered(place, job, number, token))
        if ended is not None and ended != noted:  # a row that was noted has the ledger's moment
            found.append(LateEnd(token, job, number, attempts, ended))
    told = [{"token": it.token, "ended_at": it.ended, "reason": it.text} for it in found]
    if told:
        database.transact(lambda session: store.update_rows(session, Attempt, told, ["token"]))
    return found


def _end_of(attempt: AttemptFolder) -> datetime | None:
    """Return when an attempt ended, as its ledger says."""
    records = ledger.read(attempt.ledger)
    ends = [record["time"] for record in records if record["kind"] in ("ending", "end")]
    return moment_of(ends[-1]) if ends else None
