"""plan_merged: the spectrum of every exposure, B and R together."""

from __future__ import annotations

from collections.abc import Iterator

from other_survey.work import BOTH, SCIENCE
from snfpipe.declarations.rows import Piece, UnitView
from snfpipe.declarations.spec import Input, Output, Per, PlanSpec, Scope
from snfpipe.declarations.unit_kinds import NIGHT


def pieces(view: UnitView) -> Iterator[Piece]:
    """Ask for one spectrum an exposure."""
    for frame in {it.exposure: it for it in view.frames}.values():
        yield Piece(str(frame.exposure), frame.exposure, BOTH, frame.target_id, frame)


PLAN = PlanSpec(
    name="merged",
    letter="d",
    folder="OME",
    title="spectra of exposures",
    unit_kinds=(NIGHT,),
    observed=SCIENCE,
    pieces=pieces,
    inputs=(Input("spectra", ((38, 100),), Scope.SAME_EXPOSURE, many=True),),
    outputs=(Output("spectrum", ((670, 100),), Per.EXPOSURE, main=True),),
)
