"""Digests of products, kept with the version of the program that made them.

``python -m tests.reduce.golden`` makes them anew, after a program's version was raised in
snfpipe/reduce/__init__.py (or the simulator makes other frames).
"""

from __future__ import annotations

import hashlib
import json
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from snfpipe.reduce import PROGRAMS
from snfpipe.simulate.presets import find_preset
from tests.closure.night import Work
from tests.reduce.conftest import ARC, CONTINUUM, STAR

FILE = Path(__file__).with_name("golden.json")

#: Program -> roles of the products that are kept an eye on.
PRODUCTS = {
    "file_quality": ("frame",),
    "cube_generation": ("cube", "quick", "table", "background"),
    "extract_star": ("spectrum", "sky"),
}
_LIBRARIES = ("numpy", "scipy", "astropy")


def machine() -> dict[str, Any]:
    """Return what the last digits of results may depend on: libraries and the processor."""
    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    return {
        "libraries": {name: version(name) for name in _LIBRARIES},
        "processor": [platform.machine(), *simd["baseline"], *simd.get("found", ())],
    }


def measure(work: Work) -> dict[str, Any]:
    """Return what is kept: digests of the input, and of every product with some numbers."""
    return {
        "inputs": {name: _digest(work.folder / f"{name}.fits") for name in (STAR, ARC, CONTINUUM)},
        "machine": machine(),
        "programs": {
            program: {
                "version": PROGRAMS[program],
                "products": {role: _product(work, role) for role in roles},
            }
            for program, roles in PRODUCTS.items()
        },
    }


def _product(work: Work, role: str) -> dict[str, Any]:
    """Return a product's digest and the sum and sum of squares of each of its arrays."""
    path = work.path(STAR, role)
    numbers = []
    with fits.open(path) as hdus:
        for hdu in hdus:
            if hdu.data is None:
                continue
            names = hdu.columns.names if isinstance(hdu, fits.BinTableHDU) else [None]
            for name in names:
                values = hdu.data if name is None else hdu.data[name]
                if values.dtype.kind == "f":
                    usual = values[values < 1e29].astype(np.float64)
                    numbers += [float(f"{usual.sum():.9g}"), float(f"{(usual**2).sum():.9g}")]
    return {"sha256": _digest(path), "numbers": numbers}


def _digest(path: Path) -> str:
    """Return a file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def reduce(folder: Path) -> Work:
    """Reduce the standard in a folder."""
    preset = find_preset("tiny")
    work = Work(preset, preset.nights[0], folder)
    work.file_quality(work.simulate([STAR, ARC, CONTINUUM]))
    work.cube_generation([STAR])
    work.extract_star([STAR])
    return work


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        FILE.write_text(json.dumps(measure(reduce(Path(name))), indent=1) + "\n")
