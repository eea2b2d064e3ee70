"""Of which raw exposures spectra are expected: the one place that says so."""

from __future__ import annotations

from collections.abc import Iterable

from snfpipe.declarations.rows import Candidate
from snfpipe.names import CHANNELS

SPECTRAL = (CHANNELS["B"], CHANNELS["R"])

#: Raw classes that may give one.
SCIENCE = (17,)


def spectroscopic(frames: Iterable[Candidate]) -> list[Candidate]:
    """Return the raw exposures that give cubes: SPECTRED runs on standards and supernovae."""
    return [
        frame
        for frame in frames
        if frame.fclass in SCIENCE
        and frame.channel in SPECTRAL
        and frame.run_type == "SPECTRED"
        and (frame.target_kind or "").startswith(("StdStar", "SuperNova"))
    ]
