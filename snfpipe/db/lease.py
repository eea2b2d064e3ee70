"""Leases: what one process at a time does for everybody, until it stops renewing.

Functions take a writing session and never commit.  Clocks of hosts that share a database must
agree to within a part of the shortest lease.
"""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe import clock
from snfpipe.db import store
from snfpipe.db.models import Lease


def take(session: Session, name: str, holder: str, seconds: float) -> bool:
    """Take a lease, or renew one's own; tell whether `holder` has it now.

    Parameters
    ----------
    session : Session
        A writing session; what it says holds once it is committed.
    name : str
        What is to be done by one alone.
    holder : str
        Who asks, told from all others.
    seconds : float
        For how long; renew well before.
    """
    moment = clock.utc_now()
    until = moment + timedelta(seconds=seconds)
    store.insert_new(session, Lease, [{"name": name, "holder": holder, "until": until}])
    found = session.execute(
        sa.update(Lease)
        .where(Lease.name == name, sa.or_(Lease.holder == holder, Lease.until < moment))
        .values(holder=holder, until=until)
        .returning(Lease.name)
    )
    return found.first() is not None


def release(session: Session, name: str, holder: str) -> None:
    """Give a lease back; one that is another's by now stays as it is."""
    session.execute(sa.delete(Lease).where(Lease.name == name, Lease.holder == holder))


def holder_of(session: Session, name: str) -> str | None:
    """Return who has a lease that has not run out; None where nobody has."""
    query = sa.select(Lease.holder).where(Lease.name == name, Lease.until >= clock.utc_now())
    return session.scalar(query)
