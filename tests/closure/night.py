"""A simulated night taken through the reduction by its programs, and its truth beside it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from snfpipe.reduce.formats import Spectrum, read_spectrum
from snfpipe.reduce.programs.program import run
from snfpipe.simulate.night import planned_frames, write_frame
from snfpipe.simulate.presets import NightPlan, Preset
from snfpipe.simulate.schedule import Frame

Array = NDArray[np.float64]

_KNOWN = {"airmass": "airmass", "parang": "parang_deg"}


@dataclass(frozen=True)
class Work:
    """Frames of a night in a folder, with all that the programs make of them beside them."""

    preset: Preset
    plan: NightPlan
    folder: Path

    @cached_property
    def frames(self) -> dict[str, Frame]:
        """Frames of B and R by name of their item, ``06_334_001_003_17_B``."""
        return {
            frame.name.removesuffix(".fits"): frame
            for frame in planned_frames(self.preset, self.plan)
            if frame.channel in "BR"
        }

    def simulate(self, names: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Write raw frames; return their truth by name."""
        return {
            name: write_frame(self.preset, self.plan, self.frames[name], self.folder)[1]
            for name in names
        }

    def path(self, name: str, role: str) -> Path:
        """Return where a product lies."""
        endings = {"log": "txt", "plot_fit": "png", "plot_adr": "png", "plot_spectrum": "png"}
        return self.folder / f"{name}_{role}.{endings.get(role, 'fits')}"

    def run(
        self, program: str, items: list[dict[str, Any]], options: Mapping[str, Any] | None = None
    ) -> dict[str, dict[str, Any]]:
        """Run a program on items; return its results by item."""
        worklist, results = self.folder / f"{program}.json", self.folder / f"{program}.jsonl"
        results.unlink(missing_ok=True)
        content = {"program": program, "options": dict(options or {}), "items": items}
        worklist.write_text(json.dumps(content))
        run(program, ["--worklist", str(worklist), "--results", str(results)])
        lines = [json.loads(line) for line in results.read_text().splitlines()]
        return {line["item"]: line for line in lines}

    def item(
        self, name: str, inputs: Mapping[str, Path], roles: Iterable[str], **values: Any
    ) -> dict[str, Any]:
        """Return an item of a worklist."""
        return {
            "item": name,
            "inputs": {role: str(path) for role, path in inputs.items()},
            "values": values,
            "outputs": {role: str(self.path(name, role)) for role in roles},
        }

    def file_quality(
        self, truth: Mapping[str, Mapping[str, Any]], options: Mapping[str, Any] | None = None
    ) -> dict[str, dict[str, Any]]:
        """Preprocess the frames that truth tells of, knowing what a database would."""
        items = []
        for name, known in truth.items():
            values = {key: known.get(word) for key, word in _KNOWN.items()}
            raw = {"raw": self.folder / f"{name}.fits"}
            items.append(self.item(name, raw, ["frame"], models=True, **values))
        return self.run("file_quality", items, options)

    def cube_generation(
        self, names: Iterable[str], options: Mapping[str, Any] | None = None
    ) -> dict[str, dict[str, Any]]:
        """Make cubes of exposures with arc and continuum of their own runs."""
        items = []
        for name in names:
            run_, channel = name[:10], name[-1]
            inputs = {
                "object": self.path(name, "frame"),
                "arc": self.path(f"{run_}_004_03_{channel}", "frame"),
                "continuum": self.path(f"{run_}_001_07_{channel}", "frame"),
            }
            items.append(self.item(name, inputs, ["cube", "quick", "table", "background"]))
        return self.run("cube_generation", items, options)

    def extract_star(
        self,
        names: Iterable[str],
        options: Mapping[str, Any] | None = None,
        roles: Collection[str] = ("spectrum", "background"),
    ) -> dict[str, dict[str, Any]]:
        """Extract the stars of cubes; supernovae have a sky with a slope."""
        items = []
        for name in names:
            slope = int(self.frames[name].target.startswith("SNF"))
            cubes = {"cube": self.path(name, "cube")}
            other = self.path(f"{name[:-1]}{'R' if name[-1] == 'B' else 'B'}", "cube")
            if other.exists():
                cubes["other"] = other
            item = self.item(name, cubes, roles, sky_degree=slope)
            # cubes have a background of their own
            if "background" in roles:
                item["outputs"]["background"] = str(self.path(name, "sky"))
            items.append(item)
        return self.run("extract_star", items, options)


@dataclass(frozen=True)
class Compared:
    """An extracted spectrum beside the truth, electrons a bin.

    Attributes
    ----------
    ratio : float
        Sum of the spectrum over that of the truth, over the bins with light.
    pull_mean, pull_rms : float
        Of (spectrum - truth) / error in these bins.
    signal_to_noise : float
        Median of truth / error.
    scatter : float
        Of spectrum / truth.
    """

    target: str
    spectrum: Spectrum
    truth: Array
    ratio: float
    pull_mean: float
    pull_rms: float
    signal_to_noise: float
    scatter: float

    def __str__(self) -> str:
        """Return a line for a person."""
        return (
            f"{self.target:16s} {self.spectrum.header['CHANNEL']}  flux/truth {self.ratio:.4f}  "
            f"pull {self.pull_mean:+.2f} +- {self.pull_rms:.2f}  S/N {self.signal_to_noise:.0f}"
        )


def compare(path: Path, truth: Mapping[str, Any], bins: Mapping[str, float]) -> Compared:
    """Compare a spectrum with the truth of its exposure, given on bins of its own."""
    spectrum = read_spectrum(str(path))
    expected = on_bins(truth["point_blurred"], bins, spectrum.wavelength)
    error = np.sqrt(spectrum.variance)
    lit = (expected > 0.02 * expected.max()) & (spectrum.wavelength > bins["start"])
    pull = ((spectrum.data - expected) / error)[lit]
    return Compared(
        truth["target"],
        spectrum,
        expected,
        float(spectrum.data[lit].sum() / expected[lit].sum()),
        float(pull.mean()),
        float(pull.std()),
        float(np.median((expected / error)[lit])),
        float((spectrum.data[lit] / expected[lit]).std()),
    )


def on_bins(density: Iterable[float], bins: Mapping[str, float], wavelength: Array) -> Array:
    """Return light a bin from means an Angstrom over other bins, by their cumulated sum."""
    light = np.array(list(density)) * bins["step"]
    edges = bins["start"] + bins["step"] * (np.arange(light.size + 1) - 0.5)
    below = CubicSpline(edges, np.concatenate([[0.0], np.cumsum(light)]))
    half = (wavelength[1] - wavelength[0]) / 2
    return np.asarray(below(wavelength + half) - below(wavelength - half))
