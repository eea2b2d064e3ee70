"""Faults by name: what goes wrong in a night, for those who must cope with it.

A fault changes the list of frames before they are made, or names a damage that befalls the
header or the file of a frame.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from snfpipe.simulate.layouts import Card
from snfpipe.simulate.presets import TARGETS
from snfpipe.simulate.schedule import OBJECT_EXPOSURE, Frame

Frames = tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class Victims:
    """The frames a fault befalls: those of the first run that has any of this class and kind."""

    channels: str
    kind: str = "SuperNova"
    fclass: int = 17
    exposure: int = OBJECT_EXPOSURE

    def among(self, frames: Frames) -> frozenset[str]:
        """Return the names of the victims."""
        hit = [frame for frame in frames if self._fits(frame)]
        return frozenset(frame.name for frame in hit if frame.run == hit[0].run)

    def _fits(self, frame: Frame) -> bool:
        """Whether a frame is of this class, channel and kind of target."""
        target = TARGETS.get(frame.target)
        return (
            frame.fclass == self.fclass
            and frame.exposure == self.exposure
            and frame.channel in self.channels
            and target is not None
            and target.kind == self.kind
        )


def _on(victims: Victims, change: Callable[[Frame], Frame]) -> Callable[[Frames], Frames]:
    """Return the fault that changes the victims."""

    def fault(frames: Frames) -> Frames:
        """Change the victims among `frames`."""
        names = victims.among(frames)
        return tuple(change(frame) if frame.name in names else frame for frame in frames)

    return fault


def _damage(name: str, victims: Victims) -> Callable[[Frames], Frames]:
    """Return the fault that does a damage to the victims' files."""
    return _on(victims, lambda frame: replace(frame, damages=(*frame.damages, name)))


def _interrupt(frame: Frame) -> Frame:
    """Stop an exposure after a fifth of its time."""
    return replace(frame, exptime_s=round(0.2 * frame.exptime_s, 1), interrupt=2)


#: Fault name -> what it makes of a night's frames.
FAULTS: Mapping[str, Callable[[Frames], Frames]] = {
    "missing_arc": lambda frames: tuple(frame for frame in frames if frame.fclass != 3),
    "corrupt_header": _damage("corrupt_header", Victims("B")),
    "truncated_file": _damage("truncated_file", Victims("R")),
    "interrupted_exposure": _on(Victims("BRP"), _interrupt),
    "lost_p_frame": _damage("lost", Victims("P")),
    "bad_standard": _on(Victims("BR", "StdStar"), lambda frame: replace(frame, star=0.6)),
    "empty_guide_video": _damage("empty_guide_video", Victims("B")),
    "saturated_frame": _on(
        Victims("BR", "StdStar", 7, 1), lambda frame: replace(frame, light=12.0)
    ),
    "empty_frame": _on(Victims("BR", "StdStar"), lambda frame: replace(frame, light=0.0)),
    "no_darktime": _damage("no_darktime", Victims("B")),
    "dead_sensors": _damage("dead_sensors", Victims("BR")),
    "bad_section": _damage("bad_section", Victims("R")),
    "raster_continuum": _on(
        Victims("BR", "StdStar", 7, 1), lambda frame: replace(frame, raster=True)
    ),
}


def with_faults(frames: Frames, names: Sequence[str]) -> Frames:
    """Return a night's frames after its faults."""
    for name in names:
        frames = FAULTS[name](frames)
    return frames


def damage_cards(cards: Sequence[Card], damages: Sequence[str]) -> list[Card]:
    """Return a header's cards after damages."""
    damaged = list(cards)
    if "no_darktime" in damages:
        damaged = [card for card in damaged if card[0] != "DARKTIME"]
    if "dead_sensors" in damages:
        dead = {"PRESSURE", "TEMP"}
        damaged = [(k, 0 if k in dead else value, text) for k, value, text in damaged]
    if "bad_section" in damages:
        damaged = [
            (k, "[5000:5031,1:9999]" if k == "BIASSEC1" else value, text)
            for k, value, text in damaged
        ]
    return damaged


def damage_bytes(content: bytes, damages: Sequence[str]) -> bytes | None:
    """Return a file's bytes after damages, or None for a file that is not there."""
    if "lost" in damages:
        return None
    if "truncated_file" in damages:
        content = content[: len(content) // 2]
    if "corrupt_header" in damages:
        # The cards from BITPIX to NAXIS2 were overwritten: the axes cannot be read any more.
        content = content[:80] + b"\xff\x00GARBAGE\x7f" * 32 + content[400:]
    return content


#: Files of no bytes beside a damaged frame: damage -> ending of their names.
EMPTY_FILES: Mapping[str, str] = {"empty_guide_video": "17_001.vid"}
