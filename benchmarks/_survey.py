"""A synthetic survey in PostgreSQL, for benchmarks: rows as a production of its size would leave.

1,300 targets in 22 nights each over 1,700 nights; 14 steps, 20,600 jobs, over 2 million products
with their files.  What was observed goes in by COPY, products are made from it in the server.
Most is as it should be: a night in a hundred has no arc, so that its cubes are missing.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import sqlalchemy as sa
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from snfpipe import clock
from snfpipe.config.project import Project, load_project
from snfpipe.db import models, store
from snfpipe.db.models import Job
from snfpipe.db.session import Database, open_database
from snfpipe.jobs.manifest import manifest_text, sha256
from snfpipe.jobs.planning import ensure_production
from snfpipe.plans.selection import select
from snfpipe.plans.unit_plan import digest
from snfpipe.services.postgresql import PostgreSQL
from snfpipe.states import State

SOURCE = Path(__file__).parents[1]

NIGHTS, TARGETS, NIGHTS_A_TARGET = 1_700, 1_300, 22
NO_ARC = 7  # of every hundred nights, this one
VERSION, NUMBER = "02-03", 203

#: Step -> plan, kind of unit, prefix, inputs, and its place among those with the same products.
STEPS: dict[str, tuple[str, str, str, str, int]] = {
    **{f"quality_{tag}": ("file_quality", "night", f"SURVEY{tag.upper()}", "{}", place)
       for place, tag in enumerate("ab")},
    **{f"cubes_{tag}": ("cube_generation", "night", f"SURVEY{tag.upper()}",
                        f'{{frames = ["quality_{tag}"]}}', place)
       for place, tag in enumerate("ab")},
    **{f"stars_{tag}": ("extract_star", "night", f"SURVEY{tag.upper()}",
                        f'{{cubes = ["cubes_{tag}"]}}', place)
       for place, tag in enumerate("ab")},
    **{f"targets_{tag}": ("extract_star", "target", f"TARGETS{tag.upper()}",
                          f'{{cubes = ["cubes_{"a" if tag < "e" else "b"}"]}}', place)
       for place, tag in enumerate("abcdefgh", 2)},
}  # fmt: skip

#: Plan -> Fclass of raw frames, Fclass and XFclass of what is made from each.
PRODUCTS = {
    "file_quality": [(17, 18, 207), (3, 4, 207), (7, 8, 207)],
    "cube_generation": [(17, 22, 0), (17, 38, 0), (17, 300, 1), (17, 322, 0)],
    "extract_star": [(17, 38, 100), (17, 38, 110)],
}


def night(number: int) -> str:
    """Return one of the survey's nights, some 190 a year."""
    return f"{4 + number // 190:02}_{1 + 2 * (number % 190) - (number % 190) // 8:03}"


def target(number: int) -> str:
    """Return one of the survey's targets."""
    return f"SNF20{4 + number // 200:02}0401-{number % 200:03}"


@contextmanager
def server() -> Iterator[str]:
    """Start a private PostgreSQL; give the URL of an empty database."""
    folder = Path(tempfile.mkdtemp(prefix="snf-pg-"))
    folder.chmod(0o755)  # the server runs as another user
    cluster = PostgreSQL(folder)
    cluster.up()
    try:
        cluster.create("survey")
        yield cluster.url("survey")
    finally:
        cluster.down()
        shutil.rmtree(folder, ignore_errors=True)


def make_configuration(root: Path, url: str) -> None:
    """Write the survey's configuration; the database is named by the environment."""
    for name in ("configs", "versions"):
        shutil.copytree(SOURCE / name, root / name)
    shutil.copy(SOURCE / "dodo.py", root)
    text = 'title = "A survey"\nmeta_prefix = "SNF-"\n' + "".join(
        f'\n[[steps]]\nkey = "{key}"\nplan = "{plan}"\nunit = "{unit}"\nprefix = "{prefix}"\n'
        f'list = "lists/survey_{unit}s.list"\nvalidate = "none"\ninputs = {inputs}\n'
        for key, (plan, unit, prefix, inputs, _place) in STEPS.items()
    )
    (root / "configs" / "productions" / "survey.toml").write_text(text)
    (root / "configs" / "production.toml").write_text(
        'version = "SNF-02-03"\nproduction = "survey"\nsite = "local"\n'
    )
    (root / "lists").mkdir()
    for kind, units in (
        ("nights", map(night, range(NIGHTS))),
        ("targets", map(target, range(TARGETS))),
    ):
        lines = "".join(f"{unit}\n" for unit in units)
        (root / "lists" / f"survey_{kind}.list").write_text(lines)
    os.environ["SNF_DATABASE_URL"] = url


def fill(root: Path) -> dict[str, int]:
    """Fill the database and write the manifests; return table -> number of rows."""
    project = load_project(root)
    database = open_database(project.site.database_url, root, create=True)
    pooled = database.engine.raw_connection()
    connection = driver_of(pooled)
    cursor = connection.cursor()
    # neither foreign keys nor change stamps, row by row: what goes in is consistent
    cursor.execute("SET session_replication_role = replica")
    _observe(cursor)
    cursor.execute("INSERT INTO change_stamp (night, seq) SELECT DISTINCT night, 1 FROM run")
    connection.commit()
    _jobs(project, database)
    cursor.execute(
        "CREATE TEMPORARY TABLE arcless AS SELECT DISTINCT night FROM run "
        "EXCEPT SELECT night FROM process WHERE fclass = 3"
    )
    cursor.execute("ANALYZE")
    with _without_indices(cursor):
        for step in project.steps:
            _products(cursor, step.key, step.production)
    cursor.execute("ANALYZE")
    connection.commit()
    _finish(project, database)
    connection.commit()
    connection.autocommit = True
    cursor.execute("VACUUM ANALYZE")  # as a server does by itself after a while
    counts = {}
    for table in ("target", "job", "process", "file", "expected"):
        cursor.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 - a name of the line above
        [(counts[table],)] = cursor.fetchall()
    pooled.close()
    database.close()
    return counts


def driver_of(connection: sa.PoolProxiedConnection) -> Connection:
    """Return psycopg2's own connection, for what SQLAlchemy has no words for."""
    return cast(Connection, connection.driver_connection)


def _observe(cursor: Cursor) -> None:
    """Copy targets, runs, exposures, poses and raw frames in."""
    runs = dict.fromkeys(range(NIGHTS), 0)
    tables: dict[str, list[tuple[object, ...]]] = {
        name: [] for name in ("target", "run", "exposure", "pose", "process", "file")
    }
    for number in range(TARGETS):
        tables["target"].append((number + 1, f"T{number:08}", target(number), "SuperNova", "Ia",
                                 "", "", "", ""))  # fmt: skip
        for visit in range(NIGHTS_A_TARGET):
            n = (number * 7 + visit * 113) % NIGHTS
            runs[n] += 1
            name = night(n)
            id_run = int(f"{name.replace('_', '')}{runs[n]:03}")
            tables["run"].append((id_run, name, runs[n], number + 1, "FollowUp", "SPECTRED"))
            for exposure, fclass in ((1, 7), (3, 17), (4, 3)):
                if fclass == 3 and n % 100 == NO_ARC:
                    continue
                id_exposure = int(f"{id_run}{exposure:03}")
                jd = 2453000.0 + n + runs[n] / 100 + exposure / 10000
                tables["exposure"].append((id_exposure, id_run, name, exposure, jd, "", 0, 1))
                for channel, mask in (("B", 4), ("R", 2)):
                    id_pose = int(f"{id_exposure}{mask}")
                    ident = f"{id_pose}{fclass:03}0000000000"
                    file = f"{name}_{runs[n]:03}_{exposure:03}_{fclass:02}_{channel}.fits"
                    tables["pose"].append((id_pose, id_exposure, name, mask, "", 1, 0))
                    tables["process"].append(
                        (
                            ident,
                            fclass,
                            0,
                            mask,
                            0,
                            0,
                            name,
                            id_run,
                            id_exposure,
                            id_pose,
                            number + 1,
                            1,
                            1,
                            "$",
                            "live",
                        )
                    )
                    tables["file"].append((file, "raw", f"{name.replace('_', '/')}/{file}", 1000,
                                           f"{id_pose:064x}", ident, "main", name))  # fmt: skip
    columns = {
        "target": "id, id_target, name, kind, type, pi, iauc, date_c, date_m",
        "run": "id_run, night, run, target_id, kind, type",
        "exposure": "id_exposure, id_run, night, exposure, jd, filter, interrupt, quality",
        "pose": "id_pose, id_exposure, night, channel, raster, quality, qzelog",
        "process": "id_process, fclass, xfclass, channel, version, idx, night, id_run, "
        "id_exposure, id_pose, target_id, status, quality, quality_s, state",
        "file": "name, area, path, size, checksum, id_process, role, night",
    }
    for table, rows in tables.items():
        copy(cursor, table, columns[table], rows)


def copy(cursor: Cursor, table: str, columns: str, rows: Iterable[tuple[object, ...]]) -> None:
    """Copy rows into a table; their values hold no tabs."""
    text = io.StringIO("".join("\t".join(map(str, row)) + "\n" for row in rows))
    cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN", text)


def _jobs(project: Project, database: Database) -> None:
    """Make the job rows, done but where a night has no arc."""
    arcless = {night(n) for n in range(NIGHTS) if n % 100 == NO_ARC}
    moment = clock.utc_now()
    with database.write() as session:
        for step in project.steps:
            production_id = ensure_production(session, project, step)
            jobs = []
            for unit in step.units:
                failed = step.plan == "cube_generation" and unit in arcless
                jobs.append(
                    {"production_id": production_id, "unit": unit, "unit_kind": step.kind.name,
                     "name": step.job_name(unit), "folder": step.job_folder(unit),
                     "state": "failed" if failed else "done",
                     "reason": f"no arc in night {unit}" if failed else "", "attempts": 1,
                     "created": moment, "updated": moment}
                )  # fmt: skip
            store.insert(session, models.Job, jobs)


@contextmanager
def _without_indices(cursor: Cursor) -> Iterator[None]:
    """Make the indices of the large tables anew when they are full: that is quicker."""
    cursor.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE "
        "tablename IN ('process', 'file', 'expected') "
        "AND indexname NOT IN (SELECT conname FROM pg_constraint)"
    )
    found = cursor.fetchall()
    for name, _definition in found:
        if name != "ix_process_class":  # raw frames are found by it
            cursor.execute(f'DROP INDEX "{name}"')
    yield
    for name, definition in found:
        if name != "ix_process_class":
            cursor.execute(definition)


def _products(cursor: Cursor, key: str, production: str) -> None:
    """Make what a step's jobs declared, their products and files, from the raw frames."""
    plan, unit, _prefix, _inputs, place = STEPS[key]
    of_unit = "raw.night" if unit == "night" else "target.name"
    for raw_class, fclass, xfclass in PRODUCTS[plan]:
        reason = "NULL"
        if plan != "file_quality":
            why = "'no arc in night ' || raw.night" if plan == "cube_generation" else "'no cube'"
            reason = f"CASE WHEN arcless.night IS NULL THEN NULL ELSE {why} END"
        parts = {
            "ident": f"raw.id_pose || '{fclass:03}{xfclass:03}{NUMBER:04}{place:03}'",
            "name": "raw.night || '_' || lpad(mod(raw.id_run, 1000)::text, 3, '0') || '_' || "
            "lpad(mod(raw.id_exposure, 1000)::text, 3, '0') || '_' || raw.channel || "
            f"'_{fclass:03}_{xfclass:03}_{VERSION}_{place:03}.fits'",
        }
        cursor.execute(
            f"""
            CREATE TEMPORARY TABLE made AS
            SELECT {parts["ident"]} AS ident, {parts["name"]} AS name, job.id AS job_id,
                   raw.channel, raw.night, raw.id_run,
                   raw.id_exposure, raw.id_pose, raw.target_id, {reason} AS reason
            FROM process AS raw
            JOIN target ON target.id = raw.target_id
            JOIN production ON production.name = %s
            JOIN job ON job.production_id = production.id AND job.unit = {of_unit}
            LEFT JOIN arcless ON arcless.night = raw.night
            WHERE raw.fclass = %s AND raw.version = 0
            """,  # noqa: S608 - made of our own names and numbers
            (production, raw_class),
        )
        cursor.execute(
            """
            INSERT INTO expected (job_id, id_process, name, fclass, xfclass, channel, night,
                              id_exposure, reason)
            SELECT job_id, ident, name, %s, %s, channel, night, id_exposure, reason FROM made
            """,
            (fclass, xfclass),
        )
        cursor.execute("DELETE FROM made WHERE reason IS NOT NULL")
        cursor.execute(
            """
            INSERT INTO process (id_process, fclass, xfclass, channel, version, idx, night, id_run,
                                 id_exposure, id_pose, target_id, job_id, status, quality,
                                 quality_s, state)
            SELECT ident, %s, %s, channel, %s, %s, night, id_run, id_exposure, id_pose, target_id,
                   job_id, 1, 1, '$', 'live' FROM made
            """,
            (fclass, xfclass, NUMBER, place),
        )
        cursor.execute(
            f"""
            INSERT INTO file (name, area, path, size, checksum, id_process, role, night)
            SELECT name, 'archive',
                   'Prod/{VERSION}/' || replace(night, '_', '/') || '/' || name,
                   1000, encode(sha256(ident::bytea), 'hex'), ident, 'main', night FROM made
            """  # noqa: S608
        )
        cursor.execute("DROP TABLE made")


def _finish(project: Project, database: Database) -> None:
    """Give every job the digest of what is selected now, and its manifest."""
    with database.write() as session:
        session.execute(sa.text("SET LOCAL session_replication_role = replica"))
        for step in project.steps:
            rows = session.execute(
                sa.select(Job.id, Job.unit, Job.state, Job.reason).where(
                    Job.name.in_([step.job_name(unit) for unit in step.units])
                )
            ).all()
            plans = select(session, step, step.units)
            changes = []
            for ident, unit, state, reason in rows:
                text = manifest_text(step.production, unit, State(state), reason, (),
                                     step.identity, ())  # fmt: skip
                folder = project.site.jobs / step.job_folder(unit)
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{step.job_name(unit)}.manifest").write_text(text)
                changes.append({"id": ident, "inputs_digest": digest(step, plans[unit]),
                                "manifest": text, "manifest_sha": sha256(text)})  # fmt: skip
            session.execute(sa.update(Job), changes)
