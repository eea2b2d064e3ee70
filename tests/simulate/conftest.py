"""A small night on disk, made once for all tests that only look at it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from snfpipe.simulate.changes import change
from snfpipe.simulate.night import night_folder
from snfpipe.simulate.presets import NightPlan, Preset, find_preset
from snfpipe.simulate.survey import simulate_survey

#: Four frames and no target: what the machinery around frames is tested with.
CALIBRATIONS = Preset("dark", "calibrations only", (NightPlan("06_334", (), biases=1, darks=1),))


class Made:
    """A simulated night: its preset and plan, its folder, its truth."""

    def __init__(self, preset: Preset, out: Path) -> None:
        self.preset, self.plan, self.out = preset, preset.nights[0], out
        self.folder = night_folder(out, self.plan)
        self.truth: dict[str, Any] = json.loads((self.folder / "truth.json").read_text())


Array = NDArray[np.float64]


def amplifiers(path: Path) -> list[tuple[Array, Array]]:
    """Return data, in the chip's order, and overscan of both amplifiers of a reduced frame.

    The places are written out, not read from cards; overscans begin at an even column, and leave
    out the columns that hold none.
    """
    with fits.open(path) as hdus:
        images = [hdu.data.astype(float) for hdu in hdus if hdu.header["NAXIS"] == 2]
    if len(images) == 2:  # DetCom: 3 + 256 + 29 columns, 1152 + 32 rows
        first, second = (image[:1152] for image in images)
        return [
            (first[:, 3:259], first[:, 260:288]),
            (second[:, 258:2:-1], second[:, 260:288]),
        ]
    image = images[0]  # 512 + 32 + 32 columns
    return [(image[:, :256], image[:, 512:542]), (image[:, 256:512], image[:, 546:576])]


def chip_image(path: Path) -> Array:
    """Return the data of both amplifiers side by side, ADU."""
    return np.hstack([data for data, _overscan in amplifiers(path)])


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The first night of the preset tiny."""
    out = tmp_path_factory.mktemp("raw")
    preset = change(find_preset("tiny"), nights=["06_334"])
    simulate_survey(preset, out)
    return Made(preset, out)
