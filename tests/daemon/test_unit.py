"""The systemd unit is one that systemd takes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "configs" / "systemd" / "osiris.service"


def verify(text: str, path: Path) -> subprocess.CompletedProcess[str]:
    path.write_text(text)
    words = ["systemd-analyze", "verify", "--man=no", str(path)]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


def installed() -> str:
    """The unit as the sed line of its own comment makes it."""
    text = UNIT.read_text()
    [line] = re.findall(r'sed "(.*)" configs', text)
    for rule in line.split("; "):
        _s, old, new, _end = rule.split("|")
        text = text.replace(old, {"$PWD": str(ROOT), "User=$USER": "User=root"}[new])
    # the tests' Python may stand outside the project
    return text.replace(f"{ROOT}/.venv/bin", str(Path(sys.executable).parent))


def test_systemd_takes_the_unit(tmp_path):
    done = verify(installed(), tmp_path / "osiris.service")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_would_find_a_mistake_in_it(tmp_path):
    text = installed()
    for right, wrong in {"Type=exec": "Type=daemonic", "bin/anubis": "bin/osirys"}.items():
        done = verify(text.replace(right, wrong), tmp_path / "osiris.service")
        assert done.returncode != 0 or done.stderr, wrong
