"""A night's frames and logs -> rows; doing it twice changes nothing.

Rows that are there already are left as they are: a kind or a quality set by hand survives any
number of arrivals.  A frame whose bytes changed gets its new checksum, and the change is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe import clock
from snfpipe.db import store
from snfpipe.db.models import (
    BadFrame,
    Exposure,
    File,
    FrameChange,
    Header,
    Pose,
    Process,
    Run,
    Target,
)
from snfpipe.errors import BadName, shown
from snfpipe.ingest.frames import Frame
from snfpipe.ingest.scan import Found
from snfpipe.names import Night, RunId, check_target, id_target

#: Objects of calibration frames: no targets.
_NO_TARGET = {"", "unknown", "bias", "dark", "arc", "dome", "continuum", "skyflat"}
_NO_TARGET_CLASSES = {24, 25}  # raw bias, raw dark


@dataclass(frozen=True, slots=True)
class Taken:
    """A frame that was read, its file and the checksum of its bytes."""

    found: Found
    frame: Frame
    checksum: str


@dataclass(slots=True)
class NightFiles:
    """What was read of a night: frames, files that are none with the reason, logs.

    ``gone`` are the paths of files that could not be taken and have been removed since.
    """

    night: Night
    taken: list[Taken] = field(default_factory=list)
    bad: list[tuple[Found, str]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    log: Mapping[tuple[int, int, int], Mapping[str, Any]] = field(default_factory=dict)
    targets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


@dataclass(slots=True)
class NightReport:
    """What arrived in one night: names of frames; path -> reason of what could not be read."""

    night: str
    taken: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def fill_night(session: Session, files: NightFiles) -> NightReport:
    """Write the rows of a night and say what was new."""
    store.alone(session, f"arrival {files.night}")
    known = _known(session, files.night)
    report = _report(files, known)
    new = [entry for entry in files.taken if entry.found.path not in known]
    _observations(session, files, new, report)
    _raw_processes(session, files.night, new)
    _changes(session, [entry for entry in files.taken if entry.found.path in known], known)
    _bad_frames(session, files)
    return report


def would_fill(session: Session, files: NightFiles) -> NightReport:
    """Say what :func:`fill_night` would find new; writes nothing."""
    return _report(files, _known(session, files.night))


def _known(session: Session, night: Night) -> dict[str, tuple[str, str]]:
    """Return path -> checksum and process of the frames that a night has."""
    query = sa.select(File.path, File.checksum, File.id_process).where(
        File.area == "raw", File.night == str(night)
    )
    return {path: (checksum, ident) for path, checksum, ident in session.execute(query)}


def _report(files: NightFiles, known: Mapping[str, tuple[str, str]]) -> NightReport:
    """Sort what was read into new and changed."""
    report = NightReport(
        str(files.night),
        unreadable={found.path: reason for found, reason in files.bad},
        gone=list(files.gone),
        warnings=list(files.warnings),
    )
    for entry in files.taken:
        before = known.get(entry.found.path)
        if before is None:
            report.taken.append(str(entry.frame.name))
        elif before[0] != entry.checksum:
            report.changed.append(str(entry.frame.name))
    return report


def _observations(
    session: Session, files: NightFiles, new: Sequence[Taken], report: NightReport
) -> None:
    """Make the targets, runs, exposures and poses that are missing."""
    night, log = files.night, files.log
    runs: dict[int, dict[str, Any]] = {}
    objects: dict[int, str] = {}
    exposures: dict[int, dict[str, Any]] = {}
    poses: dict[int, dict[str, Any]] = {}
    for entry in new:
        frame = entry.frame
        pose = frame.name.pose
        exposure = pose.exposure
        line = log.get((exposure.run, exposure.exposure, pose.channel), {})
        julian = frame.number("JD")
        run = runs.setdefault(
            exposure.run_id.id_run,
            {"id_run": exposure.run_id.id_run, "night": str(night), "run": exposure.run,
             "kind": "", "type": "", "jd": julian, "target_id": None},
        )  # fmt: skip
        run["kind"] = run["kind"] or line.get("run_kind", "")
        run["type"] = run["type"] or line.get("run_type", "")
        run["jd"] = min(filter(None, (run["jd"], julian)), default=None)
        if frame.name.fclass not in _NO_TARGET_CLASSES:
            objects.setdefault(run["id_run"], line.get("object") or frame.text("OBJECT", 80))
        exposures.setdefault(exposure.id_exposure, _exposure(frame, line, str(night)))
        poses[pose.id_pose] = _pose(frame, line, str(night))
    ids = _targets(session, objects, files.targets, report)
    for ident, name in objects.items():
        runs[ident]["target_id"] = ids.get(name)
    store.insert_new(session, Run, list(runs.values()))
    store.insert_new(session, Exposure, list(exposures.values()))
    store.insert_new(session, Pose, list(poses.values()))


def _exposure(frame: Frame, line: Mapping[str, Any], night: str) -> dict[str, Any]:
    """Return an exposure's row."""
    exposure = frame.name.exposure
    return {
        "id_exposure": exposure.id_exposure,
        "id_run": exposure.run_id.id_run,
        "night": night,
        "exposure": exposure.exposure,
        "jd": frame.number("JD"),
        "exptime_s": frame.number("EXPTIME") if "EXPTIME" in frame.cards else line.get("exptime_s"),
        "filter": line.get("filter", ""),
        **{name: line.get(name) for name in ("guide", "guide_s", "guide_f", "guide_x")},
        "interrupt": line.get("interrupt", 0),
        "quality": line.get("quality", 1),
    }


def _pose(frame: Frame, line: Mapping[str, Any], night: str) -> dict[str, Any]:
    """Return a pose's row."""
    return {
        "id_pose": frame.name.pose.id_pose,
        "id_exposure": frame.name.exposure.id_exposure,
        "night": night,
        "channel": frame.name.pose.channel,
        "quality": line.get("quality", 1),
        "qzelog": line.get("qzelog", 0),
        **_from_header(frame),
    }


def _from_header(frame: Frame) -> dict[str, Any]:
    """Return the columns of a pose that only its header gives."""
    return {
        "efftime_s": frame.number("EXPTIME"),
        "raster": frame.text("RASTER"),
        "jd": frame.number("JD"),
        "airmass": frame.number("AIRMASS"),
        "parang": frame.number("PARANG"),
        "pressure": frame.number("PRESSURE"),
        "temperature": frame.number("TEMP"),
    }


def _targets(
    session: Session,
    objects: Mapping[int, str],
    listed: Mapping[str, Mapping[str, Any]],
    report: NightReport,
) -> dict[str, int]:
    """Make the targets of new runs; a name that is none is reported and gives no target."""
    first: dict[str, int] = {}
    for id_run, name in sorted(objects.items()):
        if name.lower() in _NO_TARGET:
            continue
        try:
            first.setdefault(check_target(name), id_run)
        except BadName as error:
            report.warnings.append(f"run {RunId.from_id(id_run)}: {error.message}, no target")
            continue
        if name not in listed:
            report.warnings.append(
                f"run {RunId.from_id(id_run)}: {shown(name)} is not in targets.csv, kind unknown"
            )
    ids = _target_ids(session, first)
    rows = [
        _target(name, id_run, listed.get(name, {}))
        for name, id_run in first.items()
        if name not in ids
    ]
    store.insert(session, Target, rows)
    return _target_ids(session, first) if rows else ids


def _target(name: str, id_run: int, listed: Mapping[str, Any]) -> dict[str, Any]:
    """Return a target's row."""
    texts = ("kind", "type", "pi", "iauc", "date_c", "date_m")
    return {
        "id_target": id_target(RunId.from_id(id_run)),
        "name": name,
        **{column: listed.get(column, "") for column in texts},
        "ra": listed.get("ra_deg"),
        "dec": listed.get("dec_deg"),
        **{column: listed.get(column) for column in ("redshift", "redshift_err", "mwebv")},
    }


def _target_ids(session: Session, names: Iterable[str]) -> dict[str, int]:
    """Return target name -> row id."""
    query = sa.select(Target.name, Target.id).where(Target.name.in_(list(names)))
    return {name: ident for name, ident in session.execute(query)}


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
                "name": str(name),
                "area": "raw",
                **_seen(entry.found),
                "checksum": entry.checksum,
                "id_process": name.id_process,
                "night": str(night),
            }
        )
        headers.append(_header(entry.frame))
    store.insert(session, Process, processes)
    store.insert(session, File, files)
    store.insert(session, Header, headers)


def _seen(found: Found) -> dict[str, Any]:
    """Return the columns that tell a file as it was seen."""
    return {"path": found.path, "size": found.size, "mtime_ns": found.mtime_ns}


def _header(frame: Frame) -> dict[str, Any]:
    """Return a frame's header row."""
    return {
        "id_process": frame.name.id_process,
        "cards": dict(frame.cards),
        "warnings": list(frame.warnings),
    }


def _changes(
    session: Session,
    again: Sequence[Taken],
    known: Mapping[str, tuple[str, str]],
) -> None:
    """Take in frames that are there already: touched, changed, or readable again."""
    for entry in again:
        checksum, ident = known[entry.found.path]
        session.execute(
            sa.update(File)
            .where(File.area == "raw", File.path == entry.found.path)
            .values(size=entry.found.size, mtime_ns=entry.found.mtime_ns, checksum=entry.checksum)
        )
        session.execute(
            sa.update(Process)
            .where(Process.id_process == ident, Process.state == "unreadable")
            .values(state="live")
        )
        if entry.checksum == checksum:
            continue
        name = str(entry.frame.name)
        change = {"name": name, "old_checksum": checksum, "new_checksum": entry.checksum}
        store.insert(session, FrameChange, [{**change, "noticed": clock.utc_now()}])
        store.upsert(session, Header, [_header(entry.frame)], ["cards", "warnings"])
        session.execute(
            sa.update(Pose)
            .where(Pose.id_pose == entry.frame.name.pose.id_pose)
            .values(**_from_header(entry.frame))
        )


def _bad_frames(session: Session, files: NightFiles) -> None:
    """Keep why files could not be taken, and forget it of those that now can.

    A frame that was registered and cannot be read any more is selected no longer.
    """
    over = [*(entry.found.path for entry in files.taken), *files.gone]
    session.execute(sa.delete(BadFrame).where(BadFrame.path.in_(over)))
    moment = clock.utc_now()
    rows = {
        found.path: {
            **_seen(found), "night": str(files.night), "reason": reason, "noticed": moment
        }
        for found, reason in files.bad
    }  # fmt: skip
    store.upsert(session, BadFrame, list(rows.values()), ["size", "mtime_ns", "reason", "noticed"])
    spoilt = sa.select(File.id_process).where(
        File.area == "raw", File.path.in_([found.path for found, _reason in files.bad])
    )
    session.execute(
        sa.update(Process).where(Process.id_process.in_(spoilt)).values(state="unreadable")
    )
