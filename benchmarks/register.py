"""Registering: 360 jobs that end at once, 200 products of 10 kB each, on PostgreSQL.

One Osiris finds them ended (all at once, which is harder than within a minute), links 72,000 files
into the archive, adds their rows, writes the manifests.  Beside it, in the same run: COPY of the
same rows into the same tables and renaming as many files.  Nothing may be missing, and there may
be 10 connections to the database at most.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import sqlalchemy as sa

from benchmarks._turns import Turns, end
from snfpipe.daemon.osiris import Event, Osiris
from snfpipe.db.models import Base, File, Process, ProcessParent
from snfpipe.db.session import open_database
from snfpipe.names import ExposureId, Night
from snfpipe.plans.unit_plan import ExpectedProduct, UnitPlan
from snfpipe.services.postgresql import PostgreSQL
from snfpipe.storage import archive
from snfpipe.worker import ledger
from snfpipe.worker.script import write_attempt
from snfpipe.worker.spec import JobSpec
from snfpipe.worker.starting import take
from tests.bench import make_bench, night_of, unit_plan

JOBS = int(os.environ.get("SNF_BENCH_JOBS", "360"))
PRODUCTS = 200
SIZE = 11_520  # four FITS blocks
LIMIT, TURNS = 5.0, 2
CONNECTIONS = 10
CHECKSUM = "0" * 64
TABLES: dict[type[Base], str] = {
    Process: "version = 203",
    File: "area = 'archive'",
    ProcessParent: "true",
}


def plan_of(night: str) -> UnitPlan:
    """Plan a night of 200 products, each made from the night's raw frame."""
    plan = unit_plan(night, [1])
    [given] = plan.inputs
    expected = tuple(
        ExpectedProduct(ExposureId(Night.parse(night), 1, 3), 4, 22, number, plan.items[0].item,
                    f"cube{number}", (given.id_process,))
        for number in range(PRODUCTS)
    )  # fmt: skip
    return replace(plan, expected=expected)


def leave(spec: JobSpec, content: bytes) -> None:
    """Leave what a job leaves that has just ended: ledger, incoming products."""
    folder = write_attempt(spec)
    take(folder, "job")
    place = archive.incoming(Path(spec.archive), spec.token)
    place.mkdir(parents=True)
    records: list[ledger.Record] = [{"kind": "starting", "host": "worker", "process": ""}]
    for product in spec.products:
        (place / product.name).write_bytes(content)
        records.append(
            {"kind": "product", "id_process": product.id_process, "name": product.name,
             "role": "main", "item": product.item, "checksum": CHECKSUM, "size": SIZE,
             "quality": 1, "flags": []}
        )  # fmt: skip
    records += [
        {"kind": "accounted", "missing": {}},
        {"kind": "ending", "exit_status": 0},
        {"kind": "end", "exit_status": 0, "signal": None, "limit": "", "cpu_s": 1.0,
         "memory_mb": 10.0},
    ]  # fmt: skip
    ledger.append_all(folder.ledger, records)


def count_connections(url: str, most: list[int], stop: threading.Event) -> None:
    """Keep the largest number of connections beside one's own."""
    database = open_database(url)
    query = sa.text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                    "AND pid != pg_backend_pid()")  # fmt: skip
    while not stop.wait(0.05):
        with database.read() as session:
            most.append(session.scalar(query) or 0)
    database.close()


def copy_and_rename(url: str, folder: Path, content: bytes) -> float:
    """COPY the registered rows into the emptied tables and rename as many files; return seconds."""
    database = open_database(url)
    rows: dict[str, io.StringIO] = {}
    with database.read() as session:
        cursor = session.connection().connection.cursor()
        for model, condition in TABLES.items():
            name = model.__tablename__
            rows[name] = io.StringIO()
            cursor.copy_expert(
                f"COPY (SELECT * FROM {name} WHERE {condition}) TO STDOUT",  # noqa: S608
                rows[name],
            )
    with database.write() as session:
        for model, condition in reversed(TABLES.items()):
            statement = f"DELETE FROM {model.__tablename__} WHERE {condition}"  # noqa: S608
            session.execute(sa.text(statement))
    source, target = folder / "from", folder / "to"
    source.mkdir()
    target.mkdir()
    names = [f"{number:06}.fits" for number in range(JOBS * PRODUCTS)]
    for name in names:
        (source / name).write_bytes(content)
    os.sync()
    began = time.perf_counter()
    with database.write() as session:
        cursor = session.connection().connection.cursor()
        for name, text in rows.items():
            text.seek(0)
            cursor.copy_expert(f"COPY {name} FROM STDIN", text)
    for name in names:
        os.rename(source / name, target / name)
    elapsed_s = time.perf_counter() - began
    database.close()
    return elapsed_s


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn took [s], the most connections it had, and whether nothing was missing."""

    ours_s: float
    reference_s: float
    connections: int
    whole: bool


def take_turn(folder: Path, url: str) -> Turn:
    """Register the jobs of a new database, then the same by COPY and rename."""
    content = b"SIMPLE  =".ljust(SIZE)
    bench = make_bench(folder, url, nights=JOBS)
    planned = bench.claim([plan_of(night_of(number)) for number in range(1800, 1800 + JOBS)])
    for spec in planned.claimed:
        leave(spec, content)
    with bench.database.write() as session:
        session.execute(sa.text("UPDATE job SET state = 'running'"))
        session.execute(sa.text("UPDATE attempt SET engine_id = '1:1'"))
        session.execute(sa.text("ANALYZE"))
    os.sync()
    most = [0]
    stop = threading.Event()
    watch = threading.Thread(target=count_connections, args=(url, most, stop))
    watch.start()
    finished: list[Event] = []
    osiris = Osiris(bench.project, bench.database, bench.engine, finished.append)
    osiris.begin()
    began = time.perf_counter()
    osiris.cycle()
    ours_s = time.perf_counter() - began
    stop.set()
    watch.join()
    done = sum(event.state == "done" for event in finished)
    live = bench.live()
    whole = sum((bench.project.site.archive / path).stat().st_size == SIZE for path in live)
    manifests = sum(1 for _path in bench.project.site.jobs.rglob("*.manifest"))
    print(f"{done} jobs done, {len(live)} products registered, {whole} files in place, "
          f"{manifests} manifests, at most {max(most)} connections: {ours_s:.2f} s")  # fmt: skip
    bench.database.close()
    reference_s = copy_and_rename(url, folder, content)
    print(f"COPY of the same rows and {JOBS * PRODUCTS} renames: {reference_s:.2f} s")
    products = JOBS * PRODUCTS
    there = (done, len(live), whole, manifests) == (JOBS, products, products, JOBS)
    return Turn(ours_s, reference_s, max(most), there)


def main() -> int:
    # user postgres has to reach it
    folder = Path(tempfile.mkdtemp(prefix="snf-register-"))
    folder.chmod(0o755)
    cluster = PostgreSQL(folder / "pg")
    turns, taken = Turns(), []
    try:
        cluster.up()
        for number in range(TURNS):
            place = folder / f"turn_{number}"
            place.mkdir()
            cluster.create(place.name)
            taken.append(take_turn(place, cluster.url(place.name)))
            turns.add(taken[-1].ours_s, taken[-1].reference_s)
            shutil.rmtree(place)
    finally:
        cluster.down()
        shutil.rmtree(folder, ignore_errors=True)
    connections = max(turn.connections for turn in taken)
    return end(
        "register", turns, LIMIT, connections=connections,
        holds=all(turn.whole for turn in taken) and connections <= CONNECTIONS,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
