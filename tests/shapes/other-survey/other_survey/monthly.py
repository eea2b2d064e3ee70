"""plan_monthly: the mean zero point of a month."""

from __future__ import annotations

from other_survey.work import SCIENCE, whole_unit
from snfpipe.declarations.spec import Input, Output, Per, PlanSpec, Scope
from snfpipe.declarations.unit_kinds import MONTH

PLAN = PlanSpec(
    name="monthly",
    letter="l",
    folder="OMO",
    title="zero points of months",
    unit_kinds=(MONTH,),
    observed=SCIENCE,
    pieces=whole_unit,
    inputs=(Input("zeros", ((32, 0),), Scope.SAME_NIGHT, many=True),),
    outputs=(Output("zero", ((27, 0),), Per.NIGHT, main=True),),
)
