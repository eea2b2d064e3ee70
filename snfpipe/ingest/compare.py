"""What the frames, the folder and the log of a night disagree on, and what one of them lacks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from snfpipe.ingest import identity
from snfpipe.ingest.cards import Frame
from snfpipe.ingest.logs import Log
from snfpipe.ingest.observed import NO_TARGET_CLASSES, Observed, line_of
from snfpipe.ingest.problems import Problem, said_once, told_once
from snfpipe.names import ExposureId, Night, PoseId, RunId

_FIX_TABLE = "correct it, then `snf ingest` and `doit`"
_FIX_CARD = "check the frame; EXPTIME and OBJECT can be given in obslog.csv, then `snf ingest`"
_FIX_FRAME = "copy the frame anew, or take the line out, then `snf ingest`"
_UNLOGGED = "the log has no line of it: what it is for, guiding and quality are unknown"
_FIX_IDENTITY = "find out which is right; rename the frame or correct its log, then `snf ingest`"


def night_problems(
    night: Night,
    frames: Mapping[str, Frame],
    refused: Collection[PoseId],
    log: Log,
    observed: Observed,
) -> list[Problem]:
    """Return the problems of a night.

    Parameters
    ----------
    night : Night
        Which.
    frames : mapping
        File name -> frame, of all that were taken.
    refused : collection of PoseId
        What lies in the folder and was not taken.
    log : Log
        Of the night.
    observed : Observed
        What both say was observed.
    """

    def problem(kind: str, of: str, what: str, step: str) -> Problem:
        return Problem(str(night), kind, of, what, step)

    groups = _groups(night, frames)
    lines = log.problems if log.found or frames else []
    of_cards = {name: frame.problems for name, frame in frames.items()}
    of_log = {name: _against_log(frame, log) for name, frame in frames.items()}
    found = [
        *(problem("wrong" if log.found else "missing", *it, _FIX_TABLE) for it in said_once(lines)),
        *(problem("wrong", *it, _FIX_TABLE) for it in observed.problems),
        *(problem("wrong", *it, _FIX_CARD) for it in told_once(of_cards, groups)),
        *(problem("wrong", *it, _FIX_IDENTITY) for it in told_once(of_log, groups)),
    ]
    if log.found:
        unlogged = {name: [_UNLOGGED] for name, it in frames.items() if not line_of(it, log.rows)}
        found += [problem("missing", *it, _FIX_TABLE) for it in told_once(unlogged, groups)]
        without = _without_frame(night, frames, refused, log)
        found += [problem("missing", *it, _FIX_FRAME) for it in without]
    return found


def _groups(night: Night, frames: Mapping[str, Frame]) -> dict[str, list[str]]:
    """Return what frames share: the night, then each run."""
    groups = {f"all {len(frames)} frames of {night}": list(frames)}
    runs: dict[RunId, list[str]] = {}
    for name, frame in frames.items():
        runs.setdefault(frame.name.exposure.run_id, []).append(name)
    return groups | {f"all {len(its)} frames of run {run}": its for run, its in runs.items()}


def _against_log(frame: Frame, log: Log) -> list[str]:
    """Return where a frame's line of the log disagrees with it."""
    if frame.name.fclass in NO_TARGET_CLASSES:
        return []
    return list(identity.against_log(frame, line_of(frame, log.rows)))


def _without_frame(
    night: Night, frames: Mapping[str, Frame], refused: Collection[PoseId], log: Log
) -> Iterator[tuple[str, str]]:
    """Yield the lines of the log whose frame is not there."""
    there = {frame.name.pose for frame in frames.values()} | set(refused)
    for run, exposure, channel in log.rows:
        pose = PoseId(ExposureId(night, run, exposure), channel)
        if pose not in there:
            line = log.lines.get((run, exposure, channel), 0)
            place = f"{night.folder}/obslog.csv:{line}"
            yield place, f"there is no frame {pose}"
