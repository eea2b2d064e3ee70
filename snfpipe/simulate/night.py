"""One night's files: which there are, and the bytes of each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from snfpipe.names import Night
from snfpipe.simulate import faults
from snfpipe.simulate.layouts import file_bytes, layout_of
from snfpipe.simulate.presets import TARGETS, NightPlan, Preset
from snfpipe.simulate.schedule import Frame, night_frames
from snfpipe.wholefile import write_whole

STAMP = ".simulated.json"
SIDE_FILES = ("obslog.csv", "skyprobe.csv", "truth.json")


def planned_frames(preset: Preset, plan: NightPlan) -> tuple[Frame, ...]:
    """Return the frames of a night after its faults, in order of time."""
    return faults.with_faults(night_frames(preset, plan), plan.faults)


def planned_files(preset: Preset, plan: NightPlan) -> list[str]:
    """Return the names of all files that a night may hold, the stamp left out."""
    names = [*SIDE_FILES]
    for frame in planned_frames(preset, plan):
        names += [frame.name, *_empty_files(frame)]
    return names


def _empty_files(frame: Frame) -> list[str]:
    """Return the names of files without bytes that a frame's damages put beside it."""
    stem = frame.name.rsplit("_", 2)[0]
    return [f"{stem}_{faults.EMPTY_FILES[d]}" for d in frame.damages if d in faults.EMPTY_FILES]


def night_folder(out: Path, plan: NightPlan) -> Path:
    """Return where a night lies below the raw folder."""
    return out / Night.parse(plan.night).folder


@cache
def _program_digest() -> str:
    """Return the digest of the simulator's own code and tables."""
    digest = hashlib.sha256()
    package = resources.files("snfpipe.simulate")
    for folder, ending in ((package, ".py"), (package / "data", ".npz")):
        for file in sorted(folder.iterdir(), key=lambda file: file.name):
            if file.name.endswith(ending):
                digest.update(file.read_bytes())
    return digest.hexdigest()


def night_digest(preset: Preset, plan: NightPlan) -> str:
    """Return the digest of all that a night's bytes depend on."""
    words = {
        "program": _program_digest(),
        "seed": preset.seed,
        "size": preset.size,
        "channels": preset.channels,
        "layout": preset.layout,
        "plan": asdict(plan),
        "targets": [asdict(TARGETS[name]) for name in plan.targets],
    }
    return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()


def frame_content(
    preset: Preset, plan: NightPlan, frame: Frame
) -> tuple[bytes | None, dict[str, Any]]:
    """Return a frame's file as bytes (None for a lost one) and its truth.

    Any frame of :func:`planned_frames` can be made alone: the bytes are those of the whole night.
    """
    from snfpipe.simulate.atmosphere import make_air
    from snfpipe.simulate.exposure import make_frame
    from snfpipe.simulate.headers import cards, extension_cards
    from snfpipe.simulate.photometric import make_photometric

    make = make_photometric if frame.channel == "P" else make_frame
    made = make(preset, plan, frame)
    layout = layout_of(preset.layout, frame.channel, frame.run, frame.exposure)
    air = make_air(preset.seed, frame.night)
    header = list(cards(frame, air, layout, preset.size, preset.seed))
    content = file_bytes(
        made.images,
        faults.damage_cards(header, frame.damages),
        extension_cards(frame, layout, preset.size),
    )
    return faults.damage_bytes(content, frame.damages), made.truth


def write_frame(
    preset: Preset, plan: NightPlan, frame: Frame, folder: Path
) -> tuple[dict[str, int], dict[str, Any]]:
    """Write a frame, and what a fault puts beside it; return names with sizes, and its truth."""
    content, truth = frame_content(preset, plan, frame)
    files = dict.fromkeys(_empty_files(frame), b"")
    if content is not None:
        files[frame.name] = content
    for name, text in files.items():
        write_whole(folder / name, text)
    return {name: len(text) for name, text in files.items()}, truth


def side_files(
    preset: Preset, plan: NightPlan, truths: Mapping[str, dict[str, Any]]
) -> dict[str, bytes]:
    """Return the night's logs and its truth file, by name."""
    from snfpipe.simulate.exposure import night_truth
    from snfpipe.simulate.logs import observing_log, skyprobe_log

    truth = night_truth(preset, plan) | {"frames": truths}
    contents = (
        observing_log(planned_frames(preset, plan)),
        skyprobe_log(preset, plan),
        (json.dumps(truth) + "\n").encode(),
    )
    return dict(zip(SIDE_FILES, contents, strict=True))
