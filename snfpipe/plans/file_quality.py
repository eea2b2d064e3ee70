"""plan_file_quality: every raw frame of a night, preprocessed, with its quality statistics."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from snfpipe.config.project import Step
from snfpipe.names import CHANNELS
from snfpipe.plans.base import Item, OwedProduct, UnitPlan, Verdict
from snfpipe.plans.candidates import Candidate, raw_frames
from snfpipe.states import State

#: Raw Fclass -> Fclass once preprocessed.
PREPROCESSED = {3: 4, 7: 8, 12: 13, 17: 18, 52: 54, 60: 61, 25: 70}

#: Preprocessed classes whose full B and R frames have bias and dark models taken off: XF 207.
_MODELLED = {4, 8, 13, 18, 54, 61}

_VALUES = ("jd", "efftime_s", "airmass", "parang", "pressure", "temperature")


def preprocessed(frame: Candidate) -> tuple[int, int]:
    """Return Fclass and XFclass of a raw frame once preprocessed."""
    target = PREPROCESSED[frame.fclass]
    spectral = frame.channel in (CHANNELS["B"], CHANNELS["R"])
    modelled = spectral and target in _MODELLED and frame.raster in ("", "FULL")
    return target, 207 if modelled else 0


def select(session: Session, step: Step, units: Sequence[str]) -> dict[str, UnitPlan]:
    """Select every readable raw frame of each night."""
    frames = raw_frames(session, PREPROCESSED, units)
    return {unit: _plan(unit, frames.get(unit, [])) for unit in units}


def owed(session: Session, step: Step, units: Sequence[str]) -> list[OwedProduct]:
    """Every raw frame owes its preprocessed frame."""
    frames = raw_frames(session, PREPROCESSED, units)
    return [_owed(frame) for unit in units for frame in frames.get(unit, [])]


def _plan(night: str, frames: Sequence[Candidate]) -> UnitPlan:
    """Plan one night."""
    verdict = None
    if not frames:
        verdict = Verdict(State.FAILED, f"no raw frames of night {night} have arrived")
    return UnitPlan(
        night,
        inputs=tuple(frame.selected("raw", *_VALUES) for frame in frames),
        items=tuple(_item(frame) for frame in frames),
        owed=tuple(_owed(frame) for frame in frames),
        verdict=verdict,
    )


def _item(frame: Candidate) -> Item:
    """Return the work on one frame."""
    values = {name: getattr(frame, name) for name in _VALUES}
    _fclass, xfclass = preprocessed(frame)
    values["models"] = xfclass == 207
    return Item(str(frame.pose), {"raw": (frame.id_process,)}, values)


def _owed(frame: Candidate) -> OwedProduct:
    """Return the preprocessed frame a raw frame owes."""
    fclass, xfclass = preprocessed(frame)
    return OwedProduct(
        exposure=frame.exposure,
        channel=frame.channel,
        fclass=fclass,
        xfclass=xfclass,
        item=str(frame.pose),
        role="frame",
        parents=(frame.id_process,),
        target_id=frame.target_id,
    )
