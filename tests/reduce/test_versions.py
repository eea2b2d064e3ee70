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
    labels = ("SNF-02-01", "SNF-02-02", "SNF-02-03", "SNF-02-04", "HEAD")
    works = {label: reduced(star, tmp_path / label, label) for label in labels}
    frames = {
        label: {name: read_frame(str(work.path(name, "frame"))) for name in (STAR, ARC, CONTINUUM)}
        for label, work in works.items()
    }
    cubes = {label: read_cube(str(work.path(STAR, "cube"))) for label, work in works.items()}

    # the data begin at the stored column 3, and run backwards in the second amplifier
    expected = {0: -0.9 * 0.773, 256: -0.6 * 0.744}  # by an amplifier's first column
    sizes: dict[int, list[float]] = {first: [] for first in expected}
    for name in (STAR, ARC, CONTINUUM):
        step = frames["SNF-02-01"][name].data - frames["SNF-02-02"][name].data
        for first, found in sizes.items():
            half = step[:, first : first + 256]
            assert np.allclose(half[:, ::2], half[0, 0], atol=0.01)
            assert np.allclose(half[:, 1::2], -half[0, 0], atol=0.01)
            found.append(half[0, 1] - half[0, 0])
        same = [frames[label][name].data for label in labels[1:]]
        assert all(np.array_equal(same[0], other) for other in same[1:])
    for first, found in sizes.items():
        # the read noise of an overscan of 18 columns leaves 0.06 e- in one frame
        assert abs(np.mean(found) - expected[first]) < 0.1, "ADU of the step, in electrons"

    stray = cubes["SNF-02-02"].data - cubes["SNF-02-03"].data
    print(f"\nstray light left in the cube: {np.median(stray):.2f} e- a bin")
    assert 0.5 < np.median(stray) < 20
    for label in ("SNF-02-04", "HEAD"):
        assert np.array_equal(cubes["SNF-02-03"].data, cubes[label].data)
    assert not np.array_equal(cubes["SNF-02-01"].data, cubes["SNF-02-02"].data)
