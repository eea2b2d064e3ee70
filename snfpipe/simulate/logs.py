"""What is written beside the frames: observing log, SkyProbe log, target list."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from snfpipe.simulate.atmosphere import make_clouds
from snfpipe.simulate.presets import TARGETS, NightPlan, Preset, Target
from snfpipe.simulate.randomness import generator
from snfpipe.simulate.schedule import Frame, julian_date

_LOG_COLUMNS = (
    "run", "exposure", "channel", "fclass", "object", "run_kind", "run_type", "filter",
    "exptime_s", "guide", "guide_s", "guide_f", "guide_x", "interrupt", "quality", "qzelog",
)  # fmt: skip
_TARGET_COLUMNS = (
    "name", "kind", "type", "pi", "ra_deg", "dec_deg", "iauc", "redshift", "redshift_err",
    "mwebv", "date_c", "date_m",
)  # fmt: skip
_PROBE_MINUTES = 5


def _table(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> bytes:
    """Return a table as comma-separated text; None is an empty value."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def observing_log(frames: Iterable[Frame]) -> bytes:
    """Return ``obslog.csv``: a row a frame."""
    return _table(
        _LOG_COLUMNS,
        (
            {
                **{name: getattr(frame, name, None) for name in _LOG_COLUMNS},
                **asdict(frame.guiding),
                "run": f"{frame.run:03}",
                "exposure": f"{frame.exposure:03}",
                "fclass": f"{frame.fclass:02}",
                "object": frame.target,
            }
            for frame in frames
        ),
    )


def skyprobe_log(preset: Preset, plan: NightPlan) -> bytes:
    """Return ``skyprobe.csv``: transparency every few minutes, with its own noise."""
    clouds = make_clouds(preset.seed, plan.night, plan.photometric)
    chance = generator(preset.seed, plan.night, "skyprobe")
    rows = []
    for index in range(120, clouds.hours.size - 60, _PROBE_MINUTES):
        seen = clouds.transparency[index : index + _PROBE_MINUTES]
        rows.append(
            {
                "jd": f"{julian_date(plan.night) + clouds.hours[index] / 24:.6f}",
                "transparency": f"{seen.mean() + chance.normal(0, 0.006):.4f}",
                "rms": f"{abs(chance.normal(0.006, 0.001)) + seen.std():.4f}",
            }
        )
    return _table(("jd", "transparency", "rms"), rows)


def target_list(preset: Preset, before: bytes = b"") -> bytes:
    """Return ``targets.csv``: the lines of an earlier one, then the survey's targets it lacks."""
    known = {
        row.get("name") for row in csv.DictReader(io.StringIO(before.decode(errors="replace")))
    }
    names = {name for plan in preset.nights for name in plan.targets} - known
    new = [_target_row(target) for target in TARGETS.values() if target.name in names]
    header, _, lines = _table(_TARGET_COLUMNS, new).partition(b"\n")
    if not new:
        return before or header + b"\n"
    return (before.rstrip(b"\n") or header) + b"\n" + lines


def _target_row(target: Target) -> dict[str, object]:
    """Return a target's line."""
    return {
        "name": target.name,
        "kind": target.kind,
        "type": target.type,
        "pi": "SNfactory",
        "ra_deg": f"{target.ra_deg:.5f}",
        "dec_deg": f"{target.dec_deg:.5f}",
        "redshift": target.redshift,
        "redshift_err": None if target.redshift is None else 0.0005,
        "mwebv": target.mwebv,
        "date_c": "2006-11-29T20:15:00" if target.model else "2004-05-01T00:00:00",
        "date_m": "2006-11-30T01:02:00" if target.model else "2004-05-01T00:00:00",
    }
