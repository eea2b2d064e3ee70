"""Harvesting: 100,000 ends matched and committed; a turn's cost; how soon an end is known.

Real Grid Engine (a private cell) and PostgreSQL (a private cluster):

1. 100,000 jobs stand as queued, and as many records of their ends are in the accounting file:
   from the first query to the commit of outcome and state *ended* of the last.  Beside it, in the
   same run, what PostgreSQL alone needs to load the same outcomes by COPY and write them to the
   same rows by one statement.
2. The same turn with one end more, over an accounting file of 1,000 and of 1,000,000 lines.
3. Jobs that end one after another: from the moment a job ended to *Ended* in the database.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

from benchmarks._survey import driver_of
from benchmarks._turns import Turns, end
from snfpipe import clock
from snfpipe.daemon.osiris import Osiris
from snfpipe.db import store
from snfpipe.db.models import Attempt, Job
from snfpipe.engines import make_engine
from snfpipe.engines.base import EngineOutcome
from snfpipe.engines.growing import mark_end
from snfpipe.jobs.active import of_engine
from snfpipe.jobs.harvest import Harvester
from snfpipe.jobs.planning import ensure_production
from snfpipe.jobs.postmortem import moment_of
from snfpipe.services.grid_engine import GridEngineCell
from snfpipe.services.postgresql import PostgreSQL
from tests.bench import Bench, night_of, unit_plan
from tests.farm.place import make_farm

RECORDS = int(os.environ.get("SNF_BENCH_RECORDS", "100000"))
ARRAY = 5_000
TURNS = 3
LIMIT = 2.0
LATENCY_LIMIT = 1.0  # from an end until it is known, in units of the time between two looks
GROWTH_LIMIT = 2.0  # of a turn's cost, with a thousand times the accounting
ENDING_JOBS = 40
SLOTS = 4  # so that they end one after another
_LINE = (
    "all.q:worker{host}:root:root:{name}:{job}:sge:0:{start}:{start}:{end}:{failed}:{status}:120:"
    "96.5:1.2:4576.0:0:0:0:0:6449:1:0:72.0:32:0:0:0:151:19:NONE:defaultdepartment:NONE:1:{task}:"
    "97.7:0.1:0.0:NONE:0.0:NONE:250000.0:0:0\n"
)


def array_token(number: int) -> str:
    return f"{int(time.time()) - 600 + number:08x}{number:06x}"


def stand_queued(farm: Bench, accounting: Path, first: int, count: int) -> list[str]:
    """Let `count` jobs stand as submitted in arrays; return the lines their ends will have."""
    with farm.database.write() as session:
        production = ensure_production(session, farm.project, farm.step)
        specimen = session.scalar(sa.select(Attempt.spec).limit(1))
    moment = clock.utc_now()
    jobs, attempts, lines = [], [], []
    farm.project.site.jobs.mkdir(exist_ok=True, parents=True)
    for start in range(0, count, ARRAY):
        number = first + start
        token = array_token(number // ARRAY)
        name = f"{farm.step.production}.{token}"
        folder = farm.project.site.jobs.parent / ".grid_engine" / "arrays" / token
        folder.mkdir(parents=True)
        facts = {"accounting": mark_end(accounting).to_json()}
        (folder / "array.json").write_text(json.dumps({"name": name, "plan": "", "facts": facts}))
        for task in range(1, min(ARRAY, count - start) + 1):
            ident = number + task
            unit = f"T{ident}"
            jobs.append(
                {"id": ident, "production_id": production, "unit": unit, "unit_kind": "target",
                 "name": f"SNF-0203-TESTc-{unit}", "folder": f"PCG/{unit}", "state": "queued",
                 "token": f"{ident:016x}", "attempts": 1, "created": moment, "updated": moment}
            )  # fmt: skip
            attempts.append(
                {"token": f"{ident:016x}", "job_id": ident, "number": 1, "engine": "grid_engine",
                 "engine_id": f"{number // ARRAY + 5}.{task}@{token}", "claimed_at": moment,
                 "spec": specimen, "environment": {}}
            )  # fmt: skip
            status = 1 if task % 50 == 0 else 0
            lines.append(
                _LINE.format(host=task % 90, name=name, job=number // ARRAY + 5, task=task,
                             start=int(time.time()) - 120, end=int(time.time()), failed=0,
                             status=status)
            )  # fmt: skip
    with farm.database.write() as session:
        for start in range(0, count, 10_000):
            store.insert(session, Job, jobs[start : start + 10_000])
            store.insert(session, Attempt, attempts[start : start + 10_000])
        session.execute(sa.text("ANALYZE"))
    return lines


def matched(farm: Bench, accounting: Path) -> Turns:
    """Return the seconds that harvest and COPY took for the same ends, in turns."""
    lines = stand_queued(farm, accounting, 1_000_000, RECORDS)
    with accounting.open("a") as file:
        file.writelines(lines)
    turns = Turns()
    for _turn in range(TURNS):
        engine = make_engine(farm.project.site)  # which has read nothing of the accounting yet
        harvester = Harvester(farm.project, farm.database, engine, of_engine(engine))
        began = time.perf_counter()
        over = harvester.note()
        ours_s = time.perf_counter() - began
        assert len(over) == RECORDS
        with farm.database.read() as session:
            ended = session.scalar(sa.select(sa.func.count()).where(Job.state == "ended"))
            failed = session.scalar(sa.select(sa.func.count()).where(Attempt.exit_status == 1))
        assert (ended, failed) == (RECORDS, RECORDS // 50)
        forget(farm)
        ends = [(it.job.job_id, it.job.token, it.accounting) for it in over if it.accounting]
        turns.add(ours_s, copy_and_update(farm, ends))
        forget(farm)
    return turns


def forget(farm: Bench) -> None:
    """Let all jobs stand as queued again, their rows as if never changed."""
    with farm.database.write() as session:
        session.execute(sa.text("UPDATE job SET state = 'queued' WHERE state = 'ended'"))
        session.execute(sa.text("UPDATE attempt SET accounting = NULL, exit_status = NULL, "
                                "cpu_s = NULL, memory_mb = NULL, host = '', started_at = NULL, "
                                "ended_at = NULL"))  # fmt: skip
    pooled = farm.database.engine.raw_connection()
    connection = driver_of(pooled)
    connection.autocommit = True
    for table in ("job", "attempt"):
        connection.cursor().execute(f"VACUUM FULL ANALYZE {table}")
    connection.autocommit = False
    pooled.close()


def copy_and_update(farm: Bench, ends: Sequence[tuple[int, str, EngineOutcome]]) -> float:
    """Load outcomes by COPY and write them to the rows by a statement a table."""
    moment = clock.utc_now()
    text = "".join(
        f"{ident}\t{token}\t{end.exit_status}\t{end.cpu_s}\t{end.memory_mb}\t{end.host}\t"
        f"{moment_of(end.started)}\t{moment_of(end.ended)}\t"
        f"{moment}\n"
        for ident, token, end in ends
    )
    pooled = farm.database.engine.raw_connection()
    connection = driver_of(pooled)
    cursor = connection.cursor()
    began = time.perf_counter()
    cursor.execute(
        "CREATE TEMPORARY TABLE told (id bigint, token text, exit_status int, cpu_s float, "
        "memory_mb float, host text, started timestamp, ended timestamp, moment timestamp) "
        "ON COMMIT DROP"
    )
    cursor.copy_expert("COPY told FROM STDIN", io.StringIO(text))
    cursor.execute("UPDATE job SET state = 'ended', updated = moment FROM told "
                   "WHERE job.id = told.id AND state = 'queued'")  # fmt: skip
    cursor.execute(
        "UPDATE attempt SET exit_status = told.exit_status, cpu_s = told.cpu_s, host = told.host, "
        "memory_mb = told.memory_mb, started_at = started, ended_at = ended "
        "FROM told WHERE attempt.token = told.token"
    )
    connection.commit()
    elapsed_s = time.perf_counter() - began
    pooled.close()
    return elapsed_s


def turn_costs(farm: Bench, accounting: Path) -> tuple[float, float]:
    """Return the seconds of a turn with one end over a short and over a long accounting file."""
    costs = []
    for first, already in ((10_000_000, 1_000), (20_000_000, 1_000_000)):
        other = _LINE.format(
            host=1, name="somebody", job=3, task=0, start=1, end=2, failed=0, status=0
        )
        with accounting.open("a") as file:
            file.writelines([other] * already)
        with farm.database.write() as session:
            session.execute(sa.text("UPDATE job SET state = 'done'"))
        lines = stand_queued(farm, accounting, first, 20)
        harvester = Harvester(
            farm.project, farm.database, make_engine(farm.project.site), of_engine(farm.engine)
        )
        harvester.note()
        turns = []
        for line in lines[:9]:
            with accounting.open("a") as file:
                file.write(line)
            began = time.perf_counter()
            harvester.note()
            turns.append(time.perf_counter() - began)
        costs.append(statistics.median(turns))
    return costs[0], costs[1]


def latencies(farm: Bench) -> list[float]:
    """Return for real jobs the seconds from their end to *ended* (or later) in the database."""
    noted = (
        "CREATE TABLE noted (job text PRIMARY KEY, moment timestamp);"
        "CREATE FUNCTION note_end() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO noted "
        "VALUES (NEW.name, clock_timestamp() AT TIME ZONE 'UTC') ON CONFLICT DO NOTHING; "
        "RETURN NEW; END $$;"
        "CREATE TRIGGER note_end AFTER UPDATE OF state ON job FOR EACH ROW "
        "WHEN (NEW.state = 'ended') EXECUTE FUNCTION note_end()"
    )
    with farm.database.write() as session:
        session.execute(sa.text("UPDATE job SET state = 'done'"))
        session.connection().exec_driver_sql(noted)
    told = farm.told(sleep_s=1.0)
    submitter = told.submitter()
    plans = [unit_plan(night_of(1801 + number)) for number in range(ENDING_JOBS)]
    submitter.add(told.claim(plans).claimed)
    submitter.send()
    osiris = Osiris(farm.project, farm.database, farm.engine, lambda _event: None)
    osiris.begin()
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        began = time.monotonic()
        osiris.cycle()
        with farm.database.read() as session:
            if session.scalar(sa.text("SELECT count(*) FROM noted")) == ENDING_JOBS:
                break
        time.sleep(max(0.0, farm.project.site.poll_s - (time.monotonic() - began)))
    with farm.database.read() as session:
        query = (
            "SELECT moment, ended_at FROM noted JOIN job ON job.name = noted.job "
            "JOIN attempt ON attempt.token = job.token"
        )
        rows = session.execute(sa.text(query)).all()
    return [(moment - ended).total_seconds() for moment, ended in rows]


def main() -> int:
    # user postgres has to reach it
    folder = Path(tempfile.mkdtemp(prefix="snf-harvest-"))
    folder.chmod(0o755)
    cell, cluster = GridEngineCell(folder / "sge"), PostgreSQL(folder / "pg")
    try:
        cell.up()
        cluster.up()
        farm = make_farm(
            folder, cluster.url("snfpipe"), cell.environment,
            nights=ENDING_JOBS + 1, slots=SLOTS, poll_s=5.0,
        )  # fmt: skip
        accounting = cell.common / "accounting"
        farm.claim([unit_plan(night_of(1800))])  # for a spec of the usual size
        turns = matched(farm, accounting)
        ours, reference = statistics.median(turns.ours), statistics.median(turns.reference)
        print(f"{RECORDS:,} accounting records matched and committed: {ours:.2f} s; "
              f"COPY and UPDATE alone: {reference:.2f} s")  # fmt: skip
        short, long = turn_costs(farm, accounting)
        print(f"a turn with one end, accounting file of 1,000 lines more: {short * 1e3:.1f} ms; "
              f"of 1,000,000 lines more: {long * 1e3:.1f} ms")  # fmt: skip
        known = latencies(farm)
        print(f"from a job's end to Ended, {len(known)} jobs, a look every "
              f"{farm.project.site.poll_s:g} s: median {statistics.median(known):.2f} s, longest "
              f"{max(known):.2f} s")  # fmt: skip
        poll_s = farm.project.site.poll_s
        farm.database.close()
    finally:
        cell.down()
        cluster.down()
        shutil.rmtree(folder, ignore_errors=True)
    latency, growth = statistics.median(known) / poll_s, long / short
    return end(
        "harvest", turns, LIMIT,
        holds=growth < GROWTH_LIMIT and len(known) == ENDING_JOBS and latency < LATENCY_LIMIT,
        turn_ms=[round(short * 1e3, 2), round(long * 1e3, 2)], latency=round(latency, 2),
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
