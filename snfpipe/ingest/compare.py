"""What the frames, the folder and the log of a night disagree on, and what one of them lacks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from snfpipe.ingest import identity
from snfpipe.ingest.cards import Frame
from snfpipe.ingest.logs import Log
from snfpipe.ingest.observed import NO_TARGET_CLASSES, Observed, line_of
from snfpipe.ingest.problems import Problem, told_once
from snfpipe.names import ExposureId, Night, PoseId

_FIX_TABLE = "correct it, then `snf ingest` and `doit`"
_FIX_CARD = "check the frame and its log; what the header lacks can be given in obslog.csv"
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

    found = [
        problem("wrong" if log.found else "missing", place, what, _FIX_TABLE)
        for place, what in log.problems
        if log.found or frames
    ]
    found += [problem("wrong", run, what, _FIX_TABLE) for run, what in observed.problems]
    of_cards = {name: frame.problems for name, frame in frames.items()}
    found += [
        problem("wrong", name, what, _FIX_CARD) for name, what in told_once(of_cards, len(frames))
    ]
    of_log = {name: _against_log(frame, log) for name, frame in frames.items()}
    found += [
        problem("wrong", name, what, _FIX_IDENTITY) for name, what in told_once(of_log, len(frames))
    ]
    if log.found:
        found += [problem("missing", *told, _FIX_TABLE) for told in _without_line(frames, log)]
        found += [
            problem("missing", *told, "copy the frame anew, or take the line out")
            for told in _without_frame(night, frames, refused, log)
        ]
    return found


def _against_log(frame: Frame, log: Log) -> list[str]:
    """Return where a frame's line of the log disagrees with it."""
    if frame.name.fclass in NO_TARGET_CLASSES:
        return []
    return list(identity.against_log(frame, line_of(frame, log.rows)))


def _without_line(frames: Mapping[str, Frame], log: Log) -> Iterator[tuple[str, str]]:
    """Yield the frames that the log says nothing of."""
    missing = {
        name: ["the log has no line of it: its run's kind and type, guiding, quality are unknown"]
        for name, frame in frames.items()
        if not line_of(frame, log.rows)
    }
    yield from told_once(missing, len(frames))


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
