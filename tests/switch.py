"""The version that tests' projects produce by, whatever the default of the project itself is."""

from __future__ import annotations

import re
from pathlib import Path

#: Its name is in what many tests expect: names of jobs, folders, numbers.
LABEL = "SNF-02-03"


def use_version(root: Path, label: str = LABEL) -> None:
    """Write a version into the switch of a project."""
    switch = root / "configs" / "production.toml"
    text, count = re.subn(r'(?m)^version = ".*"', f'version = "{label}"', switch.read_text())
    assert count == 1, f"{switch} has no line of its version"
    switch.write_text(text)
