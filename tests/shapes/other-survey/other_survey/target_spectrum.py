"""plan_target_spectrum: the mean spectrum of a target, from its exposures in all nights."""

from __future__ import annotations

from other_survey.work import SCIENCE, whole_target
from snfpipe.declarations.spec import Input, Output, Per, PlanSpec, Scope
from snfpipe.declarations.unit_kinds import TARGET

PLAN = PlanSpec(
    name="target_spectrum",
    letter="g",
    folder="OTS",
    title="spectra of targets",
    unit_kinds=(TARGET,),
    observed=SCIENCE,
    pieces=whole_target,
    inputs=(
        Input("spectra", ((670, 100),), Scope.TARGET_NIGHTS, many=True, values=("target",)),
        Input("flats", ((30, 0),), Scope.TARGET_NIGHTS, many=True),
    ),
    outputs=(Output("spectrum", ((680, 100),), Per.TARGET, main=True),),
)
