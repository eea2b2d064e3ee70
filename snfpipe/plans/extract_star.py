"""plan_extract_star: the point source's spectrum of every cube, and of its background.

A standard has a flat background (degree 0), a supernova one with a slope (degree 1); final
references have no point source any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from snfpipe.declarations.rows import (
    Candidate,
    Choice,
    Piece,
    UnitView,
    of_frame,
    pose_problem,
)
from snfpipe.declarations.spec import Empty, Input, Lacking, Output, PlanSpec, Scope
from snfpipe.declarations.unit_kinds import NIGHT, TARGET
from snfpipe.names import CHANNELS
from snfpipe.plans.spectroscopic import SCIENCE, spectroscopic
from snfpipe.states import State

#: Kinds of a supernova's runs in which it has faded.
_REFERENCES = {"FinalRef", "PhotoFinalRef", "HostGalaxy", "RefGalaxy"}

#: The exposure's other channel, in which the source lies at the same place.
_OTHER = {CHANNELS["B"]: CHANNELS["R"], CHANNELS["R"]: CHANNELS["B"]}

_VALUES = ("airmass", "parang", "pressure", "temperature")
_SELECTING = (*_VALUES, "run_kind", "target_kind")

#: Channel -> the other one that sees the same exposure.
_OTHER = {CHANNELS["B"]: CHANNELS["R"], CHANNELS["R"]: CHANNELS["B"]}


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


def _other_channel(
    piece: Piece, found: Sequence[Candidate], chosen: Mapping[str, tuple[Candidate, ...]]
) -> Choice:
    """Choose the cube of the exposure's other channel: both show the source at one place."""
    ident, channel = piece.exposure.id_exposure, _OTHER[piece.channel]
    return Choice(tuple(it for it in found if (it.id_exposure, it.channel) == (ident, channel))[:1])


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
            values=_SELECTING,
        ),
        Input(
            "other", ((22, 0),), Scope.SAME_EXPOSURE, "cubes",
            lacking=Lacking.OPTIONAL, listed_as="cube", values=_SELECTING, choose=_other_channel,
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
