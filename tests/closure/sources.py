"""Exposures of one point source each, bright or faint, faded, misplaced, on a galaxy or not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snfpipe.simulate import exposure, scene
from snfpipe.simulate.exposure import night_truth
from snfpipe.simulate.presets import NightPlan, Preset, Target, find_preset
from snfpipe.simulate.psf import Host
from snfpipe.simulate.scene import Conditions
from snfpipe.simulate.schedule import Frame
from tests.closure.night import Compared, Work, compare

_SUPERNOVA = "SNF20061129-003"
_RUN = "06_334_002"  # whose lamps all exposures share
_FIRST = 100  # number of the first exposure


@dataclass(frozen=True)
class Source:
    """What stands before the telescope.

    Attributes
    ----------
    fainter : float or None
        Magnitudes that the supernova is fainter than at its date; None: it has faded.
    host : tuple of float or None
        Its galaxy: magnitudes fainter than the target's own, distance and size over its own.
    place : tuple of float or None
        Where the telescope puts it, spaxels; None: as it comes.
    light : float
        Factor on all light; 0: the shutter stayed closed.
    """

    fainter: float | None = 0.0
    host: tuple[float, float, float] | None = None
    place: tuple[float, float] | None = None
    light: float = 1.0


@dataclass(frozen=True)
class Seen:
    """A spectrum, what its program said of it, and the truth beside it."""

    name: str
    source: Source
    result: dict[str, Any]
    compared: Compared

    @property
    def flags(self) -> list[str]:
        flags: list[str] = self.result["flags"]
        return flags

    @property
    def quality(self) -> int:
        return int(self.result["quality"])

    @property
    def error(self) -> float:
        """Error of the flux by noise, as a part of it."""
        spectrum, truth = self.compared.spectrum, self.compared.truth
        return float(np.sqrt(spectrum.variance[truth > 0.02 * truth.max()].sum()) / truth.sum())

    def __str__(self) -> str:
        return (
            f"{self.name[11:]} fainter {self.source.fainter} host {self.source.host}  "
            f"{self.compared}  quality {self.quality} {' '.join(self.flags)}"
        )


def observe(
    sources: Sequence[Source], folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> Iterator[Seen]:
    """Observe sources in B and R, an exposure each, and take them through the programs."""
    preset = find_preset("tiny")
    work = Work(preset, preset.nights[0], folder)
    by_exposure = dict(enumerate(sources, _FIRST))
    now: list[Source] = []
    real_conditions, real_host = scene.make_conditions, scene.host_of

    def make_conditions(preset: Preset, plan: NightPlan, frame: Frame) -> Conditions:
        conditions = real_conditions(preset, plan, frame)
        place = by_exposure[frame.exposure].place
        return conditions if place is None else replace(conditions, x=place[0], y=place[1])

    def host_of(target: Target) -> Host | None:
        host, wanted = real_host(target), now[-1].host
        if host is None or wanted is None:
            return None
        fainter, distance, size = wanted
        return replace(
            host, mag=host.mag + fainter, x=host.x * distance, y=host.y * distance,
            disc_radius=host.disc_radius * size, bulge_radius=host.bulge_radius * size,
        )  # fmt: skip

    chance = np.random.default_rng(7)
    lamps = [name for name in work.frames if name.startswith(_RUN) and name[15:17] in ("07", "03")]
    work.file_quality(work.simulate(lamps))
    truth: dict[str, dict[str, Any]] = {}
    with monkeypatch.context() as patch:
        patch.setattr(exposure, "make_conditions", make_conditions)
        patch.setattr(exposure, "host_of", host_of)
        for number, source in by_exposure.items():
            now.append(source)
            airmass, parang_deg = chance.uniform(1.05, 1.7), chance.uniform(-180, 180)
            star = 0.0 if source.fainter is None else 10 ** (-0.4 * source.fainter)
            for channel in "BR":
                name = f"{_RUN}_{number:03}_17_{channel}"
                work.frames[name] = replace(
                    work.frames[f"{_RUN}_003_17_{channel}"], exposure=number, exptime_s=1200.0,
                    target=_SUPERNOVA, star=star, light=source.light, airmass=float(airmass),
                    parang_deg=float(parang_deg),
                )  # fmt: skip
                truth |= work.simulate([name])
    work.file_quality(truth)
    work.cube_generation(truth)
    results = work.extract_star(truth, options, roles=["spectrum"])
    channels = json.loads(json.dumps(night_truth(preset, work.plan)))["channels"]
    for name, result in results.items():
        assert result["ok"], result["reason"]
        source = by_exposure[int(name[11:14])]
        found = compare(work.path(name, "spectrum"), truth[name], channels[name[-1]]["bins"])
        yield Seen(name, source, result, found)
