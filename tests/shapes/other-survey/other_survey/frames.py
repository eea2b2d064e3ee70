"""plan_frames: every science frame, and a map of the blue ones."""

from __future__ import annotations

from collections.abc import Iterator

from other_survey.work import SCIENCE
from snfpipe.declarations.rows import Piece, UnitView, of_frame
from snfpipe.declarations.spec import Input, Output, PlanSpec, Scope
from snfpipe.declarations.unit_kinds import NIGHT
from snfpipe.names import CHANNELS


def pieces(view: UnitView) -> Iterator[Piece]:
    """Ask for every frame."""
    for frame in view.frames:
        yield of_frame(frame, None, {"map": frame.channel == CHANNELS["B"]})


PLAN = PlanSpec(
    name="frames",
    letter="a",
    folder="OFR",
    title="science frames",
    unit_kinds=(NIGHT,),
    observed=SCIENCE,
    pieces=pieces,
    inputs=(Input("raw", ((17, 0),), Scope.SAME_EXPOSURE, raw=True),),
    outputs=(
        Output("frame", ((18, 0),), main=True),
        Output("map", ((33, 0),), optional=True),
    ),
)
