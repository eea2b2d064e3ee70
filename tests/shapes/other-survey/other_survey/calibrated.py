"""plan_calibrated: every frame's spectrum, calibrated by its exposure, night and survey."""

from __future__ import annotations

from other_survey.work import SCIENCE, each_frame
from snfpipe.declarations.spec import Input, Output, PlanSpec, Scope
from snfpipe.declarations.unit_kinds import NIGHT

PLAN = PlanSpec(
    name="calibrated",
    letter="o",
    folder="OCB",
    title="calibrated spectra",
    unit_kinds=(NIGHT,),
    observed=SCIENCE,
    pieces=each_frame,
    inputs=(
        Input("spectrum", ((670, 100),), Scope.SAME_EXPOSURE, "spectra"),
        Input("zero", ((32, 0),), Scope.SAME_NIGHT, "zeros"),
        Input("targets", ((680, 100),), Scope.NIGHT_TARGETS, many=True),
        Input("catalogue", ((26, 0),), Scope.SURVEY),
    ),
    outputs=(Output("spectrum", ((23, 0),), main=True),),
)
