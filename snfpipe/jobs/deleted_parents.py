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
    rows = []
    child = sa.orm.aliased(Process)
    for part in store.chunks(sorted(job_ids)):
        query = (
            sa.select(ProcessParent.child, ProcessParent.parent, child.job_id, Job.name)
            .join(Process, Process.id_process == ProcessParent.parent)
            .join(Job, Job.id == Process.job_id)
            .join(child, child.id_process == ProcessParent.child)
            .where(Process.job_id.in_(part))
        )
        rows += [
            (made, parent, job)
            for made, parent, job_id, job in session.execute(query)
            if job_id not in job_ids
        ]
    checksums = _checksums(session, {parent for _child, parent, _job in rows}, live=False)
    _add(
        session,
        [(made, parent, checksums.get(parent, ""), job) for made, parent, job in rows],
        moment,
    )
    parents = sorted({parent for _child, parent, _job in rows})
    for names in store.chunks(parents):
        session.execute(sa.delete(ProcessParent).where(ProcessParent.parent.in_(names)))


def link_or_mark(
    session: Session, links: Sequence[Link], checksums: Mapping[str, str], moment: datetime
) -> None:
    """Link children to those parents that are there, and mark them for the others.

    ``checksums``: parent -> the bytes the child was made from, as far as known.
    """
    wanted = {parent for _child, parent in links}
    there: set[str] = set()
    for part in store.chunks(sorted(wanted)):
        query = sa.select(Process.id_process).where(Process.id_process.in_(part))
        there.update(session.scalars(query))
    _link(session, [link for link in links if link[1] in there])
    lost = [
        (child, parent, checksums.get(parent, ""), "")
        for child, parent in links
        if parent not in there
    ]
    _add(session, lost, moment)


def relink(session: Session, id_processes: Collection[str]) -> None:
    """Undo the marks for want of processes that stand now, the same to the byte."""
    by_base: dict[str, list[str]] = {}
    for ident in id_processes:
        by_base.setdefault(ident[:-INDEX_DIGITS], []).append(ident)
    _relink(session, DeletedParent.base, by_base, by_base)


def relink_children(session: Session, children: Collection[str]) -> None:
    """Undo those marks on `children` for which a parent of the same bytes stands."""
    bases: set[str] = set()
    for part in store.chunks(sorted(children)):
        query = sa.select(DeletedParent.base).where(DeletedParent.child.in_(part))
        bases.update(session.scalars(query))
    candidates = {}
    for part in store.chunks(sorted(bases)):
        lasts = sa.select(ProductIndex.base, ProductIndex.last).where(ProductIndex.base.in_(part))
        for base, last in session.execute(lasts):
            candidates[base] = [f"{base}{n:0{INDEX_DIGITS}}" for n in range(last + 1)]
    _relink(session, DeletedParent.child, children, candidates)


def forget(session: Session, children: Collection[str]) -> None:
    """Drop the marks on processes that were made anew."""
    for part in store.chunks(sorted(children)):
        session.execute(sa.delete(DeletedParent).where(DeletedParent.child.in_(part)))


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
    marks: list[tuple[str, str, str, str]] = []
    for part in store.chunks(sorted(values)):
        query = sa.select(
            DeletedParent.child, DeletedParent.parent, DeletedParent.base, DeletedParent.checksum
        ).where(column.in_(part))
        marks += [(made, of, base, was) for made, of, base, was in session.execute(query)]
    if not marks:
        return
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
    found: dict[str, str] = {}
    for part in store.chunks(sorted(id_processes)):
        query = (
            sa.select(File.id_process, File.checksum)
            .join(Process, Process.id_process == File.id_process)
            .where(File.id_process.in_(part), File.role == "main")
        )
        if live:
            query = query.where(Process.state == "live")
        found.update({ident: checksum for ident, checksum in session.execute(query)})
    return found
