"""What frames and their log say was observed, as the columns of runs, exposures and poses.

Each value is taken where it is said: a log's line of any channel, the header, else nothing.  Of a
run, where its lines disagree, what most of them say; the others are told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from snfpipe.errors import BadName, shown
from snfpipe.ingest.cards import NOTHING, Frame
from snfpipe.ingest.logs import WORDS
from snfpipe.ingest.spelling import KnownTargets
from snfpipe.names import check_target

Row = dict[str, Any]
#: Run, exposure and channel -> a line of the log.
LogRows = Mapping[tuple[int, int, int], Mapping[str, Any]]

#: Objects of calibration frames: no targets.
_NO_TARGET = NOTHING | {"bias", "dark", "arc", "dome", "continuum", "skyflat"}
NO_TARGET_CLASSES = frozenset({24, 25})  #: raw bias, raw dark
_SCIENCE = 17


@dataclass(slots=True)
class Observed:
    """Rows by their keys; ``target`` of a run is its target's name, empty where it has none.

    ``problems`` are what the frames of a run disagree on: run, what.
    """

    runs: dict[int, Row] = field(default_factory=dict)
    exposures: dict[int, Row] = field(default_factory=dict)
    poses: dict[int, Row] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)


def observe(frames: Iterable[Frame], log: LogRows, known: KnownTargets) -> Observed:
    """Return what some frames of a night and its log say was observed."""
    found = Observed()
    of_run: dict[int, list[Frame]] = {}
    of_exposure: dict[int, list[Frame]] = {}
    for frame in sorted(frames, key=lambda one: str(one.name)):
        exposure = frame.name.exposure
        of_run.setdefault(exposure.run_id.id_run, []).append(frame)
        of_exposure.setdefault(exposure.id_exposure, []).append(frame)
        found.poses[frame.name.pose.id_pose] = _pose(frame, line_of(frame, log))
    for id_run, some in of_run.items():
        found.runs[id_run] = _run(some, log, known, found.problems)
    for id_exposure, some in of_exposure.items():
        found.exposures[id_exposure] = _exposure(some, log)
    return found


def line_of(frame: Frame, log: LogRows) -> Mapping[str, Any]:
    """Return a frame's line of the log, empty where it has none."""
    exposure = frame.name.exposure
    return log.get((exposure.run, exposure.exposure, frame.name.pose.channel), {})


def _run(
    frames: Sequence[Frame], log: LogRows, known: KnownTargets, problems: list[tuple[str, str]]
) -> Row:
    """Return a run's row."""
    run = frames[0].name.exposure.run_id
    lines = [line_of(frame, log) for frame in frames]
    times = [frame.jd for frame in frames if frame.jd is not None]
    told: list[str] = []
    row = {
        "id_run": run.id_run,
        "night": str(run.night),
        "run": run.run,
        "kind": _vote("run_kind", [line.get("run_kind", "") for line in lines], told),
        "type": _vote("run_type", [line.get("run_type", "") for line in lines], told),
        "jd": min(times, default=None),
        "target": _target(frames, lines, known, told),
    }
    problems += [(f"run {run}", what) for what in told]
    return row


def _vote(column: str, words: Sequence[str], told: list[str]) -> str:
    """Return the word that most lines have, a known one if there is any."""
    votes = Counter(word for word in words if word)
    if not votes:
        return ""
    chosen = max(votes, key=lambda word: (word in WORDS.get(column, votes), votes[word]))
    if len(votes) > 1:
        said = ", ".join(f"{shown(word)} ({count})" for word, count in votes.items())
        told.append(f"{column} is {said}: {chosen} is taken")
    return chosen


def _target(
    frames: Sequence[Frame],
    lines: Sequence[Mapping[str, Any]],
    known: KnownTargets,
    told: list[str],
) -> str:
    """Return the target of a run: as the log has it, else its objects' headers, else the lamps'."""
    pairs = [
        (frame, line)
        for frame, line in zip(frames, lines, strict=True)
        if frame.name.fclass not in NO_TARGET_CLASSES
    ]
    sources = (
        [line.get("object", "") for _frame, line in pairs],
        [frame.text("OBJECT", 80) for frame, _line in pairs if frame.name.fclass == _SCIENCE],
        [frame.text("OBJECT", 80) for frame, _line in pairs],
    )
    for texts in sources:
        given = [text for text in texts if text.casefold() not in _NO_TARGET]
        names = []
        for text in given:
            try:
                names.append(check_target(known.name_of(text)))
            except BadName as error:
                told.append(f"{error.message}, no target")
        if given:
            return _vote("the target", names, told)
    return ""


def _exposure(frames: Sequence[Frame], log: LogRows) -> Row:
    """Return an exposure's row, from what its channels say, in order of their names."""
    exposure = frames[0].name.exposure
    lines = [line_of(frame, log) for frame in frames]

    def logged(column: str, unknown: Any = None) -> Any:
        return next((line[column] for line in lines if column in line), unknown)

    return {
        "id_exposure": exposure.id_exposure,
        "id_run": exposure.run_id.id_run,
        "night": str(exposure.night),
        "exposure": exposure.exposure,
        "jd": _first(frame.jd for frame in frames),
        "exptime_s": _first([*(frame.number("EXPTIME") for frame in frames), logged("exptime_s")]),
        "filter": logged("filter", ""),
        **{name: logged(name) for name in ("guide", "guide_s", "guide_f", "guide_x")},
        "interrupt": logged("interrupt", 0),
        "quality": logged("quality", 1),
    }


def _pose(frame: Frame, line: Mapping[str, Any]) -> Row:
    """Return a pose's row."""
    return {
        "id_pose": frame.name.pose.id_pose,
        "id_exposure": frame.name.exposure.id_exposure,
        "night": str(frame.name.exposure.night),
        "channel": frame.name.pose.channel,
        "quality": line.get("quality", 1),
        "qzelog": line.get("qzelog", 0),
        "efftime_s": _first([frame.number("EXPTIME"), line.get("exptime_s")]),
        "raster": frame.raster,
        "jd": frame.jd,
        "airmass": frame.number("AIRMASS"),
        "parang": frame.number("PARANG"),
        "pressure": frame.number("PRESSURE"),
        "temperature": frame.number("TEMP"),
    }


def _first(values: Iterable[float | None]) -> float | None:
    """Return the first value that is known."""
    return next((value for value in values if value is not None), None)
