"""``snf simulate``: write raw nights whose truth is known."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from snfpipe.simulate.layouts import Kind


@click.command()
@click.option("--preset", default="sample", show_default=True,
              help="tiny, sample, six or full.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("work/raw"),
              show_default=True, help="The raw folder; nights go to YY/DDD below it.")  # fmt: skip
@click.option("--night", "nights", multiple=True, metavar="YY_DDD",
              help="Only this night; may be repeated.  One that the preset lacks is made like "
                   "its first.")  # fmt: skip
@click.option("--fault", "faults", multiple=True, metavar="NIGHT:NAME",
              help="Let something go wrong in a night; may be repeated.")  # fmt: skip
@click.option("--layout", type=click.Choice(["camera", "single", "mixed"]), default="camera",
              show_default=True,
              help="How frames are stored: as the camera programs write them, as one image in all "
                   "channels, or every other exposure as one image.")  # fmt: skip
@click.option("--seed", type=int, help="Another seed of all chance than the preset's.")
@click.option("-j", "--jobs", type=click.IntRange(min=1), default=1, show_default=True,
              help="Processes to use.")  # fmt: skip
@click.option("-n", "--dry-run", is_flag=True, help="Write nothing; say what would be made.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def simulate(
    preset: str,
    out: Path,
    nights: tuple[str, ...],
    faults: tuple[str, ...],
    layout: Kind,
    seed: int | None,
    jobs: int,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write raw SNIFS nights of which the truth is known.

    Complete nights made from the same words are left alone.  Faults: missing_arc,
    corrupt_header, truncated_file, interrupted_exposure, lost_p_frame, bad_standard,
    empty_guide_video, saturated_frame, empty_frame, no_darktime, dead_sensors, bad_section,
    raster_continuum.

    \b
    Example:
      snf simulate --preset tiny --out work/raw --fault 06_336:missing_arc
    """  # noqa: D301 - click's own mark
    from snfpipe.simulate.changes import change
    from snfpipe.simulate.presets import find_preset
    from snfpipe.simulate.survey import simulate_survey

    chosen = change(find_preset(preset), nights, faults, seed, layout)
    progress = _show_progress if sys.stderr.isatty() else None
    results = simulate_survey(chosen, out, jobs=jobs, dry_run=dry_run, progress=progress)
    if as_json:
        rows = [
            {"night": r.night, "folder": str(r.folder), "frames": r.frames, "present": r.present,
             "bytes": r.size}
            for r in results
        ]  # fmt: skip
        click.echo(json.dumps({"preset": chosen.name, "dry_run": dry_run, "nights": rows}))
        return
    for result in results:
        word = "already there" if result.present else "to make" if dry_run else "made"
        click.echo(f"{result.night}: {result.frames} frames {word}, {result.folder}")


def _show_progress(done: int, total: int) -> None:
    """Say on the terminal how far the making is."""
    click.echo(f"\r{done} of {total} frames", nl=done == total, err=True)
