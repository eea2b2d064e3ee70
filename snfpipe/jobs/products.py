"""Rows of products: what stands for a job, and what an attempt's result makes of it.

A redone product with the same bytes keeps its row and its index; a changed one gets the reserved
index, and the older row becomes *superseded*: kept, never selected.  So does what a result no
longer has.  Functions take a session and never commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe import flags
from snfpipe.db import store
from snfpipe.db.models import (
    Expected,
    File,
    Measurement,
    Pose,
    Process,
    ProcessParent,
    ProductIndex,
)
from snfpipe.jobs import deleted_parents
from snfpipe.jobs.postmortem import Made, MadeFile, Outcome
from snfpipe.jobs.validate import REGISTERED, VALIDATED
from snfpipe.names import CHANNELS, ENTITY_END, INDEX_DIGITS, PoseId, ProductName
from snfpipe.states import State
from snfpipe.storage import archive
from snfpipe.worker.logs import NO_LOGS, Tails
from snfpipe.worker.spec import JobSpec

#: Why an optional product of a finished job is not there.
LEFT_OUT = "left out: it is optional"

_STANDING = (
    Process.job_id,
    Process.id_process,
    Process.quality,
    Process.quality_s,
    Process.status,
    File.name,
    File.role,
    File.checksum,
    File.size,
)


@dataclass(frozen=True, slots=True)
class Ended:
    """A job whose attempt is over, and what became of it."""

    job_id: int
    production_id: int
    spec: JobSpec
    outcome: Outcome
    logs: Tails = NO_LOGS


def never_started(
    job_id: int, production_id: int, spec: JobSpec, reason: str, state: State = State.FAILED
) -> Ended:
    """Return the end of an attempt of which the engine never had anything."""
    missing = {product.name: reason for product in spec.products}
    return Ended(job_id, production_id, spec, Outcome(state, reason, missing=missing))


@dataclass(frozen=True, slots=True)
class LiveProduct:
    """A live product of a job."""

    id_process: str
    quality: int
    quality_s: str
    status: int
    files: tuple[MadeFile, ...]

    def plain(self) -> dict[str, Any]:
        """Return it as manifests have it."""
        return {
            "id_process": self.id_process,
            "quality": self.quality,
            "files": {
                file.role: {"name": file.name, "sha256": file.checksum, "size": file.size}
                for file in self.files
            },
        }


def live_products(session: Session, job_ids: Sequence[int]) -> dict[int, dict[str, LiveProduct]]:
    """Return job id -> process id without index -> live product."""
    found: dict[int, dict[str, LiveProduct]] = {}
    query = (
        sa.select(*_STANDING)
        .join(File, File.id_process == Process.id_process)
        .where(Process.state == "live")
        .order_by(Process.id_process, File.name)
    )
    rows = store.rows_in(session, query, Process.job_id, job_ids)
    for job_id, ident, quality, quality_s, status, name, role, checksum, size in rows:
        mine = found.setdefault(job_id or 0, {})
        base = ident[:-INDEX_DIGITS]
        before = mine[base].files if base in mine else ()
        files = (*before, MadeFile(name, role, checksum, size))
        mine[base] = LiveProduct(ident, quality, quality_s, status, files)
    return found


def kept(made: Made, standing: Mapping[str, LiveProduct]) -> LiveProduct | None:
    """Return the live product that has the very bytes of what was made, if there is one."""
    before = standing.get(made.product.id_process[:-INDEX_DIGITS])
    if before is None or _bytes_of(before.files) != _bytes_of(made.files):
        return None
    return before


def _bytes_of(files: Iterable[MadeFile]) -> dict[str, str]:
    """Return role -> checksum."""
    return {file.role: file.checksum for file in files}


def add(session: Session, ended: Sequence[Ended]) -> None:
    """Bring the rows of jobs' products to what their attempts made.

    An attempt that did not account for its products changes none of those that stand.
    """
    accounted = [job for job in ended if job.outcome.accounted]
    before = live_products(session, [job.job_id for job in accounted])
    changes = _Changes(session, accounted)
    for job in accounted:
        changes.take(job, before.get(job.job_id, {}))
    changes.write(session)
    _write_owed(session, ended, changes.final)
    _write_measures(session, accounted)


class _Changes:
    """Rows to be written for some jobs.

    ``final`` is reserved process id -> the one that stands, for products that kept their row.
    """

    def __init__(self, session: Session, ended: Sequence[Ended]) -> None:
        made = [made for job in ended for made in job.outcome.made]
        self.final: dict[str, str] = {}
        self._inherited = _flags_of(
            session, {parent for it in made for parent in it.product.parents}
        )
        self._poses = _poses(session, made)
        self._superseded: list[str] = []
        self._processes: list[dict[str, Any]] = []
        self._updates: list[dict[str, Any]] = []
        self._parents: list[dict[str, Any]] = []
        self._reparented: list[str] = []
        self._files: list[dict[str, Any]] = []
        self._last: dict[str, int] = {}

    def take(self, job: Ended, before: Mapping[str, LiveProduct]) -> None:
        """Take in the result of one job; parents come before their children."""
        stands = set()
        complete = job.outcome.state is State.DONE
        status = VALIDATED if job.spec.validates and complete else REGISTERED
        for made in _parents_first(job.outcome.made):
            same = kept(made, before)
            id_process = same.id_process if same else made.product.id_process
            self.final[made.product.id_process] = id_process
            stands.add(id_process)
            parents = [self.final.get(parent, parent) for parent in made.product.parents]
            texts = [self._inherited[parent] for parent in parents if parent in self._inherited]
            quality_s = flags.inherit(texts, (*made.product.flags, *made.flags))
            self._inherited[id_process] = quality_s
            self._parents += [{"child": id_process, "parent": parent} for parent in parents]
            if same:
                self._reparented.append(id_process)
                now = {"quality": made.quality, "quality_s": quality_s,
                       "status": max(status, same.status)}  # fmt: skip
                if now != {name: getattr(same, name) for name in now}:
                    self._updates.append({"id_process": id_process, **now})
            else:
                self._add(job, made, quality_s, status)
        self._superseded += [it.id_process for it in before.values() if it.id_process not in stands]

    def _add(self, job: Ended, made: Made, quality_s: str, status: int) -> None:
        """Add the rows of a new product."""
        name = ProductName.from_id(made.product.id_process)
        night = str(name.exposure.night)
        id_pose = _pose(name)
        self._processes.append(
            {
                "id_process": name.id_process,
                "fclass": name.fclass,
                "xfclass": name.xfclass,
                "channel": name.channel,
                "version": name.version,
                "idx": name.index,
                "night": night,
                "id_run": name.exposure.run_id.id_run if name.exposure.run else None,
                "id_exposure": name.exposure.id_exposure if name.exposure.exposure else None,
                "id_pose": id_pose if id_pose in self._poses else None,
                "target_id": made.product.target_id,
                "job_id": job.job_id,
                "status": status,
                "quality": made.quality,
                "quality_s": quality_s,
                "state": "live",
            }
        )
        self._files += [
            {
                "name": file.name,
                "area": "archive",
                "path": archive.place_of(file.name),
                "size": file.size,
                "checksum": file.checksum,
                "id_process": name.id_process,
                "role": file.role,
                "night": night,
            }
            for file in made.files
        ]
        self._last[name.base] = name.index

    def write(self, session: Session) -> None:
        """Write everything, in bulk."""
        retired = sa.update(Process).values(state="superseded")
        store.change_in(session, retired, Process.id_process, self._superseded)
        store.insert_many(session, Process, self._processes)
        store.update_rows(session, Process, self._updates, ["id_process"])
        store.change_in(session, sa.delete(ProcessParent), ProcessParent.child, self._reparented)
        deleted_parents.forget(session, self._reparented)
        store.insert_many(session, ProcessParent, self._parents)
        store.insert_many(session, File, self._files)
        deleted_parents.relink(session, [row["id_process"] for row in self._processes])
        indices = [{"base": base, "last": last} for base, last in self._last.items()]
        store.upsert(session, ProductIndex, indices, ["last"], growing="last")


def _parents_first(made: Sequence[Made]) -> list[Made]:
    """Return products such that each comes after those of its parents that are among them."""
    by_id = {it.product.id_process: it for it in made}
    parents = {ident: by_id.keys() & {*it.product.parents} - {ident} for ident, it in by_id.items()}
    return [by_id[ident] for ident in TopologicalSorter(parents).static_order()]


def _flags_of(session: Session, id_processes: Iterable[str]) -> dict[str, str]:
    """Return process id -> QualityS."""
    query = sa.select(Process.id_process, Process.quality_s)
    return dict(store.rows_in(session, query, Process.id_process, id_processes))


def _poses(session: Session, made: Iterable[Made]) -> set[int]:
    """Return those poses of products that exist."""
    wanted = {_pose(ProductName.from_id(it.product.id_process)) for it in made} - {None}
    return set(store.scalars_in(session, sa.select(Pose.id_pose), Pose.id_pose, wanted))


def _pose(name: ProductName) -> int | None:
    """Return the pose a product belongs to, None for one of several channels or exposures."""
    if name.channel not in CHANNELS.values() or not name.exposure.exposure:
        return None
    return PoseId(name.exposure, name.channel).id_pose


def _write_owed(session: Session, ended: Sequence[Ended], final: Mapping[str, str]) -> None:
    """Say of promised products why they are missing, or under which id they stand."""
    fixed = sa.update(Expected).where(Expected.failure.is_not(None)).values(failure=None)
    store.change_in(session, fixed, Expected.job_id, [job.job_id for job in ended])
    rows = []
    for job in ended:
        for product in job.spec.products:
            id_process = final.get(product.id_process, product.id_process)
            failure = job.outcome.missing.get(product.name)
            left_out = product.optional and product.id_process not in final and not failure
            if failure is None and id_process == product.id_process and not left_out:
                continue  # as it was declared
            name = ProductName.parse(product.name)
            rows.append(
                {
                    "job_id": job.job_id,
                    "reserved": product.id_process,
                    "id_process": id_process,
                    "name": str(ProductName.from_id(id_process, name.extension)),
                    "failure": failure,
                    "reason": LEFT_OUT if left_out else None,
                }
            )
    store.update_rows(session, Expected, rows, {"job_id": "job_id", "id_process": "reserved"})


def _renamed(name: str, id_process: str) -> str:
    """Return the name of a product that stands under another id."""
    return str(ProductName.from_id(id_process, ProductName.parse(name).extension))


def _write_measures(session: Session, ended: Sequence[Ended]) -> None:
    """Keep what was measured, by job and by what the product of it is of."""
    measured: dict[tuple[int, int], dict[str, Any]] = {}
    for job in ended:
        for made in job.outcome.made:
            measure = job.outcome.measures.get(made.product.item)
            if measure is None:
                continue
            name = ProductName.from_id(made.product.id_process)
            entity = _entity(name)
            row = measured.setdefault(
                (entity, job.job_id),
                {
                    "id_entity": entity,
                    "job_id": job.job_id,
                    "night": str(name.exposure.night),
                    "quality": measure.quality,
                    "measured": {},
                },
            )
            row["quality"] = max(row["quality"], measure.quality)
            row["measured"] |= measure.values
    store.upsert(session, Measurement, list(measured.values()), ["quality", "measured"])


def _entity(name: ProductName) -> int:
    """Return the id of what a product is of: exposure, night or target, and channels."""
    return int(name.id_process[:-ENTITY_END])
