"""The first schema: observations, products, jobs, change stamps."""

import sqlalchemy as sa
from alembic import op

from snfpipe.db import stamps

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table, then the triggers that keep the change stamps."""
    op.create_table(
        "bad_frame",
        sa.Column("path", sa.String(length=400), nullable=False),
        sa.Column("night", sa.String(length=6), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("noticed", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_bad_frame")),
    )
    op.create_index(op.f("ix_bad_frame_night"), "bad_frame", ["night"], unique=False)
    op.create_table(
        "change_stamp",
        sa.Column("night", sa.String(length=6), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("night", name=op.f("pk_change_stamp")),
    )
    op.create_table(
        "frame_change",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("old_checksum", sa.String(length=64), nullable=False),
        sa.Column("new_checksum", sa.String(length=64), nullable=False),
        sa.Column("noticed", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_frame_change")),
    )
    op.create_index(op.f("ix_frame_change_name"), "frame_change", ["name"], unique=False)
    op.create_table(
        "product_index",
        sa.Column("base", sa.String(length=25), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("base", name=op.f("pk_product_index")),
    )
    op.create_table(
        "production",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("meta_prefix", sa.String(length=20), nullable=False),
        sa.Column("version", sa.String(length=20), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("outver", sa.Integer(), nullable=True),
        sa.Column("prefix", sa.String(length=40), nullable=False),
        sa.Column("plan", sa.String(length=40), nullable=False),
        sa.Column("unit_kind", sa.String(length=8), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_production")),
        sa.UniqueConstraint("name", name=op.f("uq_production_name")),
    )
    op.create_table(
        "target",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id_target", sa.String(length=9), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("type", sa.String(length=20), nullable=False),
        sa.Column("pi", sa.String(length=40), nullable=False),
        sa.Column("ra", sa.Float(), nullable=True),
        sa.Column("dec", sa.Float(), nullable=True),
        sa.Column("iauc", sa.String(length=40), nullable=False),
        sa.Column("redshift", sa.Float(), nullable=True),
        sa.Column("redshift_err", sa.Float(), nullable=True),
        sa.Column("mwebv", sa.Float(), nullable=True),
        sa.Column("date_c", sa.String(length=32), nullable=False),
        sa.Column("date_m", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_target")),
        sa.UniqueConstraint("id_target", name=op.f("uq_target_id_target")),
        sa.UniqueConstraint("name", name=op.f("uq_target_name")),
    )
    op.create_table(
        "job",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "production_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("unit", sa.String(length=40), nullable=False),
        sa.Column("unit_kind", sa.String(length=8), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("folder", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("token", sa.String(length=32), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("inputs_digest", sa.String(length=64), nullable=True),
        sa.Column("manifest", sa.Text(), nullable=True),
        sa.Column("manifest_sha", sa.String(length=64), nullable=True),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("updated", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["production_id"], ["production.id"], name=op.f("fk_job_production_id_production")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sa.UniqueConstraint("name", name=op.f("uq_job_name")),
        sa.UniqueConstraint("production_id", "unit", name=op.f("uq_job_production_id_unit")),
    )
    op.create_index(op.f("ix_job_state"), "job", ["state"], unique=False)
    op.create_index(op.f("ix_job_token"), "job", ["token"], unique=False)
    op.create_table(
        "production_base",
        sa.Column(
            "production_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column(
            "based_on_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["based_on_id"],
            ["production.id"],
            name=op.f("fk_production_base_based_on_id_production"),
        ),
        sa.ForeignKeyConstraint(
            ["production_id"],
            ["production.id"],
            name=op.f("fk_production_base_production_id_production"),
        ),
        sa.PrimaryKeyConstraint("production_id", "based_on_id", name=op.f("pk_production_base")),
    )
    op.create_table(
        "run",
        sa.Column(
            "id_run",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("night", sa.String(length=6), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("target_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("type", sa.String(length=20), nullable=False),
        sa.Column("jd", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["target_id"], ["target.id"], name=op.f("fk_run_target_id_target")),
        sa.PrimaryKeyConstraint("id_run", name=op.f("pk_run")),
    )
    op.create_index(op.f("ix_run_night"), "run", ["night"], unique=False)
    op.create_index(op.f("ix_run_target_id"), "run", ["target_id"], unique=False)
    op.create_table(
        "attempt",
        sa.Column("token", sa.String(length=32), nullable=False),
        sa.Column("job_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("engine", sa.String(length=20), nullable=False),
        sa.Column("engine_id", sa.String(length=80), nullable=True),
        sa.Column("claimed_at", sa.DateTime(), nullable=False),
        sa.Column("submitted_at", sa.DateTime(), nullable=True),
        sa.Column("started_at", sa.DateTime(), nullable=True),
        sa.Column("ended_at", sa.DateTime(), nullable=True),
        sa.Column("host", sa.String(length=80), nullable=False),
        sa.Column("exit_status", sa.Integer(), nullable=True),
        sa.Column("signal", sa.Integer(), nullable=True),
        sa.Column("limit_hit", sa.String(length=20), nullable=False),
        sa.Column("cpu_s", sa.Float(), nullable=True),
        sa.Column("memory_mb", sa.Float(), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("accounting", sa.JSON(), nullable=True),
        sa.Column("out_tail", sa.Text(), nullable=False),
        sa.Column("err_tail", sa.Text(), nullable=False),
        sa.Column("environment", sa.JSON(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_attempt_job_id_job")),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_attempt")),
    )
    op.create_index(op.f("ix_attempt_engine_id"), "attempt", ["engine_id"], unique=False)
    op.create_index(op.f("ix_attempt_job_id"), "attempt", ["job_id"], unique=False)
    op.create_table(
        "exposure",
        sa.Column(
            "id_exposure",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id_run", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("night", sa.String(length=6), nullable=False),
        sa.Column("exposure", sa.Integer(), nullable=False),
        sa.Column("jd", sa.Float(), nullable=True),
        sa.Column("exptime_s", sa.Float(), nullable=True),
        sa.Column("filter", sa.String(length=20), nullable=False),
        sa.Column("guide", sa.Integer(), nullable=True),
        sa.Column("guide_s", sa.Float(), nullable=True),
        sa.Column("guide_f", sa.Float(), nullable=True),
        sa.Column("guide_x", sa.Float(), nullable=True),
        sa.Column("interrupt", sa.Integer(), nullable=False),
        sa.Column("quality", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["id_run"], ["run.id_run"], name=op.f("fk_exposure_id_run_run")),
        sa.PrimaryKeyConstraint("id_exposure", name=op.f("pk_exposure")),
    )
    op.create_index(op.f("ix_exposure_id_run"), "exposure", ["id_run"], unique=False)
    op.create_index(op.f("ix_exposure_night"), "exposure", ["night"], unique=False)
    op.create_table(
        "owed",
        sa.Column("job_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id_process", sa.String(length=25), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("fclass", sa.Integer(), nullable=False),
        sa.Column("xfclass", sa.Integer(), nullable=False),
        sa.Column("channel", sa.Integer(), nullable=False),
        sa.Column("night", sa.String(length=6), nullable=False),
        sa.Column("id_exposure", sa.BigInteger(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_owed_job_id_job")),
        sa.PrimaryKeyConstraint("job_id", "id_process", name=op.f("pk_owed")),
    )
    op.create_index("ix_owed_class", "owed", ["fclass", "xfclass", "job_id"], unique=False)
    op.create_index(
        "ix_owed_promised",
        "owed",
        ["job_id", "fclass", "xfclass", "id_process"],
        unique=False,
        sqlite_where=sa.text("reason IS NULL"),
        postgresql_where=sa.text("reason IS NULL"),
    )
    op.create_index(op.f("ix_owed_night"), "owed", ["night"], unique=False)
    op.create_table(
        "pose",
        sa.Column("id_pose", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "id_exposure", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("night", sa.String(length=6), nullable=False),
        sa.Column("channel", sa.Integer(), nullable=False),
        sa.Column("efftime_s", sa.Float(), nullable=True),
        sa.Column("raster", sa.String(length=40), nullable=False),
        sa.Column("quality", sa.Integer(), nullable=False),
        sa.Column("qzelog", sa.Integer(), nullable=False),
        sa.Column("jd", sa.Float(), nullable=True),
        sa.Column("airmass", sa.Float(), nullable=True),
        sa.Column("parang", sa.Float(), nullable=True),
        sa.Column("pressure", sa.Float(), nullable=True),
        sa.Column("temperature", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["id_exposure"], ["exposure.id_exposure"], name=op.f("fk_pose_id_exposure_exposure")
        ),
        sa.PrimaryKeyConstraint("id_pose", name=op.f("pk_pose")),
    )
    op.create_index(op.f("ix_pose_id_exposure"), "pose", ["id_exposure"], unique=False)
    op.create_index(op.f("ix_pose_night"), "pose", ["night"], unique=False)
    op.create_table(
        "pose_measure",
        sa.Column("id_pose", sa.BigInteger(), nullable=False),
        sa.Column(
            "production_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("night", sa.String(length=6), nullable=False),
        sa.Column("quality", sa.Integer(), nullable=True),
        sa.Column("measured", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["id_pose"], ["pose.id_pose"], name=op.f("fk_pose_measure_id_pose_pose")
        ),
        sa.ForeignKeyConstraint(
            ["production_id"],
            ["production.id"],
            name=op.f("fk_pose_measure_production_id_production"),
        ),
        sa.PrimaryKeyConstraint("id_pose", "production_id", name=op.f("pk_pose_measure")),
    )
    op.create_index(op.f("ix_pose_measure_night"), "pose_measure", ["night"], unique=False)
    op.create_table(
        "process",
        sa.Column("id_process", sa.String(length=25), nullable=False),
        sa.Column("fclass", sa.Integer(), nullable=False),
        sa.Column("xfclass", sa.Integer(), nullable=False),
        sa.Column("channel", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("idx", sa.Integer(), nullable=False),
        sa.Column("night", sa.String(length=6), nullable=False),
        sa.Column("id_run", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column(
            "id_exposure", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True
        ),
        sa.Column("id_pose", sa.BigInteger(), nullable=True),
        sa.Column("target_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("job_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("quality", sa.Integer(), nullable=False),
        sa.Column("quality_s", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.ForeignKeyConstraint(
            ["id_exposure"], ["exposure.id_exposure"], name=op.f("fk_process_id_exposure_exposure")
        ),
        sa.ForeignKeyConstraint(
            ["id_pose"], ["pose.id_pose"], name=op.f("fk_process_id_pose_pose")
        ),
        sa.ForeignKeyConstraint(["id_run"], ["run.id_run"], name=op.f("fk_process_id_run_run")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_process_job_id_job")),
        sa.ForeignKeyConstraint(
            ["target_id"], ["target.id"], name=op.f("fk_process_target_id_target")
        ),
        sa.PrimaryKeyConstraint("id_process", name=op.f("pk_process")),
    )
    op.create_index(
        "ix_process_class", "process", ["fclass", "xfclass", "version", "night"], unique=False
    )
    op.create_index(op.f("ix_process_id_exposure"), "process", ["id_exposure"], unique=False)
    op.create_index(op.f("ix_process_id_pose"), "process", ["id_pose"], unique=False)
    op.create_index("ix_process_job", "process", ["job_id", "state", "id_process"], unique=False)
    op.create_index(
        "ix_process_night_class", "process", ["night", "fclass", "xfclass"], unique=False
    )
    op.create_index(op.f("ix_process_target_id"), "process", ["target_id"], unique=False)
    op.create_table(
        "file",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("area", sa.String(length=8), nullable=False),
        sa.Column(
            "path",
            sa.String(length=200).with_variant(sa.String(200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("checksum", sa.String(length=64), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=True),
        sa.Column("id_process", sa.String(length=25), nullable=False),
        sa.Column("role", sa.String(length=40), nullable=False),
        sa.Column("night", sa.String(length=6), nullable=False),
        sa.ForeignKeyConstraint(
            ["id_process"], ["process.id_process"], name=op.f("fk_file_id_process_process")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file")),
        sa.UniqueConstraint("area", "path", name=op.f("uq_file_area_path")),
    )
    op.create_index(op.f("ix_file_id_process"), "file", ["id_process"], unique=False)
    op.create_index(op.f("ix_file_name"), "file", ["name"], unique=False)
    op.create_index(op.f("ix_file_night"), "file", ["night"], unique=False)
    op.create_table(
        "header",
        sa.Column("id_process", sa.String(length=25), nullable=False),
        sa.Column("cards", sa.JSON(), nullable=False),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["id_process"], ["process.id_process"], name=op.f("fk_header_id_process_process")
        ),
        sa.PrimaryKeyConstraint("id_process", name=op.f("pk_header")),
    )
    op.create_table(
        "process_parent",
        sa.Column("child", sa.String(length=25), nullable=False),
        sa.Column("parent", sa.String(length=25), nullable=False),
        sa.ForeignKeyConstraint(
            ["child"], ["process.id_process"], name=op.f("fk_process_parent_child_process")
        ),
        sa.ForeignKeyConstraint(
            ["parent"], ["process.id_process"], name=op.f("fk_process_parent_parent_process")
        ),
        sa.PrimaryKeyConstraint("child", "parent", name=op.f("pk_process_parent")),
    )
    op.create_index(op.f("ix_process_parent_parent"), "process_parent", ["parent"], unique=False)
    op.create_table(
        "deleted_parent",
        sa.Column("child", sa.String(length=25), nullable=False),
        sa.Column("parent", sa.String(length=25), nullable=False),
        sa.Column("base", sa.String(length=25), nullable=False),
        sa.Column("checksum", sa.String(length=64), nullable=False),
        sa.Column("job", sa.String(length=120), nullable=False),
        sa.Column("moment", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["child"], ["process.id_process"], name=op.f("fk_deleted_parent_child_process")
        ),
        sa.PrimaryKeyConstraint("child", "parent", name=op.f("pk_deleted_parent")),
    )
    op.create_index(op.f("ix_deleted_parent_base"), "deleted_parent", ["base"], unique=False)
    op.create_table(
        "deleted_job",
        sa.Column("deletion", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("by", sa.String(length=80), nullable=False),
        sa.Column("moment", sa.DateTime(), nullable=False),
        sa.Column("processes", sa.Integer(), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("deletion", "name", name=op.f("pk_deleted_job")),
    )
    op.create_index(op.f("ix_deleted_job_name"), "deleted_job", ["name"], unique=False)
    op.create_index(op.f("ix_deleted_job_state"), "deleted_job", ["state"], unique=False)
    op.create_table(
        "lease",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("holder", sa.String(length=160), nullable=False),
        sa.Column("until", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
    )
    op.create_table(
        "queue_look",
        sa.Column("engine", sa.String(length=80), nullable=False),
        sa.Column("taken", sa.DateTime(), nullable=False),
        sa.Column("states", sa.JSON(), nullable=False),
        sa.Column("usage", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("engine", name=op.f("pk_queue_look")),
    )
    tables = ("run", "exposure", "pose", "pose_measure", "process", "file", "target")
    for statement in stamps.statements(op.get_bind().dialect.name, tables):
        op.execute(statement)
