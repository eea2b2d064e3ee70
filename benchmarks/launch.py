"""1,300 target jobs of one plan, created and submitted: batch_jobs beside a loop of qsub.

A real Grid Engine cell and a real PostgreSQL, both private.  Ours is the whole command, its start
included: select the inputs of 1,300 targets, claim their jobs with every product they owe, write
their scripts, submit, store the ids.  The reference is qsub, called once a job with a script that
lies there already: what had to be done before anything else could be counted.  The queue is
disabled meanwhile, so that no job takes the processors from either.  Each turn of ours is a
production of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa

from benchmarks._survey import night, target
from benchmarks._turns import Turns, end
from snfpipe import clock
from snfpipe.config.project import load_project
from snfpipe.db import models, store
from snfpipe.db.session import Database, open_database
from snfpipe.names import ExposureId, Night, ProductName, RawName
from snfpipe.services.grid_engine import GridEngineCell
from snfpipe.services.postgresql import PostgreSQL
from snfpipe.states import State

TARGETS, VISITS, NIGHTS = 1_300, 5, 1_700
TURNS = 3
LIMIT = 0.1  # at least 10 times faster
SOURCE = Path(__file__).parents[1]
CUBES = "SNF-0203-CUBESc"
SITE = """\
engine = "grid_engine"
slots = 360
poll_s = 5
grace_s = 120
database = "postgresql://snf@localhost/none"
raw = "work/raw"
archive = "work/archive"
jobs = "work/jobs"
"""


def make_project(root: Path) -> None:
    """Write a project on the farm, and the list of targets."""
    for name in ("configs", "versions", "lists"):
        shutil.copytree(SOURCE / name, root / name)
    (root / "configs" / "sites" / "farm.toml").write_text(SITE)
    switch = root / "configs" / "production.toml"
    switch.write_text(switch.read_text().replace('site = "local"', 'site = "farm"'))
    (root / "targets.list").write_text("".join(f"{target(n)}\n" for n in range(TARGETS)))


def observe(root: Path, database: Database) -> None:
    """Fill the database: every target in some nights, B and R, with the cubes made of them."""
    moment = clock.utc_now()
    rows: dict[type[models.Base], list[dict[str, object]]] = {
        model: []
        for model in (models.Target, models.Run, models.Exposure, models.Pose, models.Production,
                      models.Job, models.Process, models.File)
    }  # fmt: skip
    rows[models.Production].append(
        {"id": 1, "name": CUBES, "meta_prefix": "SNF-", "version": "SNF-02-03", "number": 203,
         "outver": None, "prefix": "CUBES", "plan": "cube_generation", "unit_kind": "night"}
    )  # fmt: skip
    for n in range(NIGHTS):
        name = f"{CUBES}-{Night.parse(night(n)).code}"
        rows[models.Job].append(
            {"id": n + 1, "production_id": 1, "unit": night(n), "unit_kind": "night",
             "name": name, "folder": f"PCG/{n}", "state": str(State.DONE), "reason": "",
             "attempts": 1, "created": moment, "updated": moment}
        )  # fmt: skip
    runs = dict.fromkeys(range(NIGHTS), 0)
    for number in range(TARGETS):
        rows[models.Target].append(
            {"id": number + 1, "id_target": f"T{number:08}", "name": target(number),
             "kind": "SuperNova", "type": "Ia"}
        )  # fmt: skip
        for visit in range(VISITS):
            n = (number * 7 + visit * 113) % NIGHTS
            runs[n] += 1
            add_visit(rows, n, runs[n], number + 1)
    with database.write() as session:
        for model, content in rows.items():
            store.insert(session, model, content)
        session.execute(sa.text("SELECT setval('production_id_seq', 1)"))
        session.execute(sa.text("SELECT setval('job_id_seq', :last)"), {"last": NIGHTS})
    with database.write() as session:
        session.execute(sa.text("ANALYZE"))


def add_visit(
    rows: dict[type[models.Base], list[dict[str, object]]], n: int, run: int, target_id: int
) -> None:
    """Add one exposure of a target: in two channels, raw frame and cube."""
    it = ExposureId(Night.parse(night(n)), run, 3)
    id_run, id_exposure = it.run_id.id_run, it.id_exposure
    jd = 2453000.0 + n
    rows[models.Run].append(
        {"id_run": id_run, "night": night(n), "run": run, "target_id": target_id,
         "kind": "FollowUp", "type": "SPECTRED", "jd": jd}
    )  # fmt: skip
    rows[models.Exposure].append(
        {"id_exposure": id_exposure, "id_run": id_run, "night": night(n), "exposure": 3, "jd": jd,
         "exptime_s": 1000.0}
    )  # fmt: skip
    for letter, channel in (("B", 4), ("R", 2)):
        id_pose = int(f"{id_exposure}{channel}")
        rows[models.Pose].append(
            {"id_pose": id_pose, "id_exposure": id_exposure, "night": night(n), "channel": channel,
             "efftime_s": 1000.0, "airmass": 1.2, "parang": 10.0, "jd": jd}
        )  # fmt: skip
        raw = RawName.parse(f"{it}_17_{letter}.fits")
        cube = ProductName(it, channel, 22, 0, 203, 0, "fits")
        for name, path, fclass, version, job in (
            (raw.id_process, raw.path, 17, 0, None),
            (cube.id_process, cube.archive_path, 22, 203, n + 1),
        ):
            rows[models.Process].append(
                {"id_process": name, "fclass": fclass, "xfclass": 0, "channel": channel,
                 "version": version, "idx": 0, "night": night(n), "id_run": id_run,
                 "id_exposure": id_exposure, "id_pose": id_pose, "target_id": target_id,
                 "job_id": job}
            )  # fmt: skip
            rows[models.File].append(
                {"name": path.rpartition("/")[2], "area": "archive" if job else "raw",
                 "path": path, "size": 1, "checksum": f"{id_pose:064x}", "id_process": name,
                 "night": night(n)}
            )  # fmt: skip


def run(root: Path, environment: dict[str, str], *words: str) -> tuple[float, str]:
    """Run a command; return its wall time [s] and what it printed."""
    began = time.perf_counter()
    done = subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True)
    elapsed_s = time.perf_counter() - began
    assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return elapsed_s, done.stdout


def ours(root: Path, environment: dict[str, str], database: Database, turn: int) -> float:
    """Create and submit by one command; hold that all are in the queue, and known to be."""
    batch_jobs = str(Path(sys.executable).with_name("batch_jobs"))
    elapsed_s, told = run(
        root, environment, batch_jobs, "-s", "-p", f"BENCH{turn}", "-m", "e", "-a", f"-j {CUBES}",
        "targets.list",
    )  # fmt: skip
    assert f"{TARGETS} handed to the engine" in told, told
    queued = pending(root, environment)
    assert queued == TARGETS, f"{queued} tasks are in the queue"
    with database.read() as session:
        rows = session.execute(
            sa.text(
                "SELECT count(*), count(DISTINCT engine_id) FROM attempt JOIN job "
                "ON job.token = attempt.token WHERE job.state = 'queued' AND job.name LIKE :like"
            ),
            {"like": f"SNF-0203-BENCH{turn}e-%"},
        ).one()
        expected = session.scalar(sa.text("SELECT count(*) FROM expected"))
    assert tuple(rows) == (TARGETS, TARGETS), rows
    print(f"ours: {TARGETS} jobs in {elapsed_s:.2f} s ({expected} products expected so far)")
    empty(root, environment)
    return elapsed_s


def pending(root: Path, environment: dict[str, str]) -> int:
    """Count the tasks in the queue."""
    shown = run(root, environment, "qstat", "-u", "*", "-g", "d")[1].splitlines()
    return max(0, len(shown) - 2)


def empty(root: Path, environment: dict[str, str]) -> None:
    """Delete all tasks in the queue, and wait until they are gone."""
    run(root, environment, "qdel", "-u", "*")
    while pending(root, environment):
        time.sleep(0.5)


def reference(root: Path, environment: dict[str, str]) -> float:
    """Submit as many scripts one by one."""
    script = root / "job.sh"
    script.write_text("#!/bin/bash\nexit 0\n")
    words = ["qsub", "-terse", "-r", "n", "-S", "/bin/bash", "-o", "/dev/null", "-e", "/dev/null"]
    began = time.perf_counter()
    for number in range(TARGETS):
        subprocess.run(
            [*words, "-N", f"job-{number}", str(script)], cwd=root, env=environment, check=True,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
    elapsed_s = time.perf_counter() - began
    assert pending(root, environment) == TARGETS
    empty(root, environment)
    return elapsed_s


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="snf-launch-") as folder:
        os.chmod(folder, 0o755)  # noqa: S103 - the server runs as another user
        root = Path(folder) / "project"
        root.mkdir()
        make_project(root)
        cell, server = GridEngineCell(Path(folder) / "cell"), PostgreSQL(Path(folder) / "pg")
        try:
            cell.up()
            server.up()
            dropped = ("SNF_", "PG", "PYTHONDONTWRITEBYTECODE")
            kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
            environment = {**kept, **cell.environment, **server.environment}
            os.environ.update(server.environment)
            project = load_project(root)
            database = open_database(project.site.database_url, root, create=True)
            observe(root, database)
            run(root, environment, "qmod", "-d", "*")
            turns = Turns()
            for turn in range(TURNS):
                reference_s = reference(root, environment)
                turns.add(ours(root, environment, database, turn), reference_s)
            database.close()
        finally:
            cell.down()
            server.down()
    print(f"{1 / turns.ratio:.1f} times faster than a loop of qsub")
    return end("launch", turns, LIMIT)


if __name__ == "__main__":
    sys.exit(main())
