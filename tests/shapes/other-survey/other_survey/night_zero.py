"""plan_night_zero: the zero point of a night, from that of its targets that was read most of."""

from __future__ import annotations

from other_survey.work import SCIENCE, deepest, whole_unit
from snfpipe.declarations.spec import Input, Output, Per, PlanSpec, Scope
from snfpipe.declarations.unit_kinds import NIGHT

PLAN = PlanSpec(
    name="night_zero",
    letter="h",
    folder="ONZ",
    title="zero points of nights",
    unit_kinds=(NIGHT,),
    observed=SCIENCE,
    pieces=whole_unit,
    inputs=(
        Input("targets", ((680, 100),), Scope.NIGHT_TARGETS, many=True),
        Input("best", ((680, 100),), Scope.NIGHT_TARGETS, "targets",
              values=("measured.files",), choose=deepest),
    ),
    outputs=(Output("zero", ((32, 0),), Per.NIGHT, main=True),),
)  # fmt: skip
