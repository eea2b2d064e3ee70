"""The folder of all jobs: one for all who share a database, as long as jobs are active.

Jobs are judged by the ledgers in their folders.  Somebody with a folder of his own would look for
those of others in vain, and call them lost.
"""

from __future__ import annotations

import os

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe.config.site import Site
from snfpipe.db import store
from snfpipe.db.models import Attempt, Job, JobsRoot
from snfpipe.errors import Refused, printable
from snfpipe.states import ACTIVE


def hold(session: Session, site: Site) -> None:
    """Hold until the end of a transaction that jobs of the site's engine are below its folder.

    Parameters
    ----------
    session : Session
        A writing session.
    site : Site
        Where jobs are to be claimed.

    Raises
    ------
    Refused
        Jobs of the same engine are active in another folder, which is there.
    """
    root = str(site.jobs.parent)
    store.insert_new(session, JobsRoot, [{"engine": site.engine, "path": root}])
    query = sa.select(JobsRoot.path).where(JobsRoot.engine == site.engine)
    if session.scalar(query) == root and session.scalar(query.with_for_update(read=True)) == root:
        return
    stands = session.scalar(query.with_for_update())
    active_jobs = (
        sa.select(Job.id)
        .join(Attempt, Attempt.token == Job.token)
        .where(Attempt.engine == site.engine, Job.state.in_(ACTIVE))
    )
    if session.scalar(active_jobs.limit(1)):
        _refuse_another(stands, root)
    session.execute(sa.update(JobsRoot).where(JobsRoot.engine == site.engine).values(path=root))


def check(session: Session, site: Site) -> None:
    """Refuse to judge jobs of the site's engine that have their folders elsewhere.

    Raises
    ------
    Refused
        They have another folder, which is there.
    """
    query = sa.select(JobsRoot.path).where(JobsRoot.engine == site.engine)
    _refuse_another(session.scalar(query), str(site.jobs.parent))


def _refuse_another(stands: str | None, root: str) -> None:
    """Refuse a folder beside the one that is used; one that is gone for good holds nobody up."""
    if stands not in (None, root) and os.path.isdir(stands):
        raise Refused(
            f"active jobs have their folders below {printable(stands)}, this site has {root}",
            hint="name that folder in the site's file (jobs), or use a database of your own",
        )
