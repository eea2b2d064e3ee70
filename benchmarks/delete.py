"""Deleting 20,000 processes, into the trash and with a way back, beside what takes it by hand.

By hand: bare SQL DELETEs of the same rows of a copy of the database, and `rm` of the same files.
Ours shows the plan before, reads every row twice (to show, and to hold what was shown against
what is there), keeps them all as JSON, and moves every file into the trash.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks._turns import Turns, end
from snfpipe import clock
from snfpipe.config.project import Project, load_project
from snfpipe.db import models, store
from snfpipe.db.session import Database, open_database
from snfpipe.deletion.remove import delete, plan_deletion
from snfpipe.jobs.planning import ensure_production
from snfpipe.names import ExposureId, Night, ProductName
from snfpipe.storage import archive

JOBS, PROCESSES = 200, 100  # processes of each job
LIMIT, TURNS = 8.0, 3
SOURCE = Path(__file__).parents[1]
BY_HAND = (
    "DELETE FROM process_parent WHERE child IN (SELECT id_process FROM process WHERE job_id > 0)",
    "DELETE FROM file WHERE id_process IN (SELECT id_process FROM process WHERE job_id > 0)",
    "DELETE FROM process WHERE job_id > 0",
    "DELETE FROM expected",
    "DELETE FROM job",
)


def fill(project: Project, database: Database) -> list[str]:
    """Make the jobs of the step cube_generation, done, with their files; return their names."""
    step = project.step("cube_generation")
    names = []
    rows: dict[type[models.Base], list[dict[str, Any]]] = {
        model: []
        for model in (models.Run, models.Exposure, models.Process, models.File, models.Expected)
    }
    content = b"x" * 100
    checksum = hashlib.sha256(content).hexdigest()
    with database.write() as session:
        production = ensure_production(session, project, step)
        moment = clock.utc_now()
        for number in range(JOBS):
            night = Night.parse(f"{4 + number // 100:02}_{1 + number % 100:03}")
            unit = str(night)
            names.append(step.job_name(unit))
            store.insert(session, models.Job, [
                {"id": number + 1, "production_id": production, "unit": unit, "unit_kind": "night",
                 "name": names[-1], "folder": step.job_folder(unit), "state": "done",
                 "created": moment, "updated": moment}
            ])  # fmt: skip
            (project.site.archive / f"Prod/02-03/{night.folder}").mkdir(parents=True)
            for run in range(1, PROCESSES + 1):
                exposure = ExposureId(night, run, 3)
                product = ProductName(exposure, 4, 22, 0, project.number)
                ident, id_run = exposure.id_exposure, exposure.run_id.id_run
                rows[models.Run].append({"id_run": id_run, "night": unit, "run": run})
                rows[models.Exposure].append(
                    {"id_exposure": ident, "id_run": id_run, "night": unit, "exposure": 3}
                )
                of_class = {"fclass": 22, "xfclass": 0, "channel": 4, "night": unit,
                            "id_process": product.id_process, "id_exposure": ident,
                            "job_id": number + 1}  # fmt: skip
                rows[models.Process].append(
                    {**of_class, "version": project.number, "idx": 0, "id_run": id_run}
                )
                rows[models.Expected].append({**of_class, "name": str(product)})
                path = archive.place_of(str(product))
                (project.site.archive / path).write_bytes(content)
                rows[models.File].append(
                    {"name": str(product), "area": "archive", "path": path, "size": len(content),
                     "checksum": checksum, "id_process": product.id_process, "night": unit}
                )  # fmt: skip
        for model, some in rows.items():
            store.insert(session, model, some)
    return names


def by_hand(copy: Path, place: Path) -> float:
    """Delete from a copy of the database and the archive as a person would; return seconds."""
    connection = sqlite3.connect(copy, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    started = time.perf_counter()
    connection.execute("BEGIN IMMEDIATE")
    for statement in BY_HAND:
        connection.execute(statement)
    connection.execute("COMMIT")
    subprocess.run(["rm", "-r", place / "Prod"], check=True)
    elapsed_s = time.perf_counter() - started
    connection.close()
    return elapsed_s


def ours(project: Project, names: list[str]) -> tuple[float, float]:
    """Delete as manage_jobs does; return seconds to show it, and to show and do it."""
    database = open_database(project.site.database_url)
    started = time.perf_counter()
    plan = plan_deletion(database, names)
    planned_s = time.perf_counter() - started
    lost = delete(project, database, plan, "benchmark")
    elapsed_s = time.perf_counter() - started
    assert plan.totals["processes"] == JOBS * PROCESSES
    assert lost == []
    with database.read() as session:
        assert session.query(models.Process).count() == 0
    database.close()
    return planned_s, elapsed_s


def main() -> int:
    planned, turns = [], Turns()
    with tempfile.TemporaryDirectory(prefix="snf-delete-") as folder:
        root = Path(folder)
        for name in ("configs", "versions", "lists"):
            shutil.copytree(SOURCE / name, root / name)
        loaded = load_project(root)
        first = replace(loaded.site, archive=root / "first" / "archive", jobs=root / "first")
        database = open_database(f"sqlite:///{root}/first/snfpipe.db", create=True)
        names = fill(replace(loaded, site=first), database)
        with database.write() as session:
            session.connection().exec_driver_sql("ANALYZE")
        database.close()
        for _turn in range(TURNS):
            shutil.copytree(root / "first", root / "copy")
            reference_s = by_hand(root / "copy" / "snfpipe.db", root / "copy" / "archive")
            shutil.rmtree(root / "copy")
            shutil.copytree(root / "first", root / "copy")
            site = replace(
                loaded.site, archive=root / "copy" / "archive", jobs=root / "copy" / "SNF-02-03",
                database_url=f"sqlite:///{root}/copy/snfpipe.db",
            )  # fmt: skip
            planned_s, elapsed_s = ours(replace(loaded, site=site), names)
            planned.append(planned_s)
            turns.add(elapsed_s, reference_s)
            shutil.rmtree(root / "copy")
    shown_s, done_s = statistics.median(planned), statistics.median(turns.ours)
    print(f"to show it: {shown_s:.2f} s; to show and do it: {done_s:.2f} s")
    return end("delete", turns, LIMIT)


if __name__ == "__main__":
    sys.exit(main())
