"""An ingest killed with SIGKILL: a night is there whole or not at all, and the next one ends it."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.ingest.conftest import ROOT, moment_of, write_frame

NIGHTS = [f"06_{day}" for day in range(301, 325)]
FRAMES = 4


def counted(root: Path, table: str) -> Counter[str]:
    """Return how many rows of a table each night has."""
    with sqlite3.connect(root / "work/snfpipe.db") as connection:
        return Counter(dict(connection.execute(f"SELECT night, count(*) FROM {table} GROUP BY 1")))


def test_a_killed_ingest_leaves_whole_nights_and_is_ended_by_the_next(tmp_path: Path) -> None:
    for name in ("configs", "versions", "lists"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for night in NIGHTS:
        folder = tmp_path / "work/raw" / night.replace("_", "/")
        folder.mkdir(parents=True)
        for number in range(1, FRAMES + 1):
            write_frame(folder, f"{night}_001_{number:03}_17_B.fits", **moment_of(night))
        lines = [f"1,{number},B,GD71,SPECTRED" for number in range(1, FRAMES + 1)]
        log = "\n".join(("run,exposure,channel,object,run_type", *lines))
        (folder / "obslog.csv").write_text(log)
    (tmp_path / "work/raw/targets.csv").write_text("name,kind\nGD71,StdStar\n")
    command = [str(Path(sys.executable).with_name("snf")), "ingest"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SNF_")}
    environment["PYTHONUNBUFFERED"] = "1"
    for after in (1, 3):
        with subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE
        ) as ingest:
            assert ingest.stdout
            for _ in range(after):
                assert b"took 4 frames" in ingest.stdout.readline()
            ingest.send_signal(signal.SIGKILL)
        assert ingest.returncode == -signal.SIGKILL
        processes = counted(tmp_path, "process")
        assert set(processes.values()) == {FRAMES}
        assert processes == counted(tmp_path, "file") == counted(tmp_path, "exposure")
    assert len(processes) >= 4
    subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True)
    for table in ("process", "file", "exposure"):
        assert counted(tmp_path, table) == dict.fromkeys(NIGHTS, FRAMES)
