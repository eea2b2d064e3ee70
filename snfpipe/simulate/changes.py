"""A preset as the words of a call change it: its nights, their faults, its seed, its layout."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from snfpipe.errors import UsageError, shown
from snfpipe.names import Night
from snfpipe.simulate.faults import FAULTS
from snfpipe.simulate.layouts import Kind
from snfpipe.simulate.presets import Preset


def change(
    preset: Preset,
    nights: Iterable[str] = (),
    faults: Iterable[str] = (),
    seed: int | None = None,
    layout: Kind | None = None,
) -> Preset:
    """Return a preset changed by the words of a call.

    Parameters
    ----------
    preset : Preset
        Where to start from.
    nights : iterable of str
        The nights to make; one that the preset lacks is made like its first night.  None: all.
    faults : iterable of str
        ``NIGHT:NAME``, added to those of the night.
    seed : int, optional
        Another seed.
    layout : str, optional
        Another layout of the frames, a key of :data:`snfpipe.simulate.layouts.KINDS`.

    Raises
    ------
    UsageError
        A fault is not ``NIGHT:NAME`` of a chosen night, or is unknown.
    BadName
        A night is no night.
    """
    known = {plan.night: plan for plan in preset.nights}
    wanted = [str(Night.parse(night)) for night in nights] or list(known)
    plans = {night: known.get(night) or replace(preset.nights[0], night=night) for night in wanted}
    for text in faults:
        night, _, name = text.partition(":")
        if night not in plans or name not in FAULTS:
            raise UsageError(
                f"{shown(text)} is no fault of these nights",
                hint=f"use NIGHT:NAME with a night of {', '.join(plans)} "
                f"and a name of {', '.join(FAULTS)}",
            )
        plans[night] = replace(plans[night], faults=(*plans[night].faults, name))
    return replace(
        preset,
        nights=tuple(plans.values()),
        seed=preset.seed if seed is None else seed,
        layout=layout or preset.layout,
    )
