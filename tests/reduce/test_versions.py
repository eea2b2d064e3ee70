"""The versions differ in their pixels as their files say, and in nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from snfpipe.config.versions import load_version
from snfpipe.reduce.formats import read_cube, read_frame
from tests.closure.night import Work
from tests.reduce.conftest import ARC, CONTINUUM, STAR

ROOT = Path(__file__).parents[2]


def reduced(star: Work, folder: Path, label: str) -> Work:
    """Reduce the standard as a version does."""
    version = load_version(ROOT, label)
    folder.mkdir()
    work = Work(star.preset, star.plan, folder)
    frames: dict[str, Any] = {name: {} for name in (STAR, ARC, CONTINUUM)}
    for name in frames:
        (folder / f"{name}.fits").symlink_to(star.folder / f"{name}.fits")
    work.file_quality(frames, version.options.get("file_quality"))
    work.cube_generation([STAR], version.options.get("cube_generation"))
    return work


def test_the_first_version_leaves_odd_and_even_columns_and_the_first_two_the_stray_light(
    star: Work, tmp_path: Path
) -> None:
    labels = ("SNF-02-01", "SNF-02-02", "SNF-02-03", "HEAD")
    works = {label: reduced(star, tmp_path / label, label) for label in labels}
    frames = {
        label: {name: read_frame(str(work.path(name, "frame"))) for name in (STAR, ARC)}
        for label, work in works.items()
    }
    cubes = {label: read_cube(str(work.path(STAR, "cube"))) for label, work in works.items()}

    for name in (STAR, ARC):
        step = frames["SNF-02-01"][name].data - frames["SNF-02-02"][name].data
        left, right = step[:, :256], step[:, 256:]
        for half, size in ((left, 0.9 * 0.773), (right, -0.6 * 0.744)):
            assert np.allclose(half[:, ::2], half[0, 0], atol=0.01)
            assert np.allclose(half[:, 1::2], -half[0, 0], atol=0.01)
            assert abs(half[0, 1] - half[0, 0] - size) < 0.1, "ADU of the step, in electrons"
        same = [frames[label][name].data for label in labels[1:]]
        assert np.array_equal(same[0], same[1]) and np.array_equal(same[1], same[2])

    stray = cubes["SNF-02-02"].data - cubes["SNF-02-03"].data
    print(f"\nstray light left in the cube: {np.median(stray):.2f} e- a bin")
    assert 0.5 < np.median(stray) < 20
    assert np.array_equal(cubes["SNF-02-03"].data, cubes["HEAD"].data)
    assert not np.array_equal(cubes["SNF-02-01"].data, cubes["SNF-02-02"].data)
