"""Holding a released version to what it ran when it was first used for a claim."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe.config.project import Project
from snfpipe.config.released import Edited, Kept, edited, edited_versions, what_runs
from snfpipe.config.step import Step
from snfpipe.db import store
from snfpipe.db.models import VersionDigest
from snfpipe.errors import Refused

_KEPT = sa.select(
    VersionDigest.label, VersionDigest.plan, VersionDigest.digest, VersionDigest.content
)


def hold_version(session: Session, project: Project, step: Step) -> None:
    """Keep what a released version runs for a plan, or refuse it where it is something else.

    A version that was released once is held to it whatever its file says of that now.

    Parameters
    ----------
    session : Session
        A writing session, that of a claim.
    project, step : Project, Step
        What is about to be claimed.

    Raises
    ------
    Refused
        The version's file was edited.
    """
    version, now = project.version, what_runs(project.version, step.program)
    query = _KEPT.where(VersionDigest.label == version.label, VersionDigest.plan == step.plan)
    row = session.execute(query).one_or_none()
    if row is None and version.released:
        store.insert_new(session, VersionDigest, [now._asdict()])
        row = session.execute(query).one_or_none()  # of whoever came first
    found = row and edited(project.root, version, Kept(*row), step.program)
    if found:
        raise Refused(found.what, hint=found.next_step)


def edits(session: Session, project: Project) -> Iterator[Edited]:
    """Yield the versions that were edited since they were first used."""
    yield from edited_versions(project.root, [Kept(*row) for row in session.execute(_KEPT)])
