"""check_job_output of a whole step and job_attrition of a whole production, beside bare SQL.

On PostgreSQL, with a synthetic survey of 1,300 targets, 1,700 nights, over 20,000 jobs and over 2
million products and files.  Ours is the whole command, from the shell and back, with
configuration, lists, imports and all; the reference is a bare count in SQL of the rows that it has
to look at, by a driver that is connected already.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg2

from benchmarks import _survey as survey
from benchmarks._turns import Turns, end

LIMIT = 6.5
TURNS = 5
SNF = Path(sys.executable).with_name("snf")
STEP = "cubes_a"
BARE = {
    "check_job_output": """
        SELECT count(*), count(process.id_process) FROM expected
        JOIN job ON job.id = expected.job_id
        JOIN production ON production.id = job.production_id AND production.name = %(production)s
        LEFT JOIN process ON process.id_process = expected.id_process AND process.state = 'live'
        WHERE expected.reason IS NULL""",
    "job_attrition": """
        SELECT job.production_id, job.state, count(*) FROM expected
        JOIN job ON job.id = expected.job_id GROUP BY 1, 2""",
}


def command(root: Path, *words: str) -> tuple[float, str]:
    """Run a command that has findings to tell; return its wall time [s] and what it printed."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    done = subprocess.run([SNF, *words], cwd=root, env=kept, capture_output=True, text=True)
    elapsed_s = time.perf_counter() - started
    assert done.returncode == 1, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return elapsed_s, done.stdout


def count(url: str, statement: str, production: str) -> float:
    """Return how long a bare count takes [s], connecting left out."""
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        started = time.perf_counter()
        cursor.execute(statement, {"production": production})
        cursor.fetchall()
        return time.perf_counter() - started


def main() -> int:
    results: dict[str, Turns] = {}
    with tempfile.TemporaryDirectory(prefix="snf-audit-") as folder, survey.server() as url:
        root = Path(folder)
        survey.make_configuration(root, url)
        started = time.perf_counter()
        counts = survey.fill(root)
        told = ", ".join(f"{table} {number:,}" for table, number in counts.items())
        print(f"rows: {told}; made in {time.perf_counter() - started:.0f} s")
        assert counts["target"] >= 1_300 and counts["job"] >= 20_000, counts
        assert min(counts["process"], counts["file"]) >= 2_000_000, counts
        first_s, _ = command(root, "job_attrition", "--json")
        print(f"job_attrition after losing every cache (selects all units anew): {first_s:.1f} s")
        for name, words in (
            ("check_job_output", ("check_job_output", STEP, "--json")),
            ("job_attrition", ("job_attrition", "--json")),
        ):
            turns = results[name] = Turns()
            for _turn in range(TURNS):
                bare_s = count(url, BARE[name], "SNF-0203-SURVEYAc")
                elapsed_s, told = command(root, *words)
                turns.add(elapsed_s, bare_s)
            _check(name, json.loads(told), counts)
            end(f"audit.{name}", turns, LIMIT)
    return end("audit", max(results.values(), key=lambda turns: turns.ratio), LIMIT)


def _check(name: str, told: Any, counts: dict[str, int]) -> None:
    """Hold that what was timed is the whole answer."""
    if name == "check_job_output":
        visits = survey.TARGETS * survey.NIGHTS_A_TARGET
        assert len(told["table"]) == 4, told["table"]
        assert sum(row["expected"] for row in told["table"]) > 0.98 * visits * 2 * 4
    else:
        assert told[0]["table"][-1]["units"] == counts["job"]
        assert [report["audit"].partition(": ")[2] for report in told] == [
            "", "nights", "targets", "exposures",
        ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
