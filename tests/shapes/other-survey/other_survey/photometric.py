"""plan_photometric: whether a night was photometric; a person may say better."""

from __future__ import annotations

from collections.abc import Iterator

from other_survey.work import BOTH, SCIENCE
from snfpipe.declarations.rows import Piece, UnitView, of_night
from snfpipe.declarations.spec import Output, Per, PlanSpec
from snfpipe.declarations.unit_kinds import NIGHT

TABLE = "photometricity"


def pieces(view: UnitView) -> Iterator[Piece]:
    """Ask for the photometricity of the night."""
    if view.frames:
        said = view.by_hand.get(TABLE, {}).get("photometric")
        usual = view.options["photometric"]
        yield of_night(
            view.unit, view.unit, BOTH, {"photometric": float(usual if said is None else said)}
        )


PLAN = PlanSpec(
    name="photometric",
    letter="f",
    folder="OPH",
    title="photometricity of nights",
    unit_kinds=(NIGHT,),
    observed=SCIENCE,
    pieces=pieces,
    inputs=(),
    outputs=(Output("photometricity", ((995, 42),), Per.NIGHT, main=True),),
    by_hand=(TABLE,),
)
