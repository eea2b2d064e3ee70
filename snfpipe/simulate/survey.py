"""A whole survey on disk: what is there already, what is missing, and making it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snfpipe.errors import Refused, UsageError, shown
from snfpipe.simulate.night import (
    STAMP,
    night_digest,
    night_folder,
    planned_files,
    planned_frames,
    side_files,
    write_frame,
)
from snfpipe.simulate.presets import NightPlan, Preset
from snfpipe.simulate.schedule import Frame
from snfpipe.wholefile import write_whole

#: Called after each frame with the number done and the number to do.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class NightResult:
    """What became of a night: its frames, whether they were there already, bytes on disk."""

    night: str
    folder: Path
    frames: int
    present: bool
    size: int


def _read_stamp(folder: Path) -> dict[str, Any]:
    """Return a night's stamp, or an empty one."""
    try:
        stamp = json.loads((folder / STAMP).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def _complete(folder: Path, digest: str) -> bool:
    """Whether a folder holds the whole night of that digest."""
    stamp = _read_stamp(folder)
    if stamp.get("digest") != digest or not stamp.get("complete"):
        return False
    return all(
        (path := folder / name).is_file() and path.stat().st_size == size
        for name, size in stamp["files"].items()
    )


def _clear(folder: Path, digest: str, names: Sequence[str]) -> None:
    """Make a night's folder ready: remove what an earlier call wrote, stamp what is to come.

    Raises
    ------
    Refused
        The folder holds files that no call wrote: they may be real.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ours = set(_read_stamp(folder).get("files", {})) | {STAMP}
    found = {path.name for path in folder.iterdir()}
    # A killed call leaves files that it had not yet renamed: .NAME.PID
    foreign = {name for name in found - ours if name[1:].rpartition(".")[0] not in ours}
    if foreign:
        raise Refused(
            f"{folder} holds {len(foreign)} files that the simulator did not write, "
            f"{shown(min(foreign))} among them",
            hint="give another folder with --out",
        )
    stamp = {"digest": digest, "complete": False, "files": dict.fromkeys(names, 0)}
    write_whole(folder / STAMP, json.dumps(stamp).encode())
    for name in found - {STAMP}:
        (folder / name).unlink()


def _make(preset: Preset, plan: NightPlan, frame: Frame, folder: Path,
          ) -> tuple[str, str, dict[str, int], dict[str, Any]]:  # fmt: skip
    """Write one frame; return its night, its name, the files and the truth (runs in a worker)."""
    files, truth = write_frame(preset, plan, frame, folder)
    return plan.night, frame.name, files, truth


def _run(
    preset: Preset, out: Path, plans: list[NightPlan], jobs: int
) -> Iterator[tuple[str, str, dict[str, int], dict[str, Any]]]:
    """Yield the results of :func:`_make` for all frames of `plans` as they are ready."""
    work = [
        (preset, plan, frame, night_folder(out, plan))
        for plan in plans
        for frame in sorted(planned_frames(preset, plan), key=lambda frame: frame.channel)
    ]
    if jobs == 1:
        for call in work:
            yield _make(*call)
        return
    with ProcessPoolExecutor(jobs) as pool:
        waiting = [pool.submit(_make, *call) for call in work]
        try:
            for done in as_completed(waiting):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def simulate_survey(
    preset: Preset,
    out: Path,
    *,
    jobs: int = 1,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> list[NightResult]:
    """Write the nights of a survey that are not there yet.

    Parameters
    ----------
    preset : Preset
        From :func:`.presets.find_preset`, perhaps changed by :func:`.changes.change`.
    out : Path
        The raw folder: nights go to ``YY/DDD`` below it.
    jobs : int
        Processes to use.
    dry_run : bool
        Write nothing, only say what is there.
    progress : callable, optional
        Called after each frame.

    Returns
    -------
    list of NightResult
        In order of the preset.

    Raises
    ------
    Refused
        A night's folder holds files that the simulator did not write.
    """
    if jobs < 1:
        raise UsageError(f"{jobs} jobs make nothing", hint="give --jobs a number from 1")
    counts = {plan.night: len(planned_frames(preset, plan)) for plan in preset.nights}
    missing = [
        plan
        for plan in preset.nights
        if not _complete(night_folder(out, plan), night_digest(preset, plan))
    ]
    if not dry_run:
        _write(preset, out, missing, counts, jobs, progress)
        _add_targets(preset, out)
    absent = {plan.night for plan in missing}
    return [
        NightResult(
            plan.night,
            folder := night_folder(out, plan),
            counts[plan.night],
            plan.night not in absent,
            sum(_read_stamp(folder).get("files", {}).values()),
        )
        for plan in preset.nights
    ]


def _write(
    preset: Preset,
    out: Path,
    plans: list[NightPlan],
    counts: dict[str, int],
    jobs: int,
    progress: Progress | None,
) -> None:
    """Write the nights `plans`, each ending with its logs, truth and stamp."""
    for plan in plans:
        _clear(night_folder(out, plan), night_digest(preset, plan), planned_files(preset, plan))
    by_night = {plan.night: plan for plan in plans}
    files: dict[str, dict[str, int]] = {night: {} for night in by_night}
    truths: dict[str, dict[str, Any]] = {night: {} for night in by_night}
    total = sum(counts[night] for night in by_night)
    for done, (night, name, written, truth) in enumerate(_run(preset, out, plans, jobs), 1):
        files[night] |= written
        truths[night][name] = truth
        if progress is not None:
            progress(done, total)
        if len(truths[night]) == counts[night]:
            _finish(preset, out, by_night[night], files[night], truths[night])


def _add_targets(preset: Preset, out: Path) -> None:
    """Add the survey's targets to the target list; lines that are there stay as they are."""
    from snfpipe.simulate.logs import target_list

    path = out / "targets.csv"
    before = path.read_bytes() if path.exists() else b""
    after = target_list(preset, before)
    if after != before:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(path, after)


def _finish(
    preset: Preset,
    out: Path,
    plan: NightPlan,
    files: dict[str, int],
    truths: dict[str, dict[str, Any]],
) -> None:
    """Write a night's logs and truth, and last the stamp that calls it complete."""
    folder = night_folder(out, plan)
    for name, content in side_files(preset, plan, dict(sorted(truths.items()))).items():
        write_whole(folder / name, content)
        files[name] = len(content)
    stamp = {"digest": night_digest(preset, plan), "complete": True,
             "files": dict(sorted(files.items()))}  # fmt: skip
    write_whole(folder / STAMP, (json.dumps(stamp, indent=1) + "\n").encode())
