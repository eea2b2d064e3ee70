"""plan_light_curve: a target's light curve, from its spectrum."""

from __future__ import annotations

from other_survey.work import SCIENCE, whole_target
from snfpipe.declarations.spec import Input, Output, Per, PlanSpec, Scope
from snfpipe.declarations.unit_kinds import TARGET

PLAN = PlanSpec(
    name="light_curve",
    letter="i",
    folder="OLC",
    title="light curves of targets",
    unit_kinds=(TARGET,),
    observed=SCIENCE,
    pieces=whole_target,
    inputs=(Input("spectrum", ((680, 100),), Scope.SAME_UNIT, "spectra"),),
    outputs=(Output("curve", ((700, 100),), Per.TARGET, main=True, extension="yaml"),),
)
