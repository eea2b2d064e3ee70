"""plan_extract_star: the point source's spectrum of every cube, and of its background.

A standard has a flat background (degree 0), a supernova one with a slope (degree 1); final
references have no point source any more.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from snfpipe.config.project import Step
from snfpipe.names import CHANNELS
from snfpipe.plans.base import Item, OwedProduct, SelectedInput, UnitPlan, Verdict
from snfpipe.plans.candidates import Candidate, nights_of, of_units, products, raw_frames
from snfpipe.plans.cube_generation import poor_pose, spectroscopic
from snfpipe.states import State

#: Output role of the program -> Fclass, XFclass.
_OUTPUTS = {"spectrum": (38, 100), "background": (38, 110)}

#: Auxiliary files that come with the spectrum: role -> extension.
_AUXILIARY = {"log": "txt", "plot_fit": "png", "plot_adr": "png", "plot_spectrum": "png"}

#: Kinds of a supernova's runs in which it has faded.
_REFERENCES = {"FinalRef", "PhotoFinalRef", "HostGalaxy", "RefGalaxy"}

#: The exposure's other channel, in which the source lies at the same place.
_OTHER = {CHANNELS["B"]: CHANNELS["R"], CHANNELS["R"]: CHANNELS["B"]}

_VALUES = ("airmass", "parang", "pressure", "temperature")


def select(session: Session, step: Step, units: Sequence[str]) -> dict[str, UnitPlan]:
    """Select the cubes of each unit that hold a point source."""
    nights = nights_of(session, step, units)
    every = sorted({night for own in nights.values() for night in own})
    raw = of_units(step, nights, raw_frames(session, [17], every))
    cubes = of_units(step, nights, products(session, step, "cubes", [(22, 0)], every))
    missing = "no validated cube" if step.minimum_status > 1 else "no cube"
    return {unit: _plan(unit, spectroscopic(raw[unit]), cubes[unit], missing) for unit in units}


def owed(session: Session, step: Step, units: Sequence[str]) -> list[OwedProduct]:
    """Every spectroscopic exposure of a good pose that has a point source owes its spectrum."""
    nights = nights_of(session, step, units)
    every = sorted({night for own in nights.values() for night in own})
    raw = of_units(step, nights, raw_frames(session, [17], every))
    return [
        product
        for unit in units
        for frame in spectroscopic(raw[unit])
        for product in _owed(frame, (), poor_pose(frame) or _no_source(frame))
    ]


def sky_degree(kind: str | None) -> int:
    """Return the degree of the background's polynomial for a kind of target."""
    return 1 if (kind or "").startswith("SuperNova") else 0


def _no_source(frame: Candidate) -> str | None:
    """Return why an exposure shows no point source, or None."""
    if sky_degree(frame.target_kind) and frame.run_kind in _REFERENCES:
        return f"{frame.run_kind}: no point source"
    return None


def _plan(
    unit: str, exposures: Sequence[Candidate], cubes: Sequence[Candidate], missing: str
) -> UnitPlan:
    """Plan one unit."""
    by_pose = {(cube.id_exposure, cube.channel): cube for cube in cubes}
    inputs: dict[str, SelectedInput] = {}
    items, wanted = [], []
    for raw in exposures:
        cube = by_pose.get((raw.id_exposure, raw.channel))
        reason = poor_pose(raw) or _no_source(raw) or (None if cube else missing)
        other = by_pose.get((raw.id_exposure, _OTHER[raw.channel]))
        given = {role: (one.id_process,) for role, one in (("cube", cube), ("other", other)) if one}
        parents = tuple(ident for (ident,) in given.values()) if cube else ()
        wanted += _owed(raw, parents, reason)
        if cube is None or reason:
            continue
        for used in (cube, other) if other else (cube,):
            selected = used.selected("cube", *_VALUES, "run_kind", "target_kind")
            inputs[used.id_process] = selected
        values = {name: getattr(cube, name) for name in _VALUES}
        values["sky_degree"] = sky_degree(cube.target_kind)
        items.append(Item(str(raw.pose), given, values))
    verdict = None
    if not items:
        told = sorted({owed.reason for owed in wanted if owed.reason})
        reason = ", ".join(told) or f"no exposures of standards or supernovae in {unit}"
        verdict = Verdict(State.NOTHING_TO_DO, reason)
    return UnitPlan(unit, tuple(inputs.values()), tuple(items), tuple(wanted), verdict)


def _owed(raw: Candidate, parents: tuple[str, ...], reason: str | None) -> list[OwedProduct]:
    """Return the products one exposure owes."""
    return [
        OwedProduct(
            exposure=raw.exposure,
            channel=raw.channel,
            fclass=fclass,
            xfclass=xfclass,
            item=str(raw.pose),
            role=role,
            parents=parents,
            auxiliary=_AUXILIARY if role == "spectrum" else {},
            target_id=raw.target_id,
            reason=reason,
        )
        for role, (fclass, xfclass) in _OUTPUTS.items()
    ]
