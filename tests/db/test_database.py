"""Both databases: schema, migrations, transactions, change stamps."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.orm import Session

from snfpipe.db import session as db_session
from snfpipe.db import store, upgrade
from snfpipe.db.models import (
    Base,
    ChangeStamp,
    DeletedJob,
    Expected,
    Exposure,
    File,
    Job,
    Measurement,
    Pose,
    Process,
    QueueSnapshot,
    Run,
    Target,
)
from snfpipe.db.quick import REVISION
from snfpipe.db.session import Database, open_database
from snfpipe.errors import DatabaseMismatch, ServiceUnavailable, UsageError

NIGHT = "06_334"
MIGRATIONS = Path(upgrade.__file__).with_name("migrations")


def stamps(database: Database) -> dict[str, int]:
    with database.read() as session:
        rows = session.execute(sa.select(ChangeStamp.night, ChangeStamp.seq))
        return {night: seq for night, seq in rows}


def observe(database: Database) -> None:
    """Put one exposure of one target into the database."""
    with database.write() as session:
        target = {"id_target": "T06334001", "name": "GD71", "kind": "StdStar"}
        store.insert(session, Target, [target])
        target_id = session.scalar(sa.select(Target.id))
        store.insert(
            session,
            Run,
            [{"id_run": 6334001, "night": NIGHT, "run": 1, "target_id": target_id}],
        )
        exposure = {"id_exposure": 6334001003, "id_run": 6334001, "night": NIGHT, "exposure": 3}
        store.insert(session, Exposure, [exposure])
        pose = {"id_pose": 63340010034, "id_exposure": 6334001003, "night": NIGHT, "channel": 4}
        store.insert(session, Pose, [pose])
        process = {
            "id_process": "633400100340170000000000",
            "fclass": 17,
            "xfclass": 0,
            "channel": 4,
            "version": 0,
            "idx": 0,
            "night": NIGHT,
        }
        store.insert(session, Process, [process])
        file = {
            "name": "06_334_001_003_17_B.fits",
            "area": "raw",
            "path": "06/334/06_334_001_003_17_B.fits",
            "size": 1,
            "checksum": "0" * 64,
            "id_process": process["id_process"],
            "night": NIGHT,
        }
        store.insert(session, File, [file])


def test_migrations_end_where_the_models_stand(database):
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == REVISION


def test_migrations_make_the_tables_and_triggers_of_the_models(database_url):
    database = db_session.connect(database_url, create=True)
    assert upgrade.upgrade(database)
    with database.read() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        migrated = _triggers(session)
    assert upgrade.upgrade(database) == []
    with database.write() as session:
        connection = session.connection()
        for name, table in migrated:
            on = f" ON {table}" if database.dialect == "postgresql" else ""
            connection.exec_driver_sql(f"DROP TRIGGER {name}{on}")
            if database.dialect == "postgresql":
                connection.exec_driver_sql(f"DROP FUNCTION {name}")
        Base.metadata.drop_all(connection)
        db_session.create_tables(connection)
        assert _triggers(session) == migrated
    database.close()


def test_a_database_of_the_first_schema_is_brought_up_to_date_with_what_it_holds(database_url):
    database = db_session.connect(database_url, create=True)
    with database.write() as session:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = session.connection()
        command.upgrade(config, "0001")
        session.execute(sa.text(
            "INSERT INTO queue_look (engine, taken, states, usage) "
            "VALUES ('slurm', '2026-11-26 01:00:00', '{\"1\": \"running\"}', '{}')"
        ))  # fmt: skip
        for statement in _OF_THE_FIRST_SCHEMA:
            session.execute(sa.text(statement.replace(":", "\\:")))
    database.close()
    with pytest.raises(DatabaseMismatch, match="snf db upgrade"):
        open_database(database_url)
    database = db_session.connect(database_url)
    assert [step.partition(":")[0] for step in upgrade.upgrade(database)] == [
        "0002",
        "0003",
        "0004",
        "0005",
        "0006",
    ]
    database.close()
    database = open_database(database_url)
    with database.read() as session:
        look = session.get_one(QueueSnapshot, "slurm")
        assert (look.states, look.notices) == ({"1": "running"}, [])
        measured = session.get_one(Measurement, (63340010034, 7))
        assert (measured.night, measured.quality, measured.measured) == (NIGHT, 2, {"mean": 1.5})
        expected = session.get_one(Expected, (7, "633400100340182070203000"))
        assert (expected.fclass, expected.reason) == (18, "why")
        assert session.get_one(Job, 7).unit_kind == "night"
        content = json.loads(session.scalars(sa.select(DeletedJob.content)).one())
        assert content["expected"] == [{"job_id": 8, "name": "x"}]
        assert content["measurement"] == [
            {"id_entity": 63340010034, "job_id": 8, "night": NIGHT, "quality": 1, "measured": {}}
        ]
    with database.write() as session:  # the triggers count for the new table, too
        before = session.get_one(ChangeStamp, NIGHT).seq
        session.execute(sa.update(Measurement).values(quality=1))
    with database.read() as session:
        assert session.get_one(ChangeStamp, NIGHT).seq == before + 1
    database.close()


#: Rows that refer to each other, as the first schema has them.
_OF_THE_FIRST_SCHEMA = (
    "INSERT INTO production (id, name, meta_prefix, version, number, prefix, plan, unit_kind) "
    "VALUES (3, 'SNF-0203-Az', 'SNF-', 'SNF-02-03', 203, 'A', 'file_quality', 'night')",
    "INSERT INTO job (id, production_id, unit, unit_kind, name, folder, state, reason, attempts, "
    "created, updated) VALUES (7, 3, '06_334', 'night', 'SNF-0203-Az-06334', 'PFQ/06/334', "
    "'done', '', 1, '2026-11-26 01:00:00', '2026-11-26 01:00:00')",
    "INSERT INTO run (id_run, night, run, kind, type) VALUES (6334001, '06_334', 1, '', '')",
    "INSERT INTO exposure (id_exposure, id_run, night, exposure, filter, interrupt, quality) "
    "VALUES (6334001003, 6334001, '06_334', 3, '', 0, 1)",
    "INSERT INTO pose (id_pose, id_exposure, night, channel, raster, quality, qzelog) "
    "VALUES (63340010034, 6334001003, '06_334', 4, '', 1, 0)",
    "INSERT INTO process (id_process, fclass, xfclass, channel, version, idx, night, id_run, "
    "id_exposure, id_pose, job_id, status, quality, quality_s, state) VALUES "
    "('633400100340182070203000', 18, 207, 4, 203, 0, '06_334', 6334001, 6334001003, "
    "63340010034, 7, 1, 1, '$', 'live')",
    "INSERT INTO pose_measure (id_pose, production_id, night, quality, measured) "
    "VALUES (63340010034, 3, '06_334', 2, '{\"mean\": 1.5}')",
    "INSERT INTO owed (job_id, id_process, name, fclass, xfclass, channel, night, reason) "
    "VALUES (7, '633400100340182070203000', 'x', 18, 207, 4, '06_334', 'why')",
    "INSERT INTO deleted_job (deletion, name, state, by, moment, processes, files, bytes, content) "
    "VALUES ('d', 'SNF-0203-Az-06336', 'deleted', 'me', '2026-11-26 01:00:00', 0, 0, 0, "
    '\'{"job": [{"id": 8}], "owed": [{"job_id": 8, "name": "x"}], '
    '"pose_measure": [{"id_pose": 63340010034, "production_id": 3, '
    '"night": "06_334", "quality": 1, "measured": {}}]}\')',
)


def _triggers(session: Session) -> list[tuple[str, str]]:
    query = {
        "sqlite": "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger' ORDER BY 1",
        "postgresql": "SELECT DISTINCT trigger_name, event_object_table "
        "FROM information_schema.triggers ORDER BY 1",
    }[session.get_bind().dialect.name]
    return [tuple(row) for row in session.execute(sa.text(query))]


def test_a_schema_of_another_revision_is_refused_with_the_command_that_upgrades(
    database, database_url
):
    with database.write() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = '0000'"))
    with pytest.raises(DatabaseMismatch, match="snf db upgrade"):
        open_database(database_url)
    with pytest.raises(DatabaseMismatch, match="newer snfpipe"):
        upgrade.pending(database)


def test_a_database_without_tables_is_refused_unless_asked_to_create(database_url):
    with pytest.raises(DatabaseMismatch, match="snf db init"):
        open_database(database_url)


def test_a_url_of_another_kind_is_refused():
    with pytest.raises(UsageError, match="mysql"):
        open_database("mysql://root@localhost/x")
    with pytest.raises(UsageError, match="cannot be read"):
        open_database("no url at all")


def test_an_unreachable_server_is_named_without_its_password():
    with pytest.raises(ServiceUnavailable) as caught:
        open_database("postgresql://snf:canary-secret@127.0.0.1:1/x")
    assert "canary-secret" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("statement", "moves"),
    [
        ("UPDATE run SET kind = 'FinalRef'", True),
        ("UPDATE exposure SET quality = 0", True),
        ("UPDATE pose SET quality = 0", True),
        ("UPDATE process SET quality = 2", True),
        ("UPDATE target SET kind = 'SuperNova'", True),
        ("UPDATE file SET checksum = '1'", True),
        ("DELETE FROM file", True),
        ("UPDATE alembic_version SET version_num = version_num", False),
    ],
)
def test_a_change_by_hand_moves_the_stamp_of_its_night(database, statement, moves):
    observe(database)
    before = stamps(database)
    with database.write() as session:
        session.execute(sa.text(statement))
    assert (stamps(database)[NIGHT] > before[NIGHT]) is moves


def test_what_fails_half_way_leaves_nothing(database):
    with pytest.raises(RuntimeError), database.write() as session:
        store.insert(session, Target, [{"id_target": "T06334001", "name": "GD71"}])
        raise RuntimeError
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Target)) == 0


def test_upsert_sets_only_what_it_is_told(database):
    rows = [{"id_run": n, "night": NIGHT, "run": n, "kind": "a", "type": "b"} for n in range(900)]
    changed = [{**row, "kind": "c", "type": "d"} for row in rows]
    with database.write() as session:
        store.upsert(session, Run, rows, ["kind"])
        store.upsert(session, Run, changed, ["kind"])
        store.insert_new(session, Run, rows)
    with database.read() as session:
        found = session.execute(sa.select(Run.kind, Run.type).distinct()).all()
    assert found == [("c", "b")]


def test_many_writers_at_once_wait_for_their_turn(database):
    """Every thread reads, thinks and writes; no update may be lost or refused."""
    observe(database)
    failures: list[BaseException] = []

    def bump(session: Session) -> None:
        efftime_s = session.scalar(sa.select(Pose.efftime_s).with_for_update()) or 0.0
        time.sleep(0.001)
        session.execute(sa.update(Pose).values(efftime_s=efftime_s + 1))

    def work() -> None:
        try:
            database.transact(bump)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with database.read() as session:
        assert session.scalar(sa.select(Pose.efftime_s)) == 60


@pytest.mark.services
def test_a_transaction_survives_a_restart_of_the_server(postgresql):
    database = open_database(postgresql.new_database(), create=True)
    observe(database)
    postgresql.stop()
    restart = threading.Timer(1.0, postgresql.start)
    restart.start()
    database.transact(lambda session: session.execute(sa.update(Pose).values(efftime_s=7.0)))
    restart.join()
    with database.read() as session:
        assert session.scalar(sa.select(Pose.efftime_s)) == 7.0
    database.close()
