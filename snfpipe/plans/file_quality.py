"""plan_file_quality: every raw frame of a night, preprocessed, with its quality statistics."""

from __future__ import annotations

from collections.abc import Iterator

from snfpipe.declarations.rows import Candidate, Piece, UnitView, of_frame
from snfpipe.declarations.spec import Empty, Input, Output, PlanSpec, Scope
from snfpipe.declarations.unit_kinds import NIGHT
from snfpipe.fclass import PREPROCESSED, Pair
from snfpipe.plans.spectroscopic import SPECTRAL
from snfpipe.states import State

#: Preprocessed classes whose full B and R frames have bias and dark models taken off: XF 207.
_MODELLED = {4, 8, 13, 18, 54, 61}

_VALUES = ("jd", "efftime_s", "airmass", "parang", "pressure", "temperature")


def preprocessed(frame: Candidate) -> Pair:
    """Return Fclass and XFclass of a raw frame once preprocessed."""
    target = PREPROCESSED[frame.fclass]
    modelled = frame.channel in SPECTRAL and target in _MODELLED and _is_full(frame)
    return target, 207 if modelled else 0


def _is_full(frame: Candidate) -> bool:
    """Tell whether a frame covers its whole chip."""
    return frame.raster in ("", "FULL")


def pieces(view: UnitView) -> Iterator[Piece]:
    """Ask for the preprocessed frame of every raw one."""
    for frame in view.frames:
        pair = preprocessed(frame)
        values = {name: frame.value(name) for name in _VALUES}
        yield of_frame(frame, None, {**values, "models": pair[1] == 207}, classes={"frame": pair})


PLAN = PlanSpec(
    name="file_quality",
    letter="z",
    folder="PFQ",
    title="preprocessed frames and their quality",
    unit_kinds=(NIGHT,),
    observed=tuple(PREPROCESSED),
    pieces=pieces,
    inputs=(
        Input(
            "raw", tuple((fclass, 0) for fclass in PREPROCESSED), Scope.SAME_EXPOSURE, raw=True,
            values=_VALUES,
        ),
    ),
    outputs=(
        Output(
            "frame",
            ((18, 207), *((f, x) for f in PREPROCESSED.values() for x in (207, 0)
                          if x == 0 or (f in _MODELLED and f != 18))),
            main=True,
        ),
    ),
    empty=Empty(State.FAILED, "no raw frames of night {unit} have arrived"),
)  # fmt: skip
