"""A small night on disk, made once for all tests that only look at it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

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


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The first night of the preset tiny."""
    out = tmp_path_factory.mktemp("raw")
    preset = change(find_preset("tiny"), nights=["06_334"])
    simulate_survey(preset, out)
    return Made(preset, out)
