"""plan_groups: the targets of a hand-written list together."""

from __future__ import annotations

from other_survey.work import SCIENCE, whole_unit
from snfpipe.declarations.spec import Input, Output, Per, PlanSpec, Scope
from snfpipe.declarations.unit_kinds import LIST

PLAN = PlanSpec(
    name="groups",
    letter="n",
    folder="OGR",
    title="groups of targets",
    unit_kinds=(LIST,),
    observed=SCIENCE,
    pieces=whole_unit,
    inputs=(Input("spectra", ((680, 100),), Scope.NIGHT_TARGETS, many=True, values=("target",)),),
    outputs=(Output("table", ((29, 0),), Per.NIGHT, main=True),),
)
