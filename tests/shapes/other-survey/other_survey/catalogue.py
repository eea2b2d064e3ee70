"""plan_catalogue: one table of all targets of the survey."""

from __future__ import annotations

from other_survey.work import SCIENCE, whole_unit
from snfpipe.declarations.spec import Input, Output, Per, PlanSpec, Scope
from snfpipe.declarations.unit_kinds import SURVEY

PLAN = PlanSpec(
    name="catalogue",
    letter="k",
    folder="OCA",
    title="the survey's catalogue",
    unit_kinds=(SURVEY,),
    observed=SCIENCE,
    pieces=whole_unit,
    inputs=(Input("spectra", ((680, 100),), Scope.SURVEY, many=True),),
    outputs=(Output("table", ((26, 0),), Per.NIGHT, main=True),),
)
