"""A pixel that is no number costs that pixel, and nothing else; so does one that was masked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from snfpipe.reduce.formats import MASKED, Cube, Frame, read_cube, read_frame, read_spectrum
from snfpipe.reduce.programs.program import run
from tests.closure.night import Work
from tests.reduce.conftest import ARC, CONTINUUM, STAR

Array = NDArray[np.float64]

#: What a pixel may hold: electrons and variance (None: as it was).
SPOILT = [(np.nan, None), (np.inf, None), (-np.inf, None), (None, np.nan), (None, 0.0),
          (np.nan, MASKED)]  # fmt: skip
#: Where: on spectra and between them, in three of five blocks of rows.
PLACES = [(300, 200), (301, 260), (640, 97), (700, 350), (1000, 30), (1001, 480)]


def copied(star: Work, folder: Path) -> Work:
    """Return the star's frames and cube in another folder."""
    work = Work(star.preset, star.plan, folder)
    for name in (STAR, ARC, CONTINUUM):
        work.path(name, "frame").write_bytes(star.path(name, "frame").read_bytes())
    work.path(STAR, "cube").write_bytes(star.path(STAR, "cube").read_bytes())
    return work


def spoil(path: Path) -> None:
    """Spoil some pixels of a frame, each in its own way."""
    with fits.open(path, mode="update") as hdus:
        for (data, variance), (y, x) in zip(SPOILT, PLACES, strict=True):
            if data is not None:
                hdus[0].data[y, x] = data
            if variance is not None:
                hdus[1].data[y, x] = variance


@pytest.mark.parametrize("spoilt", [STAR, ARC, CONTINUUM], ids=["object", "arc", "continuum"])
def test_pixels_of_a_frame_cost_no_cell_of_the_cube(
    spoilt: str, star: Work, tmp_path: Path
) -> None:
    work = copied(star, tmp_path)
    spoil(work.path(spoilt, "frame"))
    frame = read_frame(str(work.path(spoilt, "frame")))
    whole = read_frame(str(star.path(spoilt, "frame")))
    assert (~frame.good & whole.good).sum() == len(PLACES) and np.isfinite(frame.data).all()
    result = work.cube_generation([STAR])[STAR]
    assert result["ok"], result["reason"]
    before, after = (read_cube(str(one.path(STAR, "cube"))) for one in (star, work))
    assert np.array_equal(np.isfinite(before.variance), np.isfinite(after.variance))
    there = np.isfinite(before.variance)
    sigma = np.sqrt(before.variance[there])
    off = np.abs(after.data - before.data)[there] / sigma
    print(f"\n{spoilt}: {(off > 0.1).sum()} of {off.size} cells differ by 0.1 sigma, "
          f"at most {off.max():.2f}")  # fmt: skip
    # a pixel of the exposure takes part in two cells of its spectrum and two of a neighbour's
    assert (off > 0.1).sum() <= 4 * len(PLACES)
    assert off.max() < 3, "what is left of a profile tells its light, within the error"
    assert np.isfinite(after.data).all()


def test_frames_without_a_number_and_of_one_value_have_a_reason(star: Work, tmp_path: Path) -> None:
    for value, variance, told in (
        (0.0, 20.0, "every pixel is 0"), (65535.0, 20.0, "every pixel is 65535"),
        (np.nan, 20.0, "every pixel is masked or no number"), (5.0, MASKED, "every pixel is mask"),
    ):  # fmt: skip
        for name in (STAR, ARC, CONTINUUM):
            work = copied(star, tmp_path)
            with fits.open(work.path(name, "frame"), mode="update") as hdus:
                hdus[0].data[:], hdus[1].data[:] = value, variance
            reason = work.cube_generation([STAR])[STAR]["reason"]
            assert reason.startswith(f"frame {name}_frame.fits: {told}"), reason
        work = copied(star, tmp_path)
        with fits.open(work.path(STAR, "cube"), mode="update") as hdus:
            hdus[1].data["DATA_SPE"][:], hdus[1].data["STAT_SPE"][:] = value, variance
        reason = work.extract_star([STAR])[STAR]["reason"]
        assert reason.startswith(f"cube {STAR}_cube.fits: {told}"), reason


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_cell_of_a_cube_costs_that_cell(
    value: float, masked: bool, star: Work, tmp_path: Path
) -> None:
    work = copied(star, tmp_path)
    spaxel, cell = 112, 70  # the middle of the array, under the star
    with fits.open(work.path(STAR, "cube"), mode="update") as hdus:
        hdus[1].data["DATA_SPE"][spaxel, cell] = value
        hdus[1].data["QUAL_SPE"][spaxel, cell] = masked
    result = work.extract_star([STAR])[STAR]
    assert result["ok"] and result["flags"] == []
    before, after = (read_spectrum(str(one.path(STAR, "spectrum"))) for one in (star, work))
    off = np.abs(after.data - before.data) / np.sqrt(before.variance)
    others = np.delete(off, cell)
    print(f"\nthe bin itself moves by {off[cell]:.2f} sigma, the others by {others.max():.3f}")
    assert off[cell] < 1.5
    assert others.max() < 0.1


def test_a_pixel_of_a_raw_frame_costs_that_pixel(star: Work, tmp_path: Path) -> None:
    raw = tmp_path / f"{STAR}.fits"
    with fits.open(star.folder / raw.name) as hdus:
        for hdu in hdus[1:]:
            hdu.data = hdu.data.astype(np.float32)
            hdu.data[500, 100] = np.nan
            hdu.data[700, 150] = np.inf
            hdu.data[900, -3] = np.nan  # of the overscan
        hdus.writeto(raw)
    out = tmp_path / "frame.fits"
    assert run("file_quality", [str(raw), "-o", str(out)]) == 0
    plain = tmp_path / "plain.fits"
    assert run("file_quality", [str(star.folder / raw.name), "-o", str(plain)]) == 0
    before, after = read_frame(str(plain)), read_frame(str(out))
    lost = before.good & ~after.good
    # the first amplifier's data begin at column 3, the second's run backwards from the end
    assert np.argwhere(lost).tolist() == [[500, 97], [500, 414], [700, 147], [700, 364]]
    others = after.good
    assert np.abs(after.data - before.data)[others].max() < 1.0, "rows beside the overscan's pixel"
    assert (np.abs(after.data - before.data)[others] > 1e-3).sum() <= 10 * 512
    # a pixel at three times the noise, from where on it tells its own photons, may change sides
    change = np.abs(after.variance[others] / before.variance[others] - 1)
    assert (change > 0.1).sum() <= 3


@pytest.mark.parametrize(
    "make",
    [
        lambda data, variance: Frame(fits.Header(), data, variance),
        lambda data, variance: Cube(
            fits.Header(), np.arange(4.0), data, variance, np.zeros((3, 2), dtype=np.int64)
        ),
    ],
    ids=["frame", "cube"],
)
def test_no_number_gets_past_the_making_of_frames_and_cubes(
    make: Callable[[Array, Array], Frame | Cube],
) -> None:
    data, variance = np.ones((3, 4)), np.ones((3, 4))
    data[0, 1], data[1, 2], variance[2, 3] = np.nan, np.inf, np.nan
    made = make(data, variance)
    assert np.isfinite(made.data).all() and not np.isnan(made.variance).any()
    masked = made.variance >= MASKED / 10
    assert np.argwhere(masked).tolist() == [[0, 1], [1, 2], [2, 3]]
    assert (made.data[~masked] == 1).all() and (made.variance[~masked] == 1).all()
    again = replace(made, data=made.data)
    assert np.array_equal(again.variance, made.variance)
    assert np.isnan(data).any(), "what is handed in stays as it is"
