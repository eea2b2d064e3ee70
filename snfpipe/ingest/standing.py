"""What is the matter with raw frames now: in the folder, in the rows, between frames and logs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe.db import store
from snfpipe.db.models import BadFrame, File, Process, RawFinding, Run, Target
from snfpipe.errors import shown
from snfpipe.ingest.logs import WORDS
from snfpipe.ingest.problems import Problem, named, not_taken
from snfpipe.ingest.spelling import KnownTargets
from snfpipe.names import CHANNELS, RunId

_SCIENCE = 17
_SPECTRAL = (CHANNELS["B"], CHANNELS["R"])
_TYPES, _KINDS = WORDS["run_type"] - {""}, WORDS["kind"] - {""}


class _Purpose(NamedTuple):
    """What a run is for, as far as the log and the list of targets say."""

    run_type: str
    target: str | None
    kind: str | None


def standing(session: Session, raw: Path, nights: Collection[str] | None = None) -> list[Problem]:
    """Return the problems of raw frames that stand, of some nights or of all.

    Parameters
    ----------
    session : Session
        A reading session.
    raw : Path
        The raw folder.
    nights : collection of str, optional
        Which nights; an empty one for what belongs to none.
    """
    if nights is None:
        return [
            *_not_taken(session, raw, sa.true()),
            *_findings(session, sa.true()),
            *idle(session, sa.true()),
        ]
    found: list[Problem] = []
    for part in store.chunks(sorted(set(nights))):
        found += _not_taken(session, raw, BadFrame.night.in_(part))
        found += _findings(session, RawFinding.night.in_(part))
        found += idle(session, Process.night.in_(part))
    return found


def _not_taken(session: Session, raw: Path, where: sa.ColumnElement[bool]) -> Iterator[Problem]:
    """Yield what lies in the raw folder and was not taken: what it would give, nobody knows."""
    query = sa.select(BadFrame.path, BadFrame.night, BadFrame.reason).where(where)
    for path, night, reason in session.execute(query.order_by(BadFrame.path)):
        if not (raw / path).exists() and not (raw / path).is_symlink():
            continue  # somebody took it away
        yield not_taken(night, path, reason)


def _findings(session: Session, where: sa.ColumnElement[bool]) -> Iterator[Problem]:
    """Yield what the frames and logs of nights disagree on or lack."""
    columns = (
        RawFinding.night, RawFinding.kind, RawFinding.object, RawFinding.what, RawFinding.next_step,
    )  # fmt: skip
    for row in session.execute(sa.select(*columns).where(where).order_by(RawFinding.id)):
        yield Problem(*row)


def idle(session: Session, where: sa.ColumnElement[bool]) -> Iterator[Problem]:
    """Yield the runs without a kind or a type: nothing is expected of their B and R frames."""
    query = (
        sa.select(Process.night, Run.id_run, File.name, Run.type, Target.name, Target.kind)
        .join(Run, Run.id_run == Process.id_run)
        .join(File, sa.and_(File.id_process == Process.id_process, File.area == "raw"))
        .outerjoin(Target, Target.id == Run.target_id)
        .where(
            where,
            Process.fclass == _SCIENCE,
            Process.xfclass == 0,
            Process.version == 0,
            Process.state == "live",
            Process.channel.in_(_SPECTRAL),
            sa.or_(
                Run.type.not_in(_TYPES),
                Target.kind.not_in(_KINDS),
                Run.target_id.is_(None),
            ),
        )
        .order_by(Run.id_run, File.name)
    )
    runs: dict[tuple[str, int], tuple[_Purpose, list[str]]] = {}
    for night, id_run, name, *told in session.execute(query):
        runs.setdefault((night, id_run), (_Purpose(*told), []))[1].append(name)
    if not runs:
        return
    known = session.scalars(sa.select(Target.name).where(Target.kind.in_(_KINDS)))
    targets = KnownTargets(known)
    for (night, id_run), (purpose, frames) in runs.items():
        yield Problem(
            night, "missing", f"run {RunId.from_id(id_run)}",
            f"nothing is expected of {named(frames)}: {', '.join(_why_idle(purpose, targets))}",
            "correct obslog.csv or targets.csv, then `snf ingest` and `doit`",
        )  # fmt: skip


def _why_idle(purpose: _Purpose, known: KnownTargets) -> Sequence[str]:
    """Say why no plan takes the frames of a run."""
    why = []
    if purpose.run_type not in _TYPES:
        said = shown(purpose.run_type) if purpose.run_type else "unknown"
        why.append(f"the run's type is {said}")
    if purpose.target is None:
        why.append("it has no target")
    elif purpose.kind not in _KINDS:
        close = known.like(purpose.target)
        meant = f" (is {close} meant?)" if close else ""
        said = f"is {shown(purpose.kind)}" if purpose.kind else "is unknown"
        why.append(f"the kind of target {purpose.target} {said}{meant}")
    return why
