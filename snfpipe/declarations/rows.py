"""Rows: what a plan's pure functions are shown, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from snfpipe.names import ExposureId, Night, PoseId, ProductName, target_exposure

Scalar = str | int | float | bool | None

_exposure = lru_cache(4096)(ExposureId.from_id)  # asked for again and again


@dataclass(frozen=True, slots=True)
class Candidate:
    """A live file, and the database values that may select it.

    Exposure, run and pose are those it is one of; a product of a whole night has none of them, one
    of a target only the target.  ``unit`` is that of the job that made it.  ``measured`` is what
    its production measured on its pose, exposure, night or target.
    """

    id_process: str
    fclass: int
    xfclass: int
    channel: int
    night: str
    id_run: int | None
    id_exposure: int | None
    jd: float | None
    area: str
    path: str
    checksum: str
    size: int
    quality: int
    status: int
    production: str | None
    unit: str | None
    pose_quality: int | None
    qzelog: int | None
    measured_quality: int | None
    efftime_s: float | None
    raster: str | None
    airmass: float | None
    parang: float | None
    pressure: float | None
    temperature: float | None
    run_kind: str | None
    run_type: str | None
    target_id: int | None
    target: str | None
    target_kind: str | None
    id_target: str | None
    measured: Mapping[str, Any] | None = None

    @property
    def exposure(self) -> ExposureId:
        """The exposure it is of; run or exposure 000 for a product of several."""
        if self.id_exposure is not None:
            return _exposure(self.id_exposure)
        return ProductName.from_id(self.id_process).exposure

    @property
    def pose(self) -> PoseId:
        """The pose it belongs to; in text, the name of its item of work."""
        return PoseId(self.exposure, self.channel)

    @property
    def good_pose(self) -> bool:
        """Whether the standard selection of poses takes it."""
        return pose_problem(self) is None and self.measured_quality != 2

    def value(self, name: str) -> Scalar:
        """Return a database value by name; ``measured.NAME`` is what was measured."""
        of_measure, dot, key = name.partition(".")
        if dot and of_measure == "measured":
            return (self.measured or {}).get(key)
        found: Scalar = getattr(self, name)
        return found


def pose_problem(frame: Candidate) -> str | None:
    """Return why the standard selection of poses leaves a frame out, or None.

    Quality 1 or 2, Qzelog at most 2.
    """
    if frame.pose_quality is not None and frame.pose_quality <= 0:
        return f"pose quality {frame.pose_quality}"
    if frame.qzelog is not None and frame.qzelog > 2:
        return f"Qzelog {frame.qzelog}"
    return None


@dataclass(frozen=True, slots=True)
class UnitView:
    """What a plan is shown of a unit before anything is chosen.

    Attributes
    ----------
    unit : str
        Its name.
    frames : sequence of Candidate
        The raw frames of the plan's ``observed`` classes, in the unit's nights and of its targets.
    nights : sequence of str
        Its nights.
    by_hand : mapping
        Table -> what somebody entered for this unit; tables without an entry are not there.
    options : mapping
        The step's options.
    """

    unit: str
    frames: Sequence[Candidate]
    nights: Sequence[str] = ()
    by_hand: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of work that what was observed asks for: what its products are of, and why not.

    Attributes
    ----------
    item : str
        Its name within the unit.
    exposure : ExposureId
        What it is of: with run and exposure 000 for less than one exposure.
    channel : int
        The mask of its channels.
    target_id : int or None
        Row of the target that its products belong to.
    frame : Candidate or None
        The raw frame that it follows from.
    excuse : str or None
        Why nothing can be expected of it, whatever is there.
    values : mapping
        What its program is told besides files.
    classes : mapping
        Output role -> class, where an output is of one of several.
    outputs : tuple of str or None
        The output roles that it has, all by default.
    """

    item: str
    exposure: ExposureId
    channel: int
    target_id: int | None = None
    frame: Candidate | None = None
    excuse: str | None = None
    values: Mapping[str, Scalar] = field(default_factory=dict)
    classes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    outputs: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen for an input of a piece, flags for its products, or why nothing was."""

    chosen: tuple[Candidate, ...] = ()
    flags: tuple[str, ...] = ()
    reason: str = ""


def of_frame(
    frame: Candidate,
    excuse: str | None = None,
    values: Mapping[str, Scalar] | None = None,
    *,
    classes: Mapping[str, tuple[int, int]] | None = None,
) -> Piece:
    """Return the piece of work on one raw frame's pose."""
    return Piece(
        item=str(frame.pose),
        exposure=frame.exposure,
        channel=frame.channel,
        target_id=frame.target_id,
        frame=frame,
        excuse=excuse,
        values=values or {},
        classes=classes or {},
    )


def of_night(
    night: str, item: str, channel: int, values: Mapping[str, Scalar] | None = None
) -> Piece:
    """Return a piece of work on a whole night: run and exposure 000."""
    return Piece(item, ExposureId(Night.parse(night), 0, 0), channel, values=values or {})


def of_target(
    frame: Candidate, item: str, channel: int, values: Mapping[str, Scalar] | None = None
) -> Piece:
    """Return a piece of work on the target of `frame`, named by the target's first run.

    Raises
    ------
    ValueError
        The frame is of no target.
    """
    if frame.id_target is None:
        raise ValueError(f"{frame.id_process} is of no target")
    return Piece(
        item, target_exposure(frame.id_target), channel, frame.target_id, values=values or {}
    )


def nearest(piece: Piece, found: Sequence[Candidate]) -> Choice:
    """Choose the good frame of the piece's night and channel: of its own run, else in time."""
    raw = piece.frame
    night = str(piece.exposure.night)
    same = [
        it for it in found if it.channel == piece.channel and it.night == night and it.good_pose
    ]

    def distance(it: Candidate) -> tuple[bool, float, str]:
        known = it.jd is not None and raw is not None and raw.jd is not None
        days = abs((it.jd or 0.0) - (raw.jd or 0.0)) if known and raw else 99.0
        return raw is None or it.id_run != raw.id_run, days, it.id_process

    best = min(same, key=distance, default=None)
    return Choice((best,) if best else ())
