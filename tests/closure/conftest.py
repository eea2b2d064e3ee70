"""Nights that several tests look at."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import pytest

from snfpipe.simulate.exposure import night_truth
from snfpipe.simulate.layouts import KINDS
from snfpipe.simulate.presets import Preset, find_preset
from tests.closure.night import Compared, Work, compare


@dataclass(frozen=True)
class Reduced:
    """A night that was reduced: what the programs said, and the truth."""

    work: Work
    truth: dict[str, dict[str, Any]]
    channels: dict[str, dict[str, Any]]
    quality: dict[str, dict[str, Any]]
    cubes: dict[str, dict[str, Any]]
    stars: dict[str, dict[str, Any]]

    def compared(self) -> dict[str, Compared]:
        """Return every spectrum beside its truth."""
        return {
            name: compare(
                self.work.path(name, "spectrum"), self.truth[name], self.channels[name[-1]]["bins"]
            )
            for name in self.stars
        }


def reduce_night(preset: Preset, folder: pytest.TempPathFactory) -> Reduced:
    """Simulate the first night of a preset and reduce it, with galaxies beside supernovae."""
    work = Work(preset, preset.nights[0], folder.mktemp("night"))
    names = [name for name, frame in work.frames.items() if frame.fclass in (3, 7, 17)]
    objects = [name for name in names if work.frames[name].fclass == 17]
    truth = work.simulate(names)
    channels = json.loads(json.dumps(night_truth(preset, work.plan)))["channels"]
    return Reduced(
        work,
        truth,
        channels,
        work.file_quality(truth),
        work.cube_generation(objects),
        work.extract_star(objects, {"host": True}),
    )


# one night of the cameras' layouts, one that mixes all; the older layout alone in the long run
@pytest.fixture(
    scope="session",
    params=[
        pytest.param(kind, marks=pytest.mark.soak if kind == "single" else ()) for kind in KINDS
    ],
)
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Reduced:
    """A standard and a supernova on its host, in every layout of the frames."""
    return reduce_night(replace(find_preset("tiny"), layout=request.param), tmp_path_factory)
