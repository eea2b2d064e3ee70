"""file_quality: raw frame -> electrons and variance, with statistics of quality.

Per amplifier: overscan (mean of a row's overscan, median over rows), the difference between odd
and even columns, gain; then the models of bias structure and dark current.  The variance is
Poisson noise and read noise; saturated and bad pixels have a variance of 1e30.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from astropy.io import fits

from snfpipe.reduce import calibration
from snfpipe.reduce.formats import Frame, kept, write_frame
from snfpipe.reduce.frames import BadInput, Image, RawFrame, assemble, read_raw, running_median
from snfpipe.reduce.program import Result, Work, make_options

MASKED = 1e30

#: Raw Fclass -> Fclass preprocessed.
_PREPROCESSED = {3: 4, 7: 8, 12: 13, 17: 18, 24: 24, 25: 70, 52: 54, 60: 61}

#: Value of a worklist -> card of the header, with its comment.
_CARDS = {
    "efftime_s": ("EFFTIME", "[s] Effective exposure time"),
    "jd": ("JD", "Julian date"),
    "airmass": ("AIRMASS", "At mid-exposure"),
    "parang": ("PARANG", "[deg] Parallactic angle at mid-exposure"),
    "pressure": ("PRESSURE", "[mbar]"),
    "temperature": ("TEMP", "[deg C]"),
}


@dataclass(frozen=True)
class Options:
    """Options of the plan.

    Attributes
    ----------
    overscan_median_rows : int
        Rows over which the overscan's level is a running median.
    odd_even : bool
        Take the difference between odd and even columns off.
    bias_model, dark_model : bool
        Take the models off, where an item asks for models at all.
    cuts : mapping
        Statistic -> the largest value of a good frame.
    """

    overscan_median_rows: int = 5
    odd_even: bool = True
    bias_model: bool = True
    dark_model: bool = True
    cuts: Mapping[str, float] = field(
        default_factory=lambda: {"saturated_part": 0.01, "empty_part": 0.2, "dark_missing": 0.5}
    )


def reducer(given: Mapping[str, Any]) -> Callable[[Work], Result]:
    """Return what makes one item with these options."""
    options = make_options(Options, given)
    return lambda work: _reduce(work, options)


def _reduce(work: Work, options: Options) -> Result:
    """Preprocess one frame."""
    raw = read_raw(work.inputs["raw"])
    header = raw.header
    channel = str(header.get("CHANNEL", "")).strip() or work.item.rpartition("_")[2][:1]
    detector = calibration.load("detector.json")
    if channel not in detector:
        raise BadInput(f"channel {channel!r} is none of B, R, P")
    tables = detector[channel]
    parts, variances, cards, values = [], [], fits.Header(), {}
    saturate = float(header.get("SATURATE", 65535))
    saturated = 0
    for n in (0, 1):
        level, noise_adu, comb = _overscan(raw, n, options)
        gain = tables["gain"][n]
        adu = raw.data[n] - level[:, None]
        if options.odd_even:
            parity = (raw.columns[n][0] + np.arange(adu.shape[1])) % 2
            adu = adu - comb * (0.5 - parity)[None, :].astype(np.float32)
        electrons = adu * np.float32(gain)
        noise = noise_adu * gain
        variance = np.maximum(electrons, 0) + np.float32(noise**2)
        full = raw.data[n] >= saturate
        saturated += int(full.sum())
        variance[full] = MASKED
        parts.append(electrons)
        variances.append(variance)
        cards[f"RDNOISE{n + 1}"] = (round(float(noise), 4), "[e-] Read noise, from the overscan")
        cards[f"OVSCMED{n + 1}"] = (round(float(np.median(level)), 4), "[ADU] Overscan level")
        cards[f"SATURAT{n + 1}"] = (int(full.sum()), "Saturated pixels")
        values[f"level_{n + 1}"] = float(np.median(level))
    stored, variance = np.hstack(parts), np.hstack(variances)
    _mask(variance, tables["bad"].get(str(stored.shape[1]), ()))
    darktime = float(header.get("DARKTIME", header.get("EXPTIME", 0.0)) or 0.0)
    if work.values.get("models", channel != "P"):
        stored = stored - _models(stored.shape, tables, darktime, options)
    frame = Frame(
        _header(raw.header, channel, cards, work.values),
        assemble(stored, channel).astype(np.float64),
        assemble(variance, channel).astype(np.float64),
    )
    values |= _statistics(frame, saturated)
    values["dark_missing"] = float("DARKTIME" not in header)
    bad = [name for name, most in options.cuts.items() if values.get(name, 0.0) > most]
    write_frame(work.outputs["frame"], frame)
    return Result(["frame"], values, quality=2 if bad else 1)


def _overscan(raw: RawFrame, n: int, options: Options) -> tuple[Image, float, float]:
    """Return an amplifier's level by row [ADU], its noise and its even-odd difference [ADU]."""
    over = raw.overscan[n]
    level = running_median(over.mean(axis=1, dtype=np.float64), options.overscan_median_rows)
    start = raw.columns[n][1] % 2
    first, second = over[:, 0::2].mean(dtype=np.float64), over[:, 1::2].mean(dtype=np.float64)
    comb = first - second if start == 0 else second - first
    parity = (raw.columns[n][1] + np.arange(over.shape[1])) % 2
    flat = over - level[:, None] - (comb * (0.5 - parity))[None, :]
    clipped = flat[np.abs(flat) < 5 * 1.4826 * np.median(np.abs(flat))]
    # the level was taken from the same pixels: scale the scatter back up
    noise = float(clipped.std()) * np.sqrt(over.shape[1] / (over.shape[1] - 0.4))
    return level.astype(np.float32), noise, float(comb)


def _models(
    shape: tuple[int, ...], tables: Mapping[str, Any], darktime: float, options: Options
) -> Image:
    """Return the structure of bias and dark current [e-], which follow the row."""
    y = (np.arange(shape[0]) + 0.5) / shape[0]
    model = np.zeros(shape[0])
    if options.bias_model:
        height, scale = tables["bias"]
        model += height * np.exp(-y / scale)
    if options.dark_model:
        rate, ratio, scale = tables["dark"]
        model += rate * darktime * (1 + ratio * np.exp(-y / scale))
    return model[:, None].astype(np.float32)


def _mask(variance: Image, bad: Any) -> None:
    """Mask the columns that calibration lists, with a row of margin."""
    for column, row in bad:
        variance[max(0, row - 1) :, column] = MASKED


def _header(
    raw: fits.Header, channel: str, cards: fits.Header, values: Mapping[str, Any]
) -> fits.Header:
    """Return the header of a preprocessed frame: what is kept, what was done, what is known."""
    header = kept(raw)
    header["CHANNEL"] = channel
    fclass = str(raw.get("FCLASS", "")).strip()
    if fclass.isdigit():
        header["FCLASS"] = (_PREPROCESSED.get(int(fclass), int(fclass)), "File class")
    header["OVSCDONE"] = (True, "Overscan taken off")
    header["BUNIT"] = "electron"
    header.extend(cards.cards)
    for name, (card, comment) in _CARDS.items():
        if values.get(name) is not None:
            header[card] = (values[name], comment)
    return header


def _statistics(frame: Frame, saturated: int) -> dict[str, float]:
    """Return the statistics that quality is judged by."""
    good = frame.data[frame.variance < MASKED / 10]
    noise = float(np.sqrt(np.median(frame.variance)))
    p01, p50, p99, p999 = np.percentile(good, (1, 50, 99, 99.9))
    return {
        "mean": float(good.mean(dtype=np.float64)),
        "rms": float(good.std(dtype=np.float64)),
        "median": float(p50),
        "p99": float(p99),
        "p999": float(p999),
        "underflow": float((good < -6 * noise).sum()),
        "saturation": float(saturated),
        "saturated_part": saturated / frame.data.size,
        "empty_part": float((good == good.flat[0]).mean()),
        "p01": float(p01),
    }
