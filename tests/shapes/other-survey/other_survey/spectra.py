"""plan_spectra: the spectrum and the background of every frame, by two commands in a row.

The flat is that of the night, B and R together; what is red is flagged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from other_survey.work import SCIENCE, each_frame
from snfpipe.declarations.rows import Candidate, Choice, Piece
from snfpipe.declarations.spec import Input, Output, PlanSpec, Scope
from snfpipe.declarations.unit_kinds import NIGHT
from snfpipe.names import CHANNELS

RED_FLAG = "ES_PRIOR_SEEING"


def flagged(
    piece: Piece, found: Sequence[Candidate], chosen: Mapping[str, tuple[Candidate, ...]]
) -> Choice:
    """Choose the flat of the night, and flag what is red."""
    flags = (RED_FLAG,) if piece.channel == CHANNELS["R"] else ()
    return Choice(tuple(it for it in found if it.channel & piece.channel)[:1], flags)


PLAN = PlanSpec(
    name="spectra",
    letter="c",
    folder="OSP",
    title="spectra of frames",
    unit_kinds=(NIGHT,),
    observed=SCIENCE,
    pieces=each_frame,
    inputs=(
        Input("frame", ((18, 0),), Scope.SAME_EXPOSURE, "frames"),
        Input("frames", ((18, 0),), Scope.SAME_EXPOSURE, many=True),
        Input("flat", ((30, 0),), Scope.SAME_NIGHT, "flats", choose=flagged),
    ),
    outputs=(
        Output("spectrum", ((38, 100),), main=True, auxiliary={"log": "txt"}),
        Output("background", ((38, 110),)),
    ),
)
