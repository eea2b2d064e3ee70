"""plan_cube_generation: a Euro3D cube of every spectroscopic exposure of a star or supernova.

Needs the preprocessed exposure, an arc and a continuum of its channel: those of its own run, or
else the nearest in time of the night.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from snfpipe.declarations.rows import (
    Candidate,
    Choice,
    Piece,
    UnitView,
    nearest,
    of_frame,
    pose_problem,
)
from snfpipe.declarations.spec import Empty, Input, Lacking, Output, PlanSpec, Scope
from snfpipe.declarations.unit_kinds import NIGHT
from snfpipe.plans.spectroscopic import SCIENCE, spectroscopic
from snfpipe.states import State


def pieces(view: UnitView) -> Iterator[Piece]:
    """Ask for a cube of every spectroscopic exposure of a good pose."""
    return (of_frame(frame, pose_problem(frame)) for frame in spectroscopic(view.frames))


def _nearest(
    piece: Piece, found: Sequence[Candidate], chosen: Mapping[str, tuple[Candidate, ...]]
) -> Choice:
    """Choose the nearest good frame of the night."""
    return nearest(piece, found)


PLAN = PlanSpec(
    name="cube_generation",
    letter="c",
    folder="PCG",
    title="Euro3D cubes from preprocessed frames",
    unit_kinds=(NIGHT,),
    observed=SCIENCE,
    pieces=pieces,
    inputs=(
        Input(
            "object", ((18, 207),), Scope.SAME_EXPOSURE, "frames",
            lacking=Lacking.NOTHING, reason="no preprocessed frame",
            values=("run_type", "target_kind"),
        ),
        Input("arc", ((4, 207),), Scope.SAME_NIGHT, "frames",
              reason="no arc in night {night}", choose=_nearest),
        Input("continuum", ((8, 207),), Scope.SAME_NIGHT, "frames",
              reason="no continuum in night {night}", choose=_nearest),
    ),
    outputs=(
        Output("cube", ((22, 0),), main=True),
        Output("quick", ((38, 0),)),
        Output("table", ((300, 1),)),
        Output("background", ((322, 0),)),
    ),
    empty=Empty(State.NOTHING_TO_DO, "no exposures of standards or supernovae in {unit}"),
)  # fmt: skip
