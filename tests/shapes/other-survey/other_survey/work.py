"""What several plans of this survey share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from snfpipe.declarations.rows import (
    Candidate,
    Choice,
    Piece,
    UnitView,
    of_frame,
    of_night,
    of_target,
)
from snfpipe.names import CHANNELS

SCIENCE = (17,)
BOTH = CHANNELS["B"] | CHANNELS["R"]


def each_frame(view: UnitView) -> Iterator[Piece]:
    """Ask for a piece of work on every science frame."""
    return (of_frame(frame) for frame in view.frames)


def whole_unit(view: UnitView) -> Iterator[Piece]:
    """Ask for one piece of work on all nights of a unit, named by its first."""
    if view.frames:
        yield of_night(view.nights[0], view.unit, BOTH)


def whole_target(view: UnitView) -> Iterator[Piece]:
    """Ask for one piece of work on a target."""
    if view.frames:
        yield of_target(view.frames[0], view.unit, BOTH)


def deepest(
    piece: Piece, found: Sequence[Candidate], chosen: Mapping[str, tuple[Candidate, ...]]
) -> Choice:
    """Choose what was made from most files, of several the first."""
    best = max(found, key=lambda it: (it.value("measured.files"), it.id_process), default=None)
    return Choice((best,) if best else ())
