"""Deleting jobs: rows first, in one transaction, with what they were kept; then the files follow.

Nothing is deleted that was not shown: the list is made again in the transaction that deletes,
under locks, and must have the digest of the one that was shown.  A kill before the commit leaves
everything as it was; after it, :func:`snfpipe.deletion.trash.finish` moves what has not been moved.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe import clock
from snfpipe.config.project import Project
from snfpipe.db import store
from snfpipe.db.models import DeletedJob, Job
from snfpipe.db.session import Database
from snfpipe.deletion import rows, trash
from snfpipe.deletion.plan import Descendants, Plan, make_plan
from snfpipe.errors import Refused
from snfpipe.jobs import deleted_parents
from snfpipe.killpoint import killpoint
from snfpipe.storage.archive import Watch

_CHANGED = "what would go is not what was shown any more"


def plan_deletion(
    database: Database,
    names: Collection[str],
    descendants: Descendants = Descendants.REFUSE,
    *,
    force: bool = False,
) -> Plan:
    """Say what deleting jobs would take; changes nothing.

    Raises
    ------
    Refused
        A job is not there any more.
    """
    with database.read() as session:
        return make_plan(session, _ids(session, names), descendants, force=force)


def delete(
    project: Project, database: Database, plan: Plan, by: str, watch: Watch = lambda: None
) -> list[str]:
    """Delete jobs as a plan has them: rows, files, manifests.

    Returns
    -------
    list of str
        Files that were registered, and not in the archive.

    Raises
    ------
    Refused
        The plan has reasons against it, or anything has changed since it was made.
    """
    check(plan)
    moment = clock.utc_now()
    deletion = f"{moment:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"

    def work(session: Session) -> None:
        ids = _ids(session, plan.names)
        now = make_plan(session, ids, plan.descendants, force=plan.force, lock=True)
        if now.digest != plan.digest:
            raise Refused(_CHANGED, hint="look again: call it without --yes")
        check(now)
        _keep(session, now, deletion, by, moment)
        deleted_parents.mark_children(session, now.contents, moment)
        rows.delete(session, now.contents)
        session.flush()
        killpoint("remove:before-commit")

    try:
        database.transact(work)
    except sa.exc.IntegrityError as error:
        raise Refused(_CHANGED, hint="something was registered just now; look again") from error
    killpoint("remove:after-commit")
    return trash.move_to_trash(project, database, deletion, [it.job for it in plan.goes], watch)


def check(plan: Plan) -> None:
    """Refuse a plan that has reasons against it.

    Raises
    ------
    Refused
        Gives them.
    """
    if plan.refusals:
        told = "\n  ".join(plan.refusals)
        raise Refused(f"nothing was deleted:\n  {told}")


def _ids(session: Session, names: Collection[str]) -> list[int]:
    """Return the rows of jobs, all of which must be there."""
    found = dict(store.rows_in(session, sa.select(Job.name, Job.id), Job.name, names))
    gone = set(names) - found.keys()
    if gone:
        raise Refused(f"{_CHANGED}: {min(gone)} is gone", hint="look again")
    return list(found.values())


def _keep(session: Session, plan: Plan, deletion: str, by: str, moment: datetime) -> None:
    """Write the journal: every job with all its rows."""
    texts = {content["job"][0]["name"]: rows.to_text(content) for content in plan.contents.values()}
    store.insert(
        session,
        DeletedJob,
        [
            {
                "deletion": deletion,
                "name": it.job,
                "state": trash.DELETING,
                "by": by[:80],
                "moment": moment,
                "processes": it.processes,
                "files": it.files,
                "bytes": it.bytes,
                "content": texts[it.job],
            }
            for it in plan.goes
        ],
    )
