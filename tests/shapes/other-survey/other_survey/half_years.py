"""plan_half_years: the months of a half year, and its nights that were photometric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from other_survey.kinds import HALF_YEAR
from other_survey.work import SCIENCE, whole_unit
from snfpipe.declarations.rows import Candidate, Choice, Piece
from snfpipe.declarations.spec import Input, Lacking, Output, Per, PlanSpec, Scope


def photometric(
    piece: Piece, found: Sequence[Candidate], chosen: Mapping[str, tuple[Candidate, ...]]
) -> Choice:
    """Choose the nights that were measured to be photometric."""
    return Choice(tuple(it for it in found if it.value("measured.photometric") == 1.0))


PLAN = PlanSpec(
    name="half_years",
    letter="m",
    folder="OHY",
    title="half years",
    unit_kinds=(HALF_YEAR,),
    observed=SCIENCE,
    pieces=whole_unit,
    inputs=(
        Input("months", ((27, 0),), Scope.SAME_NIGHT, many=True),
        Input("photometric", ((995, 42),), Scope.SAME_NIGHT, "nights", many=True,
              lacking=Lacking.NOTHING, reason="no photometric night in {unit}",
              values=("measured.photometric",), choose=photometric),
    ),
    outputs=(Output("summary", ((31, 0),), Per.NIGHT, main=True),),
)  # fmt: skip
