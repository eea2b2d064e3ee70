"""Measurements of anything a job made a product of; the field's words for two tables.

``pose_measure`` (by pose and production) becomes ``measurement`` (by entity and job), ``owed``
becomes ``expected``, ``queue_look`` becomes ``queue_snapshot``; kinds of units have longer names.
Deleted jobs in the trash are rewritten alike, so that they can be restored.
"""

import json

import sqlalchemy as sa
from alembic import op

from snfpipe.db import stamps

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the new tables, fill them from the old ones, and drop those."""
    _measurement()
    _expected()
    _queue_snapshot()
    _longer_kinds()
    _trash()


def _longer_kinds() -> None:
    """Let kinds of units have up to 20 letters.

    SQLite cannot change a column, and a table that others refer to cannot be made anew while it
    checks them; it keeps no length, so that the text of its schema is all that says 8
    (https://www.sqlite.org/lang_altertable.html, section 8).
    """
    if op.get_bind().dialect.name == "postgresql":
        for table in ("production", "job"):
            op.alter_column(table, "unit_kind", type_=sa.String(20), existing_nullable=False)
        return
    version = op.get_bind().execute(sa.text("PRAGMA schema_version")).scalar_one()
    op.execute("PRAGMA writable_schema = ON")
    op.execute(
        "UPDATE sqlite_master SET sql = replace(sql, 'unit_kind VARCHAR(8)', "
        "'unit_kind VARCHAR(20)') WHERE type = 'table' AND name IN ('production', 'job')"
    )
    op.execute(f"PRAGMA schema_version = {int(version) + 1}")
    op.execute("PRAGMA writable_schema = OFF")


def _measurement() -> None:
    """Hand measurements to the job that made them."""
    op.create_table(
        "measurement",
        sa.Column("id_entity", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("job_id", _ROW_ID, nullable=False),
        sa.Column("night", sa.String(6), nullable=False),
        sa.Column("quality", sa.Integer(), nullable=True),
        sa.Column("measured", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_measurement_job_id_job")),
        sa.PrimaryKeyConstraint("id_entity", "job_id", name=op.f("pk_measurement")),
    )
    op.execute(
        "INSERT INTO measurement (id_entity, job_id, night, quality, measured) "
        "SELECT pose_measure.id_pose, owner.job_id, pose_measure.night, pose_measure.quality, "
        "pose_measure.measured FROM pose_measure JOIN (SELECT process.id_pose, "
        "job.production_id, max(job.id) AS job_id FROM process JOIN job ON "
        "job.id = process.job_id WHERE process.id_pose IS NOT NULL GROUP BY process.id_pose, "
        "job.production_id) AS owner ON owner.id_pose = pose_measure.id_pose "
        "AND owner.production_id = pose_measure.production_id"
    )
    op.drop_table("pose_measure")
    if op.get_bind().dialect.name == "postgresql":
        for event in stamps.EVENTS:
            op.execute(f"DROP FUNCTION stamp_pose_measure_{event}()")
    op.create_index(op.f("ix_measurement_job_id"), "measurement", ["job_id"])
    op.create_index(op.f("ix_measurement_night"), "measurement", ["night"])
    for statement in stamps.statements(op.get_bind().dialect.name, ["measurement"]):
        op.execute(statement)


def _expected() -> None:
    """Keep the products that jobs declared under their new name."""
    op.create_table(
        "expected",
        sa.Column("job_id", _ROW_ID, nullable=False),
        sa.Column("id_process", sa.String(25), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("fclass", sa.Integer(), nullable=False),
        sa.Column("xfclass", sa.Integer(), nullable=False),
        sa.Column("channel", sa.Integer(), nullable=False),
        sa.Column("night", sa.String(6), nullable=False),
        sa.Column("id_exposure", sa.BigInteger(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_expected_job_id_job")),
        sa.PrimaryKeyConstraint("job_id", "id_process", name=op.f("pk_expected")),
    )
    columns = (
        "job_id, id_process, name, fclass, xfclass, channel, night, id_exposure, failure, reason"
    )
    op.execute(f"INSERT INTO expected ({columns}) SELECT {columns} FROM owed")  # noqa: S608
    op.drop_table("owed")
    op.create_index("ix_expected_class", "expected", ["fclass", "xfclass", "job_id"])
    op.create_index(
        "ix_expected_promised",
        "expected",
        ["job_id", "fclass", "xfclass", "id_process"],
        sqlite_where=sa.text("reason IS NULL"),
        postgresql_where=sa.text("reason IS NULL"),
    )
    op.create_index(op.f("ix_expected_night"), "expected", ["night"])


def _queue_snapshot() -> None:
    """Keep the last look at a queue under its new name."""
    op.create_table(
        "queue_snapshot",
        sa.Column("engine", sa.String(80), nullable=False),
        sa.Column("taken", sa.DateTime(), nullable=False),
        sa.Column("states", sa.JSON(), nullable=False),
        sa.Column("usage", sa.JSON(), nullable=False),
        sa.Column("notices", sa.JSON(), server_default="[]", nullable=False),
        sa.PrimaryKeyConstraint("engine", name=op.f("pk_queue_snapshot")),
    )
    columns = "engine, taken, states, usage, notices"
    op.execute(f"INSERT INTO queue_snapshot ({columns}) SELECT {columns} FROM queue_look")  # noqa: S608
    op.drop_table("queue_look")


def _trash() -> None:
    """Rewrite the rows of deleted jobs under the new names."""
    deleted = sa.table(
        "deleted_job", sa.column("deletion"), sa.column("name"), sa.column("content")
    )
    connection = op.get_bind()
    for deletion, name, text in connection.execute(sa.select(deleted)).all():
        content = json.loads(text)
        rows = content.pop("pose_measure", None)
        if rows is not None:
            job_id = content["job"][0]["id"]
            content["measurement"] = [
                {
                    "id_entity": row["id_pose"], "job_id": job_id, "night": row["night"],
                    "quality": row["quality"], "measured": row["measured"],
                }
                for row in rows
            ]  # fmt: skip
        if "owed" in content:
            content["expected"] = content.pop("owed")
        connection.execute(
            sa.update(deleted)
            .where(deleted.c.deletion == deletion, deleted.c.name == name)
            .values(content=json.dumps(content, sort_keys=True, separators=(",", ":")))
        )
