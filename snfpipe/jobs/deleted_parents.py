"""Marks on processes whose parent was deleted: set, and undone when the same bytes stand again.

A child that is kept while a parent is deleted stays marked, a standing finding of the audits,
until it is made anew, or a parent with the same bytes stands again: restored, or made again under
a new index.  Functions take a session and never commit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe.db import store
from snfpipe.db.models import DeletedParent, File, Job, Process, ProcessParent, ProductIndex
from snfpipe.grouping import grouped
from snfpipe.names import INDEX_DIGITS

Link = tuple[str, str]  # child, parent


def mark_children(session: Session, job_ids: Iterable[int], moment: datetime) -> None:
    """Mark what other jobs made from the products of jobs that are to be deleted, and cut it off.

    Parameters
    ----------
    session : Session
        A writing session.
    job_ids : iterable of int
        The jobs, all of them.
    moment : datetime
        When they are deleted.
    """
    job_ids = set(job_ids)
    child = sa.orm.aliased(Process)
    query = (
        sa.select(ProcessParent.child, ProcessParent.parent, child.job_id, Job.name)
        .join(Process, Process.id_process == ProcessParent.parent)
        .join(Job, Job.id == Process.job_id)
        .join(child, child.id_process == ProcessParent.child)
    )
    rows = [
        (made, parent, job)
        for made, parent, job_id, job in store.rows_in(session, query, Process.job_id, job_ids)
        if job_id not in job_ids
    ]
    parents = {parent for _child, parent, _job in rows}
    checksums = _checksums(session, parents, live=False)
    _add(
        session,
        [(made, parent, checksums.get(parent, ""), job) for made, parent, job in rows],
        moment,
    )
    store.change_in(session, sa.delete(ProcessParent), ProcessParent.parent, parents)


def link_or_mark(
    session: Session, links: Sequence[Link], checksums: Mapping[str, str], moment: datetime
) -> None:
    """Link children to those parents that are there, and mark them for the others.

    ``checksums``: parent -> the bytes the child was made from, as far as known.
    """
    ident = Process.id_process
    wanted = [parent for _child, parent in links]
    there = set(store.scalars_in(session, sa.select(ident), ident, wanted))
    _link(session, [link for link in links if link[1] in there])
    lost = [
        (child, parent, checksums.get(parent, ""), "")
        for child, parent in links
        if parent not in there
    ]
    _add(session, lost, moment)


def relink(session: Session, id_processes: Collection[str]) -> None:
    """Undo the marks for want of processes that stand now, the same to the byte."""
    by_base = grouped((ident[:-INDEX_DIGITS], ident) for ident in id_processes)
    _relink(session, DeletedParent.base, by_base, by_base)


def relink_children(session: Session, children: Collection[str]) -> None:
    """Undo those marks on `children` for which a parent of the same bytes stands."""
    bases = store.scalars_in(session, sa.select(DeletedParent.base), DeletedParent.child, children)
    _relink(session, DeletedParent.child, children, generations(session, bases))


def generations(session: Session, bases: Iterable[str]) -> dict[str, list[str]]:
    """Return base -> all process ids that were ever given to a product of it."""
    indices = sa.select(ProductIndex.base, ProductIndex.last)
    return {
        base: [f"{base}{n:0{INDEX_DIGITS}}" for n in range(last + 1)]
        for base, last in store.rows_in(session, indices, ProductIndex.base, bases)
    }


def forget(session: Session, children: Collection[str]) -> None:
    """Drop the marks on processes that were made anew."""
    store.change_in(session, sa.delete(DeletedParent), DeletedParent.child, children)


def _relink(
    session: Session,
    column: sa.orm.InstrumentedAttribute[str],
    values: Collection[str],
    candidates: Mapping[str, Sequence[str]],
) -> None:
    """Turn marks into links where one of the candidates for a base is the parent it was.

    Parameters
    ----------
    column, values
        Which marks.
    candidates : mapping
        Base -> process ids.
    """
    query = sa.select(
        DeletedParent.child, DeletedParent.parent, DeletedParent.base, DeletedParent.checksum
    )
    marks = list(store.rows_in(session, query, column, values))
    wanted = {ident for *_rest, base, _sum in marks for ident in candidates.get(base, ())}
    checksums = _checksums(session, wanted, live=True)
    for child, parent, base, checksum in marks:
        same = [
            ident
            for ident in candidates.get(base, ())
            if ident in checksums and (ident == parent or checksums[ident] == checksum)
        ]
        if same:
            _link(session, [(child, same[-1])])
            session.execute(
                sa.delete(DeletedParent).where(
                    DeletedParent.child == child, DeletedParent.parent == parent
                )
            )


def _add(session: Session, marks: Iterable[tuple[str, str, str, str]], moment: datetime) -> None:
    """Add marks: child, parent, the parent's checksum, its job."""
    rows = [
        {
            "child": child,
            "parent": parent,
            "base": parent[:-INDEX_DIGITS],
            "checksum": checksum,
            "job": job,
            "moment": moment,
        }
        for child, parent, checksum, job in marks
    ]
    store.insert_new(session, DeletedParent, rows)


def _link(session: Session, links: Iterable[Link]) -> None:
    """Add links from children to parents."""
    rows = [{"child": child, "parent": parent} for child, parent in links]
    store.insert_new(session, ProcessParent, rows)


def _checksums(session: Session, id_processes: Iterable[str], *, live: bool) -> dict[str, str]:
    """Return process id -> checksum of the main file, of all processes or of live ones."""
    query = (
        sa.select(File.id_process, File.checksum)
        .join(Process, Process.id_process == File.id_process)
        .where(File.role == "main")
    )
    if live:
        query = query.where(Process.state == "live")
    return dict(store.rows_in(session, query, File.id_process, id_processes))
