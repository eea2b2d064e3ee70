"""The chain of a file, up to raw frames and down to what was made from it, out of the database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import chain
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe import fclass, flags
from snfpipe.db import store
from snfpipe.db.models import Attempt, File, Job, Process, ProcessParent
from snfpipe.db.session import Database
from snfpipe.errors import BadName, NotFound, shown
from snfpipe.grouping import grouped
from snfpipe.names import ProductName
from snfpipe.worker.spec import JobSpec


@dataclass(frozen=True, slots=True)
class Making:
    """The attempt that made a process, as its row and its worker have it."""

    job: str
    unit: str
    plan: str
    version: str
    attempt: int
    token: str
    engine: str
    engine_id: str | None
    host: str
    program: str
    started: datetime | None
    ended: datetime | None
    exit_status: int | None
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Node:
    """A process: a product or a raw frame, and how it came about."""

    id_process: str
    name: str
    fclass: int
    xfclass: int
    meaning: str
    state: str
    status: int
    quality: int
    flags: tuple[str, ...]
    files: tuple[str, ...]
    made_by: Making | None


@dataclass(frozen=True, slots=True)
class Provenance:
    """The chain of one process.

    ``parents`` and ``children`` hold what each process of the chain was made from, and what was
    made from it, as far as one can get from ``process`` upwards or downwards.
    """

    process: str
    nodes: dict[str, Node]
    parents: dict[str, tuple[str, ...]]
    children: dict[str, tuple[str, ...]]

    def to_json(self) -> dict[str, Any]:
        """Return plain values, as docs/audit.md describes them."""
        return asdict(self)

    def walk(self, links: dict[str, tuple[str, ...]]) -> Iterator[tuple[int, Node]]:
        """Yield (depth, process) along `links`, one of the two tables, each process once."""
        seen = {self.process}
        stack = [(1, ident) for ident in reversed(links.get(self.process, ()))]
        while stack:
            depth, ident = stack.pop()
            if ident not in seen:
                seen.add(ident)
                yield depth, self.nodes[ident]
                stack += [(depth + 1, other) for other in reversed(links.get(ident, ()))]


def provenance(database: Database, word: str) -> Provenance:
    """Return the chain of a file or a process id.

    Parameters
    ----------
    database : Database
        Where it is registered.
    word : str
        A file's name, main or auxiliary, a path that ends with it, or a process id.

    Raises
    ------
    NotFound
        No row knows of it.
    """
    with database.read() as session:
        process = _find(session, word)
        up = _links(session, process, ProcessParent.child, ProcessParent.parent)
        down = _links(session, process, ProcessParent.parent, ProcessParent.child)
        idents = {process, *chain(*up.values(), *down.values())}
        return Provenance(process, _nodes(session, sorted(idents)), up, down)


def _find(session: Session, word: str) -> str:
    """Return the process that a word names."""
    name = word.rsplit("/", 1)[-1]
    by_name = sa.select(File.id_process).where(File.name == name).limit(1)
    by_id = sa.select(Process.id_process).where(Process.id_process == _unpadded(word))
    found = session.scalar(by_name) or session.scalar(by_id)
    if found is None:
        raise NotFound(
            f"no file or process is called {shown(word)}",
            hint="name a file as the database does (09_239_060_003_4_640_110_02-03_001.fits), or "
            "a process id; `srb_cleanup` finds files that are not in the database",
        )
    return found


def _unpadded(word: str) -> str:
    """Return a process id as the database has it, anything else as it is."""
    try:
        return ProductName.from_id(word).id_process
    except BadName:
        return word


def _links(session: Session, process: str, here: Any, there: Any) -> dict[str, tuple[str, ...]]:
    """Return process -> its neighbours in one direction, for all that can be reached."""
    known = sa.select(sa.literal(process, sa.String(25)).label("ident")).cte(recursive=True)
    known = known.union(sa.select(there).join(known, here == known.c.ident))
    query = sa.select(here, there).join(known, here == known.c.ident).order_by(here, there)
    found = grouped((one, other) for one, other in session.execute(query))
    return {one: tuple(others) for one, others in found.items()}


def _nodes(session: Session, idents: list[str]) -> dict[str, Node]:
    """Return the processes with their files and makers."""
    rows: dict[str, tuple[Process, list[File]]] = {
        process.id_process: (process, [])
        for process in store.scalars_in(session, sa.select(Process), Process.id_process, idents)
    }
    files = sa.select(File).order_by(File.name)
    for file in store.scalars_in(session, files, File.id_process, idents):
        rows[file.id_process][1].append(file)
    jobs = {process.job_id for process, _ in rows.values() if process.job_id is not None}
    makings = _makings(session, jobs)
    return {
        ident: Node(
            id_process=ident,
            name=next((it.name for it in files if it.role == "main"), ident),
            fclass=process.fclass,
            xfclass=process.xfclass,
            meaning=fclass.meaning(process.fclass, process.xfclass),
            state=process.state,
            status=process.status,
            quality=process.quality,
            flags=_flags(process.quality_s),
            files=tuple(f"{it.area}/{it.path}" for it in files),
            made_by=makings.get(ident),
        )
        for ident, (process, files) in rows.items()
    }


def _flags(text: str) -> tuple[str, ...]:
    """Return the flags of a QualityS, of one that cannot be read the text itself."""
    try:
        return flags.decode(text)
    except BadName:
        return (shown(text),)


def _makings(session: Session, job_ids: Iterable[int]) -> dict[str, Making]:
    """Return process -> the last attempt that promised it under its very index."""
    found: dict[str, Making] = {}
    query = (
        sa.select(Attempt, Job.name)
        .join(Job, Job.id == Attempt.job_id)
        .where(Attempt.outcome.in_(("done", "incomplete")))
        .order_by(Attempt.job_id, Attempt.number)
    )
    for attempt, name in store.rows_in(session, query, Attempt.job_id, job_ids, 100):
        try:
            spec = JobSpec.from_json(attempt.spec)
        except (ValueError, KeyError, TypeError):
            continue  # made by other means than a job of ours
        making = Making(
            job=name,
            unit=spec.unit,
            plan=spec.plan,
            version=spec.version,
            attempt=attempt.number,
            token=attempt.token,
            engine=attempt.engine,
            engine_id=attempt.engine_id,
            host=attempt.host,
            program=str(attempt.environment.get("program") or ""),
            started=attempt.started_at,
            ended=attempt.ended_at,
            exit_status=attempt.exit_status,
            options=dict(spec.options),
        )
        found.update((product.id_process, making) for product in spec.products)
    return found
