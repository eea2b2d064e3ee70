"""plan_reference: the best flat within forty days: that made from most frames."""

from __future__ import annotations

from other_survey.work import SCIENCE, deepest, whole_unit
from snfpipe.declarations.spec import Input, Output, Per, PlanSpec, Scope
from snfpipe.declarations.unit_kinds import NIGHT

PLAN = PlanSpec(
    name="reference",
    letter="j",
    folder="ORE",
    title="the reference of each night",
    unit_kinds=(NIGHT,),
    observed=SCIENCE,
    pieces=whole_unit,
    inputs=(
        Input("flat", ((30, 0),), Scope.NEARBY, "flats", days=40, values=("measured.files",),
              choose=deepest),
    ),
    outputs=(Output("reference", ((41, 0),), Per.NIGHT, main=True),),
)  # fmt: skip
