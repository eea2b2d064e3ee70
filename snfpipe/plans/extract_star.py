"""plan_extract_star: the point source's spectrum of every cube, and of its background.

A standard has a flat background (degree 0), a supernova one with a slope (degree 1); final
references have no point source any more.
"""

from __future__ import annotations

from collections.abc import Iterator

from snfpipe.declarations.rows import Candidate, Piece, UnitView, of_frame, pose_problem
from snfpipe.declarations.spec import Empty, Input, Lacking, Output, PlanSpec, Scope
from snfpipe.declarations.unit_kinds import NIGHT, TARGET
from snfpipe.plans.spectroscopic import SCIENCE, spectroscopic
from snfpipe.states import State

#: Kinds of a supernova's runs in which it has faded.
_REFERENCES = {"FinalRef", "PhotoFinalRef", "HostGalaxy", "RefGalaxy"}

_VALUES = ("airmass", "parang", "pressure", "temperature")


def pieces(view: UnitView) -> Iterator[Piece]:
    """Ask for a spectrum of every spectroscopic exposure that has a point source."""
    for frame in spectroscopic(view.frames):
        yield of_frame(
            frame,
            pose_problem(frame) or _no_source(frame),
            {name: frame.value(name) for name in _VALUES}
            | {"sky_degree": sky_degree(frame.target_kind)},
        )


def sky_degree(kind: str | None) -> int:
    """Return the degree of the background's polynomial for a kind of target."""
    return 1 if (kind or "").startswith("SuperNova") else 0


def _no_source(frame: Candidate) -> str | None:
    """Return why an exposure shows no point source, or None."""
    if sky_degree(frame.target_kind) and frame.run_kind in _REFERENCES:
        return f"{frame.run_kind}: no point source"
    return None


PLAN = PlanSpec(
    name="extract_star",
    letter="e",
    folder="PES",
    title="point-source spectra from cubes",
    unit_kinds=(NIGHT, TARGET),
    observed=SCIENCE,
    pieces=pieces,
    inputs=(
        Input(
            "cube", ((22, 0),), Scope.SAME_EXPOSURE, "cubes",
            lacking=Lacking.NOTHING, reason="no {validated}cube",
            values=(*_VALUES, "run_kind", "target_kind"),
        ),
    ),
    outputs=(
        Output(
            "spectrum", ((38, 100),), main=True,
            auxiliary={"log": "txt", "plot_fit": "png", "plot_adr": "png",
                       "plot_spectrum": "png"},
        ),
        Output("background", ((38, 110),)),
    ),
    idle="{reasons}",
    empty=Empty(State.NOTHING_TO_DO, "no exposures of standards or supernovae in {unit}"),
)  # fmt: skip
