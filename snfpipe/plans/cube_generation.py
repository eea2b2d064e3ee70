"""plan_cube_generation: a Euro3D cube of every spectroscopic exposure of a star or supernova.

Needs the preprocessed exposure, an arc and a continuum of its channel: those of its own run, or
else the nearest in time of the night.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from sqlalchemy.orm import Session

from snfpipe.config.project import Step
from snfpipe.names import CHANNELS
from snfpipe.plans.base import Item, OwedProduct, SelectedInput, UnitPlan, Verdict
from snfpipe.plans.candidates import Candidate, nights_of, of_units, products, raw_frames
from snfpipe.states import State

_OBJECT, _ARC, _CONTINUUM = (18, 207), (4, 207), (8, 207)

#: Output role of the program -> Fclass, XFclass.
_OUTPUTS = {"cube": (22, 0), "quick": (38, 0), "table": (300, 1), "background": (322, 0)}

_SPECTRAL = (CHANNELS["B"], CHANNELS["R"])


def spectroscopic(frames: Iterable[Candidate]) -> list[Candidate]:
    """Return the raw exposures that owe a cube: SPECTRED runs on standards and supernovae."""
    return [
        frame
        for frame in frames
        if frame.fclass == 17
        and frame.channel in _SPECTRAL
        and frame.run_type == "SPECTRED"
        and (frame.target_kind or "").startswith(("StdStar", "SuperNova"))
    ]


def poor_pose(frame: Candidate) -> str | None:
    """Return why the standard selection leaves an exposure out, or None."""
    if frame.pose_quality <= 0:
        return f"pose quality {frame.pose_quality}"
    if frame.qzelog > 2:
        return f"Qzelog {frame.qzelog}"
    return None


def select(session: Session, step: Step, units: Sequence[str]) -> dict[str, UnitPlan]:
    """Select exposures with their arcs and continua, for each unit."""
    nights = nights_of(session, step, units)
    every = sorted({night for own in nights.values() for night in own})
    raw = of_units(step, nights, raw_frames(session, [17], every))
    frames = products(session, step, "frames", [_OBJECT, _ARC, _CONTINUUM], every)
    return {
        unit: _plan(unit, spectroscopic(raw[unit]), [f for n in own for f in frames.get(n, ())])
        for unit, own in nights.items()
    }


def owed(session: Session, step: Step, units: Sequence[str]) -> list[OwedProduct]:
    """Every spectroscopic exposure of a good pose owes a cube and what comes with it."""
    nights = nights_of(session, step, units)
    every = sorted({night for own in nights.values() for night in own})
    raw = of_units(step, nights, raw_frames(session, [17], every))
    return [
        product
        for unit in units
        for frame in spectroscopic(raw[unit])
        for product in _owed(frame, (), poor_pose(frame))
    ]


def _plan(unit: str, exposures: Sequence[Candidate], frames: Sequence[Candidate]) -> UnitPlan:
    """Plan one unit."""
    by_class: dict[tuple[int, int], list[Candidate]] = {}
    for product in frames:
        by_class.setdefault((product.fclass, product.xfclass), []).append(product)
    objects = {product.pose: product for product in by_class.get(_OBJECT, [])}
    inputs: dict[str, SelectedInput] = {}
    items, wanted = [], []
    reasons: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    for raw in exposures:
        poor = poor_pose(raw)
        if poor:
            reasons[poor] += 1
            wanted += _owed(raw, (), poor)
            continue
        frame = objects.get(raw.pose)
        arc = _nearest(raw, by_class.get(_ARC, []))
        continuum = _nearest(raw, by_class.get(_CONTINUUM, []))
        if frame is None or arc is None or continuum is None:
            reason = _missing(raw, frame, arc)
            (reasons if frame is None else failures)[reason] += 1
            wanted += _owed(raw, (), reason)
            continue
        chosen = {"object": frame, "arc": arc, "continuum": continuum}
        inputs[frame.id_process] = frame.selected("object", "run_type", "target_kind")
        for role in ("arc", "continuum"):
            inputs[chosen[role].id_process] = chosen[role].selected(role)
        given = {role: (used.id_process,) for role, used in chosen.items()}
        items.append(Item(str(raw.pose), given))
        wanted += _owed(raw, tuple(used.id_process for used in chosen.values()), None)
    verdict = None
    if not items:
        verdict = _verdict(unit, reasons, failures)
    return UnitPlan(unit, tuple(inputs.values()), tuple(items), tuple(wanted), verdict)


def _nearest(raw: Candidate, frames: Sequence[Candidate]) -> Candidate | None:
    """Return the good frame of the same night and channel, of the same run if there is one."""
    same = [
        frame
        for frame in frames
        if frame.channel == raw.channel and frame.night == raw.night and frame.good_pose
    ]

    def distance(frame: Candidate) -> tuple[bool, float, str]:
        known = frame.jd is not None and raw.jd is not None
        days = abs((frame.jd or 0.0) - (raw.jd or 0.0)) if known else 99.0
        return frame.id_run != raw.id_run, days, frame.id_process

    return min(same, key=distance, default=None)


def _missing(raw: Candidate, frame: Candidate | None, arc: Candidate | None) -> str:
    """Say which of its three inputs an exposure lacks."""
    if frame is None:
        return "no preprocessed frame"
    return f"no {'arc' if arc is None else 'continuum'} in night {raw.night}"


def _verdict(unit: str, reasons: Counter[str], failures: Counter[str]) -> Verdict:
    """Say why a unit makes no cubes: its fault, or that of nobody."""
    if failures:
        return Verdict(State.FAILED, ", ".join(sorted(failures)))
    if reasons:
        told = ", ".join(f"{reason} ({count})" for reason, count in sorted(reasons.items()))
        return Verdict(State.NOTHING_TO_DO, f"no exposure can be used: {told}")
    return Verdict(State.NOTHING_TO_DO, f"no exposures of standards or supernovae in {unit}")


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
            target_id=raw.target_id,
            reason=reason,
        )
        for role, (fclass, xfclass) in _OUTPUTS.items()
    ]
