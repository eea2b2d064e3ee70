"""The one query behind the plans: files of some classes with what was observed around them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe.config.project import Step
from snfpipe.db import store
from snfpipe.db.models import (
    Exposure,
    File,
    Job,
    Pose,
    PoseMeasure,
    Process,
    Production,
    Run,
    Target,
)
from snfpipe.names import ExposureId, PoseId
from snfpipe.plans.base import SelectedInput


@dataclass(frozen=True, slots=True)
class Candidate:
    """A live file and the database values that may select it."""

    id_process: str
    fclass: int
    xfclass: int
    channel: int
    night: str
    id_run: int
    id_exposure: int
    jd: float | None
    area: str
    path: str
    checksum: str
    size: int
    quality: int
    status: int
    production: str | None
    pose_quality: int
    qzelog: int
    measured_quality: int | None
    efftime_s: float | None
    raster: str
    airmass: float | None
    parang: float | None
    pressure: float | None
    temperature: float | None
    run_kind: str
    run_type: str
    target_id: int | None
    target: str | None
    target_kind: str | None

    @property
    def exposure(self) -> ExposureId:
        """The exposure it belongs to."""
        return _exposure(self.id_exposure)

    @property
    def pose(self) -> PoseId:
        """The pose it belongs to; in text, the name of its item of work."""
        return PoseId(self.exposure, self.channel)

    @property
    def good_pose(self) -> bool:
        """Whether the standard selection of poses takes it."""
        measured = self.measured_quality
        return self.pose_quality > 0 and self.qzelog <= 2 and measured != 2

    def selected(self, role: str, *values: str) -> SelectedInput:
        """Return it as an input in a role, with the named values a plan uses."""
        return SelectedInput(
            self.id_process,
            role,
            self.area,
            self.path,
            self.checksum,
            self.size,
            {name: getattr(self, name) for name in values},
        )


_exposure = lru_cache(4096)(ExposureId.from_id)  # asked for again and again

#: The columns of a candidate, in its order.
_COLUMNS = (
    Process.id_process, Process.fclass, Process.xfclass, Process.channel, Process.night,
    Process.id_run, Process.id_exposure, Pose.jd, File.area, File.path, File.checksum, File.size,
    Process.quality, Process.status, Production.name, Pose.quality, Pose.qzelog,
    PoseMeasure.quality, Pose.efftime_s, Pose.raster, Pose.airmass, Pose.parang, Pose.pressure,
    Pose.temperature, Run.kind, Run.type, Run.target_id, Target.name, Target.kind,
)  # fmt: skip


def raw_frames(
    session: Session, classes: Iterable[int], nights: Sequence[str]
) -> dict[str, list[Candidate]]:
    """Return the live raw frames of some classes, by night, in order of their names."""
    pairs = [(fclass, 0) for fclass in classes]
    return _by_night(_query(session, pairs, nights, productions=None))


def products(
    session: Session,
    step: Step,
    role: str,
    classes: Iterable[tuple[int, int]],
    nights: Sequence[str],
) -> dict[str, list[Candidate]]:
    """Return the products an input role of a step may read, by night.

    Only good ones of the step's minimum status; of each exposure, channel and class, the one of
    the production that the step prefers.
    """
    preferred = {name: place for place, name in enumerate(step.inputs.get(role, ()))}
    best: dict[tuple[int, int, int, int], Candidate] = {}
    for found in _query(session, list(classes), nights, productions=list(preferred)):
        if found.quality != 1 or found.status < step.minimum_status:
            continue
        key = (found.id_exposure, found.channel, found.fclass, found.xfclass)
        other = best.get(key)
        rank = preferred[found.production or ""]
        if other is None or rank < preferred[other.production or ""]:
            best[key] = found
    return _by_night(sorted(best.values(), key=lambda found: found.id_process))


def nights_of(session: Session, step: Step, units: Sequence[str]) -> dict[str, list[str]]:
    """Return the nights of each unit: a night's own, or those a target was observed in."""
    if step.unit_kind == "night":
        return {unit: [unit] for unit in units}
    nights: dict[str, list[str]] = {unit: [] for unit in units}
    for part in store.chunks(units):
        query = (
            sa.select(Target.name, Run.night)
            .join(Run, Run.target_id == Target.id)
            .where(Target.name.in_(part))
            .distinct()
            .order_by(Target.name, Run.night)
        )
        for target, night in session.execute(query):
            nights[target].append(night)
    return nights


def of_units(
    step: Step, nights: Mapping[str, Sequence[str]], found: Mapping[str, Sequence[Candidate]]
) -> dict[str, list[Candidate]]:
    """Share candidates by night out to units; a target gets its own only."""
    return {
        unit: [
            candidate
            for night in own
            for candidate in found.get(night, ())
            if step.unit_kind == "night" or candidate.target == unit
        ]
        for unit, own in nights.items()
    }


def _query(
    session: Session,
    classes: Sequence[tuple[int, int]],
    nights: Sequence[str],
    productions: Sequence[str] | None,
) -> list[Candidate]:
    """Ask for the live main files of some classes in some nights; raw ones without productions."""
    query = (
        sa.select(*_COLUMNS)
        .join(File, sa.and_(File.id_process == Process.id_process, File.role == "main"))
        .join(Pose, Pose.id_pose == Process.id_pose)
        .join(Exposure, Exposure.id_exposure == Pose.id_exposure)
        .join(Run, Run.id_run == Exposure.id_run)
        .outerjoin(Target, Target.id == Run.target_id)
        .outerjoin(Job, Job.id == Process.job_id)
        .outerjoin(Production, Production.id == Job.production_id)
        .outerjoin(
            PoseMeasure,
            sa.and_(
                PoseMeasure.id_pose == Process.id_pose,
                PoseMeasure.production_id == Production.id,
            ),
        )
        .where(
            Process.state == "live",
            sa.or_(
                *(
                    sa.and_(Process.fclass == fclass, Process.xfclass == xfclass)
                    for fclass, xfclass in classes
                )
            ),
        )
        .order_by(Process.id_process)
    )
    if productions is None:
        query = query.where(File.area == "raw")
    else:
        query = query.where(Production.name.in_(productions))
    found = []
    for part in store.chunks(nights, 5_000):
        rows = session.connection().execute(query.where(Process.night.in_(part)))
        found += [Candidate(*tuple(row)) for row in rows]
    return found


def _by_night(candidates: Iterable[Candidate]) -> dict[str, list[Candidate]]:
    """Group candidates by night."""
    groups: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.night, []).append(candidate)
    return groups
