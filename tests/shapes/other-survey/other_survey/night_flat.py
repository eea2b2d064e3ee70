"""plan_night_flat: the flat of a whole night, B and R together, from all its frames."""

from __future__ import annotations

from other_survey.work import SCIENCE, whole_unit
from snfpipe.declarations.spec import Input, Lacking, Output, Per, PlanSpec, Scope
from snfpipe.declarations.unit_kinds import NIGHT

PLAN = PlanSpec(
    name="night_flat",
    letter="b",
    folder="OFL",
    title="flats of nights",
    unit_kinds=(NIGHT,),
    observed=SCIENCE,
    pieces=whole_unit,
    inputs=(
        Input("frames", ((18, 0),), Scope.SAME_NIGHT, many=True),
        Input("darks", ((25, 0),), Scope.SAME_NIGHT, many=True, lacking=Lacking.OPTIONAL),
        Input("mask", ((27, 0),), Scope.SAME_NIGHT, lacking=Lacking.OPTIONAL),
    ),
    outputs=(Output("flat", ((30, 0),), Per.NIGHT, main=True),),
)
