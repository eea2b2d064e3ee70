"""Calibration data of the programs: small tables beside the code, known by their content."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).with_name("data")

#: Program -> the files its results follow from.
FILES = {
    "file_quality": ("cuts.json", "detector.json"),
    "cube_generation": ("arcs.json",),
    "extract_star": (),
}


@cache
def load(name: str) -> dict[str, Any]:
    """Return a table."""
    content: dict[str, Any] = json.loads((_FOLDER / name).read_text(encoding="utf-8"))
    return content


def digest(program: str) -> str:
    """Return what tells a program's calibration data from others, 12 hexadecimal digits."""
    content = hashlib.sha256()
    for name in FILES[program]:
        content.update((_FOLDER / name).read_bytes())
    return content.hexdigest()[:12]
