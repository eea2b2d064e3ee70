"""One B exposure of 2048 x 4096 pixels through file_quality and cube_generation, on one core.

Each program runs by its command in a process of its own on one core; its time is the processor's
(what others do on that core does not count), start and imports included, its memory the highest
that the kernel saw.  The frames of arc and continuum are preprocessed before.  The reference,
measured in the same run, is the same on a reduced frame, scaled by the number of pixels: what a
full frame would cost if time grew with pixels alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks._turns import Turns, end
from snfpipe.simulate.night import planned_frames, write_frame
from snfpipe.simulate.presets import find_preset

LIMIT, LIMIT_MB, TURNS = 1.0, 2048.0, 2
BIN = Path(sys.executable).parent


def simulate(preset: str, folder: Path) -> list[str]:
    """Make the frames of the preset's standard; return exposure, arc and continuum."""
    made = find_preset(preset)
    plan = made.nights[0]
    names = {}
    for frame in planned_frames(made, plan):
        if frame.target == "GD71" and frame.channel == "B" and frame.fclass in (3, 7, 17):
            write_frame(made, plan, frame, folder)
            names[frame.fclass] = frame.name
    return [names[fclass] for fclass in (17, 3, 7)]


def call(*words: object) -> tuple[float, float]:
    """Run a command on one core; return seconds and megabytes."""
    process = subprocess.Popen([str(word) for word in words], stdout=subprocess.DEVNULL)
    os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
    _pid, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{words[0]} failed")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def reduce(preset: str, folder: Path) -> tuple[float, float]:
    """Reduce an exposure; return seconds and megabytes of the two programs."""
    folder.mkdir()
    names = simulate(preset, folder)
    frames = [folder / f"frame_{name}" for name in names]
    used = [
        call(BIN / "snf_file_quality", folder / name, "-o", frame)
        for name, frame in zip(names, frames, strict=True)
    ]
    cube = call(BIN / "snf_cube_generation", *frames, "-o", folder / "cube.fits")
    print(
        f"{preset:5s} file_quality {used[0][0]:6.2f} s {used[0][1]:6.0f} MB   "
        f"cube_generation {cube[0]:6.2f} s {cube[1]:6.0f} MB"
    )
    return used[0][0] + cube[0], max(used[0][1], cube[1])


def main() -> int:
    turns, most_mb = Turns(), 0.0
    pixels = 2048 * 4096 / (512 * 1152)
    with tempfile.TemporaryDirectory() as name:
        for turn in range(TURNS):
            small_s, _ = reduce("tiny", Path(name) / f"small-{turn}")
            full_s, memory_mb = reduce("full", Path(name) / f"full-{turn}")
            turns.add(full_s, small_s * pixels)
            most_mb = max(most_mb, memory_mb)
    return end(
        "full_size", turns, LIMIT, holds=most_mb <= LIMIT_MB, memory_mb=round(most_mb),
        memory_limit_mb=LIMIT_MB,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
