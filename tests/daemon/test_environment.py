"""What an attempt records of its surroundings, as its worker saw them."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from importlib.metadata import version

from snfpipe.engines.local import LocalEngine
from tests.bench import Bench, night_of, unit_plan

A = night_of(1800)
CANARY = "canary-4711"
PROGRAM = """\
import sys
if "--version" in sys.argv:
    print("program 1.0.0")
    sys.exit()
import time
import numpy.linalg
time.sleep(1)
"""


def with_numpy(bench: Bench) -> Bench:
    """Give the bench a program that loads numpy and works for a second."""
    path = bench.project.root / "with_numpy.py"
    path.write_text(PROGRAM)
    program = replace(bench.step.program, commands=((sys.executable, "-I", str(path)),))
    step = replace(bench.step, program=program, environment={"SNF_GAIN_TABLE": "gains-3"})
    return replace(bench, project=replace(bench.project, steps=(step,)))


def test_an_attempt_records_variables_program_packages_and_libraries(sqlite_bench):
    bench = with_numpy(sqlite_bench)
    bench.run([replace(unit_plan(A), expected=())])
    [(text,)] = bench.rows("SELECT environment FROM attempt")
    seen = json.loads(text)
    assert seen["program"] == "program 1.0.0"
    assert seen["variables"]["SNF_GAIN_TABLE"] == "gains-3"
    assert seen["variables"]["OMP_NUM_THREADS"] == "1"
    assert seen["variables"]["LD_PRELOAD"] is None
    assert seen["packages"]["numpy"] == version("numpy")
    libc = [place for name, place in seen["libraries"].items() if name.startswith("libc.so")]
    assert len(libc) == 1
    assert "bytes)" in libc[0]
    assert not any("cpython" in name for name in seen["libraries"])
    assert any("blas" in name for name in seen["libraries"])  # numpy's own, beside the package


def test_nothing_of_the_drivers_environment_is_recorded_anywhere(sqlite_bench, monkeypatch):
    for name in ("PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "SNF_DATABASE_URL", "LD_LIBRARY_PATH",
                 "PYTHONPATH", "TMPDIR"):  # fmt: skip
        monkeypatch.setenv(name, f"/{CANARY}")
    bench = replace(sqlite_bench, engine=LocalEngine(sqlite_bench.project.root / ".local", 2))
    bench = bench.told(fail=[f"{A}_001_003_B"])
    bench.run([unit_plan(A)])
    for table in ("attempt", "job", "expected", "queue_snapshot"):
        assert CANARY not in repr(bench.rows(f"SELECT * FROM {table}"))
    written = [path for path in bench.project.site.jobs.rglob("*") if path.is_file()]
    assert len(written) > 5
    for path in written:
        assert CANARY not in path.read_text(errors="replace"), path
