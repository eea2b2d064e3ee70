"""What deleting jobs would take: shown first, and held against the same list when it is done."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe.db import store
from snfpipe.db.models import Attempt, Job, Process, ProcessParent, Production
from snfpipe.deletion import rows
from snfpipe.deletion.rows import Content
from snfpipe.errors import Refused, shown
from snfpipe.grouping import grouped
from snfpipe.states import ACTIVE, MAY_REGISTER, State
from snfpipe.storage import archive

_Reads = dict[int, Counter[int]]  # job -> jobs that read its products, and how many of them
_NAMED = 5  # jobs at most in one line


class Descendants(StrEnum):
    """What is to become of products of other jobs that were made from those deleted."""

    REFUSE = "refuse"
    DELETE = "delete"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class DeletedJob_:
    """A job that would be deleted, with all it has."""

    job: str
    production: str
    unit: str
    state: State
    rows: int
    processes: int
    files: int
    bytes: int
    descends: bool  # it was not named, but descends from one that was


@dataclass(frozen=True, slots=True)
class Descendant:
    """Another job with live products that descend from those deleted, or that reads them now."""

    job: str
    production: str
    state: State
    products: int
    planned: bool  # it is planned or runs, and has not registered yet


@dataclass(frozen=True)
class Plan:
    """A deletion before it is done.

    ``digest`` covers every row that would go, and who descends from it; ``refusals`` say why it
    cannot be done.
    """

    descendants: Descendants
    force: bool
    goes: tuple[DeletedJob_, ...]
    descends: tuple[Descendant, ...]
    refusals: tuple[str, ...]
    digest: str
    contents: Mapping[int, Content] = field(repr=False)

    @property
    def names(self) -> list[str]:
        """The jobs, those that were named only."""
        return [it.job for it in self.goes if not it.descends]

    @property
    def totals(self) -> dict[str, int]:
        """Jobs, rows, processes, files, bytes."""
        return {
            "jobs": len(self.goes),
            **{
                key: sum(getattr(it, key) for it in self.goes)
                for key in ("rows", "processes", "files", "bytes")
            },
        }

    def to_json(self) -> dict[str, Any]:
        """Return it as docs/manage_jobs.md describes it."""
        return {
            "descendants": str(self.descendants),
            "force": self.force,
            "jobs": [asdict(it) for it in self.goes],
            "descends": [asdict(it) for it in self.descends],
            "totals": self.totals,
            "refusals": list(self.refusals),
            "digest": self.digest,
        }


def make_plan(
    session: Session,
    job_ids: Iterable[int],
    descendants: Descendants = Descendants.REFUSE,
    *,
    force: bool = False,
    lock: bool = False,
) -> Plan:
    """Say what deleting some jobs would take.

    Parameters
    ----------
    session : Session
        A session; a writing one with `lock`.
    job_ids : iterable of int
        Rows of jobs.
    descendants : Descendants
        What is to become of descendants.
    force : bool
        Delete validated jobs, too.
    lock : bool
        Lock the jobs' rows, so that nothing is registered for them meanwhile.
    """
    named = set(job_ids)
    going = set(named)
    _lock(session, going, lock)
    outside = _descending(session, going, _read_reads(session))
    if descendants is Descendants.DELETE:
        _lock(session, outside.keys(), lock)
        going |= outside.keys()
        outside = _descending(session, going, _read_reads(session))
    contents = rows.read(session, going)
    goes = sorted((_goes(it, ident not in named) for ident, it in contents.items()),
                  key=lambda it: it.job)  # fmt: skip
    descends = sorted(outside.values(), key=lambda it: it.job)
    return Plan(
        descendants,
        force,
        tuple(goes),
        tuple(descends),
        tuple(_refusals(goes, descends, contents, descendants, force)),
        _digest(contents, descends, descendants),
        contents,
    )


# --- who descends --------------------------------------------------------------------------


def _lock(session: Session, job_ids: Collection[int], lock: bool) -> None:
    """Lock the rows of jobs, in one order for everybody."""
    if lock:
        rows = sa.select(Job.id).order_by(Job.id).with_for_update()
        list(store.rows_in(session, rows, Job.id, job_ids))


def _descending(session: Session, job_ids: Collection[int], reads: _Reads) -> dict[int, Descendant]:
    """Return all jobs outside that descend from some, whatever the number of steps between."""
    found: dict[int, Descendant] = {}
    jobs = sa.select(Job.id, Job.name, Production.name, Job.state).join(
        Production, Production.id == Job.production_id
    )
    level = set(job_ids)
    while level:
        made = _made_from(session, level)
        planned: Counter[int] = Counter()
        for owner in level & reads.keys():
            planned.update(reads[owner])
        level = (made.keys() | planned.keys()) - found.keys() - set(job_ids)
        for ident, name, production, state in store.rows_in(session, jobs, Job.id, level):
            count = made.get(ident) or planned[ident]
            found[ident] = Descendant(name, production, State(state), count, ident in planned)
    return found


def _made_from(session: Session, job_ids: Collection[int]) -> Counter[int]:
    """Return the jobs with live products made from products of some, and how many."""
    child = sa.orm.aliased(Process)
    counts: Counter[int] = Counter()
    query = (
        sa.select(child.job_id, sa.func.count(child.id_process.distinct()))
        .select_from(ProcessParent)
        .join(Process, Process.id_process == ProcessParent.parent)
        .join(child, child.id_process == ProcessParent.child)
        .where(child.state == "live", child.job_id != Process.job_id)
        .group_by(child.job_id)
    )
    for ident, count in store.rows_in(session, query, Process.job_id, job_ids):
        counts[ident or 0] += count
    return counts


def _read_reads(session: Session) -> _Reads:
    """Return, by the specs of attempts on their way, whose products are read by whom."""
    specs = (
        sa.select(Job.id, Attempt.spec)
        .join(Attempt, Attempt.token == Job.token)
        .where(Job.state.in_(MAY_REGISTER))
    )
    read_by = grouped(
        (given["id_process"], ident)
        for ident, text in session.execute(specs)
        for given in json.loads(text or "{}").get("selection", ())
    )
    reads: _Reads = {}
    query = sa.select(Process.id_process, Process.job_id)
    for id_process, owner in store.rows_in(session, query, Process.id_process, read_by):
        reads.setdefault(owner or 0, Counter()).update({*read_by[id_process]} - {owner})
    return reads


# --- what goes, and what stands in the way -------------------------------------------------


def _goes(content: Content, descends: bool) -> DeletedJob_:
    """Count what a job has."""
    (job,) = content["job"]
    files = content.get("file", ())
    rows = sum(len(rows) for rows in content.values() if isinstance(rows, list))
    return DeletedJob_(
        job["name"], content["production"], job["unit"], State(job["state"]), rows,
        len(content.get("process", ())), len(files), sum(file["size"] for file in files), descends,
    )  # fmt: skip


def _refusals(
    goes: Sequence[DeletedJob_],
    descends: Sequence[Descendant],
    contents: Mapping[int, Content],
    descendants: Descendants,
    force: bool,
) -> Iterator[str]:
    """Yield why a deletion cannot be done, each with what to do about it."""
    running = [it.job for it in goes if it.state in ACTIVE]
    if running:
        yield f"active: {_some(running)}; end them first with `manage_jobs -k`"
    readers = [it.job for it in descends if it.planned and it.state in ACTIVE]
    if readers:
        yield (
            f"read just now by {_some(readers)}; wait for the end, or end them with "
            "`manage_jobs -k`"
        )
    validated = [it.job for it in goes if it.state is State.VALIDATED]
    if validated and not force:
        yield f"validated: {_some(validated)}; --force deletes them all the same"
    others = [it.job for it in descends if it.job not in readers]
    if others and descendants is Descendants.REFUSE:
        yield (
            f"products of {_some(others)} descend from these; --with-descendants deletes them, "
            "too, --keep-descendants leaves them, marked as having a deleted parent"
        )
    yield from _strange_files(contents)


def _strange_files(contents: Mapping[int, Content]) -> Iterator[str]:
    """Yield the jobs with folders or files that are not ours to touch."""
    for content in contents.values():
        (job,) = content["job"]
        names = [job["name"], *(it["token"] for it in content.get("attempt", ()))]
        if any("/" in name or name in ("", ".", "..") for name in names):
            yield f"{shown(job['name'])}: it or an attempt has a name that leads to other folders"
            continue
        try:
            archive.check_path(job["folder"])
            for file in content.get("file", ()):
                archive.check_path(file["path"])
                if file["area"] != "archive":
                    raise Refused(f"{shown(file['path'])} is no product's file")
        except Refused as error:
            yield f"{job['name']}: {error.message}"


def _some(names: Sequence[str]) -> str:
    """Return some names and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _digest(
    contents: Mapping[int, Content], descends: Sequence[Descendant], descendants: Descendants
) -> str:
    """Return a digest of all that a person was shown, and of every row behind it."""
    digest = hashlib.sha256(descendants.encode())
    for _ident, content in sorted(contents.items()):
        digest.update(rows.to_text(content).encode())
    digest.update(json.dumps([asdict(it) for it in descends]).encode())
    return digest.hexdigest()
