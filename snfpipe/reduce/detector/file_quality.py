"""file_quality: raw frame -> electrons and variance, with statistics of quality.

Per amplifier: overscan, the difference between odd and even columns, gain; then the models of
bias structure and dark current.  The variance is Poisson noise and read noise; saturated and bad
pixels, and those that are no number, are masked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from snfpipe.fclass import PREPROCESSED
from snfpipe.names import CHANNELS
from snfpipe.reduce import calibration
from snfpipe.reduce.detector.frames import (
    Image,
    RawFrame,
    assemble,
    number,
    read_raw,
    side_by_side,
    text,
)
from snfpipe.reduce.detector.overscan import measure_overscan
from snfpipe.reduce.errors import BadInput
from snfpipe.reduce.formats import MASKED, Frame, kept, write_frame
from snfpipe.reduce.grids import stretched
from snfpipe.reduce.programs.program import Result, Work, make_options

_PIECES = 8  # of each column, in which its mean is taken: spectra are not quite straight
_BY_NOISE = 1.15 * 1.2816  # errors that a tenth of noise exceeds, and a margin for cosmics

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
        Rows of which the overscan's level is the median.
    odd_even : bool
        Take the difference between odd and even columns off.
    bias_model, dark_model : bool
        Take the models off, where an item asks for models at all.
    """

    overscan_median_rows: int = 5
    odd_even: bool = True
    bias_model: bool = True
    dark_model: bool = True


def reducer(given: Mapping[str, Any]) -> Callable[[Work], Result]:
    """Return what makes one item with these options."""
    options = make_options(Options, given)
    return lambda work: _reduce(work, options)


def _reduce(work: Work, options: Options) -> Result:
    """Preprocess one frame."""
    raw = read_raw(work.inputs["raw"])
    named = work.item.rpartition("_")[2]  # an item is named by its pose: that goes before a card
    channel = named if named in CHANNELS else text(raw.header, "CHANNEL") or named[:1]
    detector = calibration.load("detector.json")
    if channel not in CHANNELS:
        raise BadInput(f"channel {channel!r} is none of B, R, P")
    frame, values = preprocess(raw, channel, detector[channel], options, work.values)
    write_frame(work.outputs["frame"], frame)
    exptime_s = _duration_s(raw.header, ("EXPTIME",), work.values)
    values["sky_rate"] = sky_rate(frame, values["read_noise"], exptime_s)
    return Result(["frame"], values, quality=quality(raw_class(raw.header), channel, values))


def _duration_s(header: fits.Header, cards: Sequence[str], known: Mapping[str, Any]) -> float:
    """Return the first of some cards that can be read, else the effective time known [s]."""
    for card in cards:
        with suppress(BadInput):
            if card in header:
                return number(header, card, 0.0)
    return float(known.get("efftime_s") or 0.0)


def preprocess(
    raw: RawFrame,
    channel: str,
    tables: Mapping[str, Any],
    options: Options,
    known: Mapping[str, Any],
) -> tuple[Frame, dict[str, float]]:
    """Return a frame in electrons with its variance, and its statistics.

    Parameters
    ----------
    raw : RawFrame
        As read.
    channel : str
        B, R or P.
    tables : mapping
        The detector's calibration.
    options : Options
        Of the plan.
    known : mapping
        What is known of the exposure, see :data:`_CARDS`; models: whether to take them off.
    """
    saturate = number(raw.header, "SATURATE", 65535)
    parts, variances, cards = [], [], fits.Header()
    values: dict[str, float] = {}
    for n, amplifier in enumerate(raw.amplifiers):
        over = measure_overscan(amplifier, n, options.overscan_median_rows)
        gain = np.float32(tables["gain"][n])
        adu = amplifier.data - over.level[:, None]
        if options.odd_even:
            adu = adu - over.comb(amplifier.columns)
        there = np.isfinite(adu)
        electrons = np.where(there, adu, 0) * gain
        noise = over.noise * float(gain)
        variance = _expected(electrons, there, noise) + np.float32(noise**2)
        full = there & (amplifier.data >= saturate)
        variance[full | ~there] = MASKED
        parts.append(electrons)
        variances.append(variance)
        level = float(np.median(over.level))
        cards[f"RDNOISE{n + 1}"] = (round(noise, 4), "[e-] Read noise, from the overscan")
        cards[f"OVSCMED{n + 1}"] = (round(level, 4), "[ADU] Overscan level")
        cards[f"SATURAT{n + 1}"] = (int(full.sum()), "Saturated pixels")
        values |= {f"level_{n + 1}": level, f"noise_{n + 1}": noise}
    stored = side_by_side(raw, (parts[0], parts[1]))
    variance = side_by_side(raw, (variances[0], variances[1]))
    _mask(variance, tables["bad"].get(str(raw.chip[0]), ()), raw.window.x0 - 1)
    if known.get("models", channel != "P") and not raw.raster:
        darktime_s = _duration_s(raw.header, ("DARKTIME", "EXPTIME"), known)
        stored = stored - _models(stored.shape, tables, darktime_s, options)
    if raw.raster:
        cards["CCDSEC"] = (str(raw.window), "Part of the chip: a raster, as the camera counts")
    frame = Frame(
        _header(raw.header, channel, cards, known),
        assemble(stored, channel).astype(np.float64),
        assemble(variance, channel).astype(np.float64),
    )
    saturated = sum(int(cards[f"SATURAT{n}"]) for n in (1, 2))
    values["dark_missing"] = float("DARKTIME" not in raw.header)
    return frame, values | _statistics(frame, saturated, values)


def _expected(electrons: Image, there: NDArray[np.bool_], noise: float) -> Image:
    """Return the electrons expected in each pixel, for the noise of photons.

    Where a pixel does not tell its own light from noise, its neighbours do, as far as they are
    `there`: its own value would make the variance follow the noise.
    """
    limit = np.float32(3 * noise)
    around = uniform_filter(np.clip(electrons, -limit, limit), (5, 3), mode="nearest")
    if not there.all():
        part = uniform_filter(there.astype(np.float32), (5, 3), mode="nearest")
        around = np.asarray(around / np.maximum(part, 1 / 15), dtype=np.float32)
    return np.maximum(np.where(electrons > limit, electrons, around), 0)


def raw_class(header: fits.Header) -> int | None:
    """Return a raw frame's class, which some cameras write as text."""
    said = text(header, "FCLASS")
    return int(said) if said.isascii() and said.isdigit() else None


def sky_rate(frame: Frame, noise: float, exptime_s: float) -> float:
    """Return how much light the sky leaves between dark and bright columns, e-/s a pixel.

    Pieces of columns with spectra stand out of those between them by the sky's light, and their
    means are known to some tenths of an electron; a single pixel of a dark sky drowns in the read
    noise.  No pixel counts for more than three times that noise: cosmics are not the sky.
    """
    light = np.where(frame.good, np.clip(frame.data, -3 * noise, 3 * noise), 0)
    starts = np.linspace(0, len(light), _PIECES, endpoint=False).astype(int)
    count = np.add.reduceat(frame.good, starts, dtype=int)
    means = np.add.reduceat(light, starts)[count > 0] / count[count > 0]
    usual, bright = np.percentile(means, (50, 90))
    by_noise = _BY_NOISE * noise / np.sqrt(np.median(count))
    return float(np.sqrt(max((bright - usual) ** 2 - by_noise**2, 0))) / max(exptime_s, 1e-3)


def quality(fclass: int | None, channel: str, values: Mapping[str, float]) -> int:
    """Return the quality that the cuts give: 1 good, 2 bad."""
    for cut in calibration.load("cuts.json")["cuts"]:
        applies = fclass in cut["fclass"] and channel in cut["channel"]
        excused = "unless" in cut and _within(cut["unless"], values)
        if applies and not excused and not _within(cut, values):
            return 2
    return 1


def _within(cut: Mapping[str, Any], values: Mapping[str, float]) -> bool:
    """Tell whether a cut's statistic is within its limits."""
    return bool(cut.get("least", -np.inf) <= values[cut["statistic"]] <= cut.get("most", np.inf))


def _models(
    shape: tuple[int, ...], tables: Mapping[str, Any], darktime: float, options: Options
) -> Image:
    """Return the structure of bias and dark current [e-]."""
    y = ((np.arange(shape[0]) + 0.5) / shape[0])[:, None]
    model = np.zeros((shape[0], 1))
    if options.bias_model:
        height, scale = tables["bias"]
        model = model + height * np.exp(-y / scale)
        if "bias_map" in tables:
            model = model + stretched(np.array(tables["bias_map"]), shape)
    if options.dark_model:
        rate, ratio, scale = tables["dark"]
        model = model + rate * darktime * (1 + ratio * np.exp(-y / scale))
    return model.astype(np.float32)


def _mask(variance: Image, bad: Any, first: int) -> None:
    """Mask the chip's columns that calibration lists, from a row before; `first` is the image's."""
    for column, row in bad:
        if 0 <= column - first < variance.shape[1]:
            variance[max(0, row - 1) :, column - first] = MASKED


def _header(
    raw: fits.Header, channel: str, cards: fits.Header, values: Mapping[str, Any]
) -> fits.Header:
    """Return the header of a preprocessed frame: what is kept, what was done, what is known."""
    header = kept(raw)
    header["CHANNEL"] = channel
    fclass = raw_class(raw)
    if fclass is not None:
        header["FCLASS"] = (PREPROCESSED.get(fclass, fclass), "File class")
    header["CALIBDAT"] = (calibration.digest("file_quality"), "Calibration data, their digest")
    header["OVSCDONE"] = (True, "Overscan taken off")
    header["BUNIT"] = "electron"
    header.extend(cards.cards)
    for name, (card, comment) in _CARDS.items():
        if values.get(name) is not None:
            header[card] = (values[name], comment)
    return header


def _statistics(frame: Frame, saturated: int, measured: Mapping[str, float]) -> dict[str, float]:
    """Return the statistics that quality is judged by."""
    good = frame.data[frame.good]
    if not good.size:
        raise BadInput("every pixel is saturated or bad")
    noise = max(measured["noise_1"], measured["noise_2"])
    p01, p50, p99, p999 = np.percentile(good, (1, 50, 99, 99.9))
    return {
        "mean": float(good.mean()),
        "rms": float(good.std()),
        "median": float(p50),
        "p01": float(p01),
        "p99": float(p99),
        "p999": float(p999),
        "contrast": float(p99 - p50) / max(noise, 1e-3),
        "contrast_999": float(p999 - p50) / max(noise, 1e-3),
        "read_noise": noise,
        "underflow": float((good < -6 * noise).sum()),
        "saturation": float(saturated),
        "saturated_part": saturated / frame.data.size,
    }
