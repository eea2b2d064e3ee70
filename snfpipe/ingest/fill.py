"""A night's frames and log -> rows; doing it twice changes nothing.

All rows of a night follow from its frames, its log and the list of targets, as
:mod:`observed` has it.  What these say now is held against what they said when they were read
last: where that differs, a row is changed, unless somebody changed it by hand meanwhile.  So a kind
or a quality set by hand survives any number of ingests, and a corrected log reaches its rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe import clock
from snfpipe.db import store
from snfpipe.db.models import Base, Exposure, File, FrameChange, Header, Pose, Process, Run, Target
from snfpipe.ingest.cards import Frame
from snfpipe.ingest.compare import night_problems
from snfpipe.ingest.kept import (
    keep_findings,
    keep_refused,
    keep_table,
    log_rows,
    refused_poses,
    seen,
)
from snfpipe.ingest.logs import Log
from snfpipe.ingest.observed import Row, observe
from snfpipe.ingest.problems import grouped
from snfpipe.ingest.report import NightFiles, NightReport, Taken, notes_of
from snfpipe.ingest.spelling import KnownTargets
from snfpipe.ingest.standing import idle
from snfpipe.ingest.targets import ensure_targets
from snfpipe.names import Night, ProductName, RawName, channel_text


@dataclass(frozen=True, slots=True)
class _Known:
    """What the database has of a frame: its file, and its header."""

    path: str
    checksum: str
    frame: Frame


def fill_night(session: Session, files: NightFiles) -> NightReport:
    """Write the rows of a night and say what was new."""
    night = str(files.night)
    store.alone(session, f"ingest {night}")
    known = _known(session, files.night)
    log_before = log_rows(session, night)
    if not files.log.found and log_before:
        files.log = Log(log_before, problems=files.log.problems, found=False)
    report = _report(files, known)
    frames_before = {ident: it.frame for ident, it in known.items()}
    frames = frames_before | {it.frame.name.id_process: it.frame for it in files.taken}
    targets = KnownTargets([*files.targets, *session.scalars(sa.select(Target.name))])
    before = observe(frames_before.values(), log_before, targets)
    now = observe(frames.values(), files.log.rows, targets)
    ids = ensure_targets(session, before.runs, now.runs, files.targets)
    for rows in (before.runs, now.runs):
        for row in rows.values():
            row["target_id"] = ids.get(row.pop("target"))
    for model, old, new in (
        (Run, before.runs, now.runs),
        (Exposure, before.exposures, now.exposures),
        (Pose, before.poses, now.poses),
    ):
        _bring_up(session, model, old, new)
    _raw_processes(session, files.night, [it for it in files.taken if _id(it) not in known])
    _changes(session, [it for it in files.taken if _id(it) in known], known)
    _retarget(session, before.runs, now.runs)
    _not_taken(session, night, files)
    named = {str(frame.name): frame for _ident, frame in sorted(frames.items())}
    problems = night_problems(files.night, named, refused_poses(session, night), files.log, now)
    keep_findings(session, night, problems)
    keep_table(session, night, files.table, [dict(row) for row in files.log.rows.values()])
    report.problems = [*problems, *idle(session, Process.night == night)]
    return report


def _id(taken: Taken) -> str:
    """Return the process id of a frame."""
    return taken.frame.name.id_process


def _known(session: Session, night: Night) -> dict[str, _Known]:
    """Return process -> frame, of the frames that a night has."""
    query = (
        sa.select(File.path, File.checksum, File.id_process, Header.cards, Header.warnings,
                  Header.problems)
        .join(Header, Header.id_process == File.id_process)
        .where(File.area == "raw", File.night == str(night))
        .order_by(File.id_process)
    )  # fmt: skip
    found = {}
    for path, checksum, ident, cards, notes, problems in session.execute(query):
        product = ProductName.from_id(ident)
        name = RawName(product.exposure, product.fclass, channel_text(product.channel))
        frame = Frame(name, cards, tuple(notes), tuple(problems))
        found[ident] = _Known(path, checksum, frame)
    return found


def _report(files: NightFiles, known: Mapping[str, _Known]) -> NightReport:
    """Sort what was read into new and changed."""
    report = NightReport(
        str(files.night),
        unreadable={found.path: reason for found, reason in files.bad},
        gone=list(files.gone),
        warnings=grouped(notes_of(files.taken)),
    )
    for entry in files.taken:
        before = known.get(_id(entry))
        if before is None:
            report.taken.append(str(entry.frame.name))
        elif before.checksum != entry.checksum:
            report.changed.append(str(entry.frame.name))
    return report


def _bring_up(
    session: Session, model: type[Base], before: Mapping[int, Row], now: Mapping[int, Row]
) -> None:
    """Insert the rows that are missing, and change values that are what they were before."""
    (key,) = sa.inspect(model).primary_key
    store.insert_new(session, model, list(now.values()))
    for ident, row in now.items():
        old = before.get(ident, row)
        for name, value in row.items():
            if value != old[name]:
                column = sa.inspect(model).columns[name]
                session.execute(
                    sa.update(model)
                    .where(key == ident, column.is_not_distinct_from(old[name]))
                    .values({name: value})
                )


def _raw_processes(session: Session, night: Night, new: Sequence[Taken]) -> None:
    """Make the processes, files and headers of new frames."""
    targets: dict[int, int | None] = {
        id_run: target_id
        for id_run, target_id in session.execute(
            sa.select(Run.id_run, Run.target_id).where(Run.night == str(night))
        )
    }
    processes, files, headers = [], [], []
    for entry in new:
        name = entry.frame.name
        exposure = name.exposure
        processes.append(
            {
                "id_process": name.id_process,
                "fclass": name.fclass,
                "xfclass": 0,
                "channel": name.pose.channel,
                "version": 0,
                "idx": 0,
                "night": str(night),
                "id_run": exposure.run_id.id_run,
                "id_exposure": exposure.id_exposure,
                "id_pose": name.pose.id_pose,
                "target_id": targets.get(exposure.run_id.id_run),
            }
        )
        files.append(
            {
                **_file(entry),
                "area": "raw",
                "id_process": name.id_process,
                "night": str(night),
            }
        )
        headers.append(_header(entry.frame))
    store.insert(session, Process, processes)
    store.insert(session, File, files)
    store.insert(session, Header, headers)


def _file(entry: Taken) -> Row:
    """Return the columns that tell a frame's file as it was seen."""
    return {"name": entry.found.name, **seen(entry.found), "checksum": entry.checksum}


def _header(frame: Frame) -> Row:
    """Return a frame's header row."""
    return {
        "id_process": frame.name.id_process,
        "cards": dict(frame.cards),
        "warnings": list(frame.warnings),
        "problems": list(frame.problems),
    }


def _changes(session: Session, again: Sequence[Taken], known: Mapping[str, _Known]) -> None:
    """Take in frames that are there already: touched, changed, packed, or readable again."""
    for entry in again:
        ident = _id(entry)
        session.execute(
            sa.update(File).where(File.area == "raw", File.id_process == ident).values(_file(entry))
        )
        session.execute(
            sa.update(Process)
            .where(Process.id_process == ident, Process.state == "unreadable")
            .values(state="live")
        )
        store.upsert(session, Header, [_header(entry.frame)], ["cards", "warnings", "problems"])
        old = known[ident].checksum
        if entry.checksum != old:
            change = {"name": str(entry.frame.name), "old_checksum": old}
            change["new_checksum"] = entry.checksum
            store.insert(session, FrameChange, [{**change, "noticed": clock.utc_now()}])


def _retarget(session: Session, before: Mapping[int, Row], now: Mapping[int, Row]) -> None:
    """Let the raw frames of runs follow where a run's target changed."""
    for id_run, row in now.items():
        if id_run in before and before[id_run]["target_id"] != row["target_id"]:
            target = sa.select(Run.target_id).where(Run.id_run == id_run).scalar_subquery()
            session.execute(
                sa.update(Process)
                .where(Process.id_run == id_run, Process.version == 0, Process.job_id.is_(None))
                .values(target_id=target)
            )


def _not_taken(session: Session, night: str, files: NightFiles) -> None:
    """Keep why files were not taken, and forget it of those that now are.

    A frame that was registered and cannot be read any more is selected no longer.
    """
    over = [*(entry.found.path for entry in files.taken), *files.gone]
    keep_refused(session, night, files.bad, over)
    spoilt = sa.select(File.id_process).where(
        File.area == "raw", File.path.in_([found.path for found, _reason in files.bad])
    )
    session.execute(
        sa.update(Process).where(Process.id_process.in_(spoilt)).values(state="unreadable")
    )
