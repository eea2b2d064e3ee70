"""A standard in B: arc, continuum and exposure, raw and reduced, made once."""

from __future__ import annotations

import pytest

from snfpipe.simulate.presets import find_preset
from tests.closure.night import Work

STAR, ARC, CONTINUUM = (f"06_334_002_{rest}_B" for rest in ("003_17", "004_03", "001_07"))

ROLES = ("spectrum", "background", "log", "plot_fit", "plot_adr", "plot_spectrum")


def make(folder_factory: pytest.TempPathFactory, name: str) -> Work:
    """Simulate the frames and reduce them to all that the programs make."""
    preset = find_preset("tiny")
    work = Work(preset, preset.nights[0], folder_factory.mktemp(name))
    work.file_quality(work.simulate([STAR, ARC, CONTINUUM]))
    work.cube_generation([STAR])
    work.extract_star([STAR], roles=ROLES)
    return work


@pytest.fixture(scope="session")
def star(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """The standard, reduced with the plans' own options."""
    return make(tmp_path_factory, "star")
