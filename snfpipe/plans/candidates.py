"""The one query behind all plans: files of some classes with what was observed around them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe.config.step import Step
from snfpipe.db import store
from snfpipe.db.models import (
    Exposure,
    File,
    Job,
    Measurement,
    Pose,
    Process,
    Production,
    Run,
    Target,
)
from snfpipe.declarations.rows import Candidate
from snfpipe.fclass import Pair
from snfpipe.names import ENTITY_END, INDEX_DIGITS, VERSION_DIGITS

#: The columns of a candidate, in its order.
_COLUMNS = (
    Process.id_process, Process.fclass, Process.xfclass, Process.channel, Process.night,
    Process.id_run, Process.id_exposure, Pose.jd, File.area, File.path, File.checksum, File.size,
    Process.quality, Process.status, Production.name, Job.unit, Pose.quality, Pose.qzelog,
    Measurement.quality, Pose.efftime_s, Pose.raster, Pose.airmass, Pose.parang, Pose.pressure,
    Pose.temperature, Run.kind, Run.type, Target.id, Target.name, Target.kind, Target.id_target,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Source:
    """Where candidates are looked for: the productions, the best first, and their good products.

    ``nights`` None is every night.
    """

    productions: tuple[str, ...]
    classes: frozenset[Pair]
    nights: frozenset[str] | None
    measured: bool


def raw_frames(
    session: Session, classes: Iterable[int], nights: Iterable[str] | None
) -> dict[str, list[Candidate]]:
    """Return the live raw frames of some classes, by night, in order of their names."""
    pairs = sorted({(fclass, 0) for fclass in classes})
    if not pairs:
        return {}
    query = _query(pairs, measured=False).where(File.area == "raw")
    return _by_night(_rows(session, query, nights))


def products(session: Session, step: Step, source: Source) -> list[Candidate]:
    """Return the good products of a source in order of their names; only the preferred ones.

    Of each exposure or night or target, channel and class, the one of the production that the
    step prefers.
    """
    preferred = {name: place for place, name in enumerate(source.productions)}
    if not preferred or not source.classes:
        return []
    query = _query(sorted(source.classes), measured=source.measured)
    query = query.where(Production.name.in_(preferred))
    best: dict[tuple[str, str | None], Candidate] = {}
    for found in _rows(session, query, source.nights):
        if found.quality != 1:
            continue
        # without version and index; a night's products may be those of several units
        base = found.id_process[: -INDEX_DIGITS - VERSION_DIGITS]
        key = (base, None if found.id_exposure else found.unit)
        other = best.get(key)
        rank = preferred[found.production or ""]
        if other is None or rank < preferred[other.production or ""]:
            best[key] = found
    return sorted(best.values(), key=lambda found: found.id_process)


def _query(classes: Sequence[Pair], *, measured: bool) -> sa.Select[Any]:
    """Ask for the live main files of some classes with all that is known around them."""
    columns = (*_COLUMNS, Measurement.measured) if measured else _COLUMNS
    return (
        sa.select(*columns)
        .join_from(Process, File, sa.and_(File.id_process == Process.id_process,
                                          File.role == "main"))
        .outerjoin(Pose, Pose.id_pose == Process.id_pose)
        .outerjoin(Exposure, Exposure.id_exposure == Process.id_exposure)
        .outerjoin(Run, Run.id_run == sa.func.coalesce(Exposure.id_run, Process.id_run))
        .outerjoin(Target, Target.id == sa.func.coalesce(Run.target_id, Process.target_id))
        .outerjoin(Job, Job.id == Process.job_id)
        .outerjoin(Production, Production.id == Job.production_id)
        .outerjoin(
            Measurement,
            sa.and_(Measurement.job_id == Process.job_id, Measurement.id_entity == _entity()),
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
    )  # fmt: skip


def _entity() -> sa.ColumnElement[int]:
    """Return the id of what a process is of: its pose, or its exposure, night or target."""
    digits = sa.func.length(Process.id_process) - ENTITY_END
    return sa.func.coalesce(
        Process.id_pose, sa.cast(sa.func.substr(Process.id_process, 1, digits), sa.BigInteger)
    )


def _rows(session: Session, query: sa.Select[Any], nights: Iterable[str] | None) -> list[Candidate]:
    """Ask, in parts where there are many nights."""
    connection = session.connection()
    parts = [None] if nights is None else store.chunks(sorted(set(nights)), 5_000)
    found: list[Candidate] = []
    for part in parts:
        asked = query if part is None else query.where(Process.night.in_(part))
        found += map(_candidate, connection.execute(asked))
    return found


def _candidate(row: sa.Row[Any]) -> Candidate:
    """Return a row as a candidate."""
    return Candidate(*tuple(row))


def _by_night(candidates: Iterable[Candidate]) -> dict[str, list[Candidate]]:
    """Group candidates by night."""
    groups: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.night, []).append(candidate)
    return groups
