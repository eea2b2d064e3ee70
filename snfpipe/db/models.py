"""The tables: what was observed, what was made from it, and what jobs did.

Target 1-n Run 1-n Exposure 1-n Pose 1-n Process; Process n-1 Job; Process n-n parents; Process
1-n File (one of them its main file).  Tables that belong to a night carry the night's name,
so that one index and one change stamp a night serve plans, audits and freshness.  Times are
naive UTC.  Declarations only: queries are where they are used, shared ones in
:mod:`snfpipe.db.store`, change stamps in :mod:`snfpipe.db.stamps`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

# SQLite numbers rows by itself only in a column declared INTEGER.
_RowId = BigInteger().with_variant(Integer, "sqlite")
_Night = String(6)
_IdProcess = String(25)
_Sha256 = String(64)
# Ordered by its bytes, as files on disk are walked: SQLite does so by itself.
_Path = String(200).with_variant(String(200, collation="C"), "postgresql")


class Base(DeclarativeBase):
    """Every table of snfpipe."""

    metadata = MetaData(naming_convention=_NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        dict[str, Any]: JSON,
        list[str]: JSON,
        list[dict[str, Any]]: JSON,
        datetime: DateTime,
    }


class SchemaVersion(Base):
    """The migration the database stands at (the table Alembic keeps)."""

    __tablename__ = "alembic_version"
    version_num: Mapped[str] = mapped_column(String(32), primary_key=True)


# --- what was observed ---------------------------------------------------------------------


class Target(Base):
    """Something the telescope was pointed at: a supernova, a standard star, a candidate."""

    __tablename__ = "target"
    id: Mapped[int] = mapped_column(_RowId, primary_key=True)
    id_target: Mapped[str] = mapped_column(String(9), unique=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)
    kind: Mapped[str] = mapped_column(String(20), default="")
    type: Mapped[str] = mapped_column(String(20), default="")
    pi: Mapped[str] = mapped_column(String(40), default="")
    ra: Mapped[float | None] = mapped_column(Float)
    dec: Mapped[float | None] = mapped_column(Float)
    iauc: Mapped[str] = mapped_column(String(40), default="")
    redshift: Mapped[float | None] = mapped_column(Float)
    redshift_err: Mapped[float | None] = mapped_column(Float)
    mwebv: Mapped[float | None] = mapped_column(Float)
    date_c: Mapped[str] = mapped_column(String(32), default="")
    date_m: Mapped[str] = mapped_column(String(32), default="")


class Run(Base):
    """One pointing at one target within a night."""

    __tablename__ = "run"
    id_run: Mapped[int] = mapped_column(_RowId, primary_key=True, autoincrement=False)
    night: Mapped[str] = mapped_column(_Night, index=True)
    run: Mapped[int]
    target_id: Mapped[int | None] = mapped_column(ForeignKey("target.id"), index=True)
    kind: Mapped[str] = mapped_column(String(20), default="")
    type: Mapped[str] = mapped_column(String(20), default="")
    jd: Mapped[float | None] = mapped_column(Float)


class Exposure(Base):
    """One opening of the shutter, seen by one or more channels."""

    __tablename__ = "exposure"
    id_exposure: Mapped[int] = mapped_column(_RowId, primary_key=True, autoincrement=False)
    id_run: Mapped[int] = mapped_column(ForeignKey("run.id_run"), index=True)
    night: Mapped[str] = mapped_column(_Night, index=True)
    exposure: Mapped[int]
    jd: Mapped[float | None] = mapped_column(Float)
    exptime_s: Mapped[float | None] = mapped_column(Float)
    filter: Mapped[str] = mapped_column(String(20), default="")
    guide: Mapped[int | None]
    guide_s: Mapped[float | None] = mapped_column(Float)
    guide_f: Mapped[float | None] = mapped_column(Float)
    guide_x: Mapped[float | None] = mapped_column(Float)
    interrupt: Mapped[int] = mapped_column(default=0)
    quality: Mapped[int] = mapped_column(default=1)


class Pose(Base):
    """One channel of an exposure."""

    __tablename__ = "pose"
    id_pose: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    id_exposure: Mapped[int] = mapped_column(ForeignKey("exposure.id_exposure"), index=True)
    night: Mapped[str] = mapped_column(_Night, index=True)
    channel: Mapped[int]
    efftime_s: Mapped[float | None] = mapped_column(Float)
    raster: Mapped[str] = mapped_column(String(40), default="")
    quality: Mapped[int] = mapped_column(default=1)
    qzelog: Mapped[int] = mapped_column(default=0)
    jd: Mapped[float | None] = mapped_column(Float)
    airmass: Mapped[float | None] = mapped_column(Float)
    parang: Mapped[float | None] = mapped_column(Float)
    pressure: Mapped[float | None] = mapped_column(Float)
    temperature: Mapped[float | None] = mapped_column(Float)


class Measurement(Base):
    """What one job measured on what a product of it is of: a pose, exposure, night or target.

    ``id_entity`` is the id of that exposure with the mask of its channels, as process ids begin
    with it: 92390600034 is a pose, 92390000006 B and R of a whole night.  Kept by job, apart from
    :class:`Pose`, so that two versions never overwrite each other's figures.
    """

    __tablename__ = "measurement"
    id_entity: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), primary_key=True, index=True)
    night: Mapped[str] = mapped_column(_Night, index=True)
    quality: Mapped[int | None]
    measured: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Header(Base):
    """The cards of a raw frame, as found, and what was odd or wrong about them."""

    __tablename__ = "header"
    id_process: Mapped[str] = mapped_column(
        _IdProcess, ForeignKey("process.id_process"), primary_key=True
    )
    cards: Mapped[dict[str, Any]]
    warnings: Mapped[list[str]]
    problems: Mapped[list[str]] = mapped_column(default=list, server_default="[]")


class FrameChange(Base):
    """A raw frame whose bytes are not those that were registered before."""

    __tablename__ = "frame_change"
    id: Mapped[int] = mapped_column(_RowId, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), index=True)
    old_checksum: Mapped[str] = mapped_column(_Sha256)
    new_checksum: Mapped[str] = mapped_column(_Sha256)
    noticed: Mapped[datetime]


class BadFrame(Base):
    """What lies in the raw folder and was not taken, and why; ``night`` is empty outside of all."""

    __tablename__ = "bad_frame"
    path: Mapped[str] = mapped_column(String(400), primary_key=True)
    night: Mapped[str] = mapped_column(_Night, index=True)
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    reason: Mapped[str] = mapped_column(Text)
    noticed: Mapped[datetime]


class RawTable(Base):
    """A table beside raw frames as it was last read: a night's log, or the list of targets.

    ``rows`` are its lines that could be used; what changes in them changes the rows made of them,
    but for values that were set by hand meanwhile.
    """

    __tablename__ = "raw_table"
    path: Mapped[str] = mapped_column(String(400), primary_key=True)
    night: Mapped[str] = mapped_column(_Night, index=True)
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    rows: Mapped[list[dict[str, Any]]]


class RawFinding(Base):
    """What the frames and the log of a night, or the list of targets, disagree on or lack."""

    __tablename__ = "raw_finding"
    id: Mapped[int] = mapped_column(_RowId, primary_key=True)
    night: Mapped[str] = mapped_column(_Night, index=True)
    kind: Mapped[str] = mapped_column(String(12))
    object: Mapped[str] = mapped_column(Text)
    what: Mapped[str] = mapped_column(Text)
    next_step: Mapped[str] = mapped_column(Text)


# --- what was made -------------------------------------------------------------------------


class Process(Base):
    """One product, or one raw frame: a class, a version and an index over an exposure."""

    __tablename__ = "process"
    __table_args__ = (
        Index("ix_process_class", "fclass", "xfclass", "version", "night"),
        Index("ix_process_night_class", "night", "fclass", "xfclass"),
        Index("ix_process_job", "job_id", "state", "id_process"),
    )
    id_process: Mapped[str] = mapped_column(_IdProcess, primary_key=True)
    fclass: Mapped[int]
    xfclass: Mapped[int]
    channel: Mapped[int]
    version: Mapped[int]
    idx: Mapped[int]
    night: Mapped[str] = mapped_column(_Night)
    id_run: Mapped[int | None] = mapped_column(ForeignKey("run.id_run"))
    id_exposure: Mapped[int | None] = mapped_column(ForeignKey("exposure.id_exposure"), index=True)
    id_pose: Mapped[int | None] = mapped_column(ForeignKey("pose.id_pose"), index=True)
    target_id: Mapped[int | None] = mapped_column(ForeignKey("target.id"), index=True)
    job_id: Mapped[int | None] = mapped_column(ForeignKey("job.id"))
    status: Mapped[int] = mapped_column(default=1)
    quality: Mapped[int] = mapped_column(default=1)
    quality_s: Mapped[str] = mapped_column(String(40), default="$")
    state: Mapped[str] = mapped_column(String(12), default="live")


class ProcessParent(Base):
    """Which processes a process was made from."""

    __tablename__ = "process_parent"
    child: Mapped[str] = mapped_column(
        _IdProcess, ForeignKey("process.id_process"), primary_key=True
    )
    parent: Mapped[str] = mapped_column(
        _IdProcess, ForeignKey("process.id_process"), primary_key=True, index=True
    )


class DeletedParent(Base):
    """A process that was deleted while one made from it was kept; undone by the same bytes.

    ``base`` is the parent's id without its index, ``checksum`` that of its main file.
    """

    __tablename__ = "deleted_parent"
    child: Mapped[str] = mapped_column(
        _IdProcess, ForeignKey("process.id_process"), primary_key=True
    )
    parent: Mapped[str] = mapped_column(_IdProcess, primary_key=True)
    base: Mapped[str] = mapped_column(_IdProcess, index=True)
    checksum: Mapped[str] = mapped_column(_Sha256)
    job: Mapped[str] = mapped_column(String(120))
    moment: Mapped[datetime]


class File(Base):
    """One file of a process; ``path`` is relative to its area (``raw`` or ``archive``)."""

    __tablename__ = "file"
    __table_args__ = (UniqueConstraint("area", "path"),)
    id: Mapped[int] = mapped_column(_RowId, primary_key=True)
    name: Mapped[str] = mapped_column(String(80), index=True)
    area: Mapped[str] = mapped_column(String(8))
    path: Mapped[str] = mapped_column(_Path)
    size: Mapped[int] = mapped_column(BigInteger)
    checksum: Mapped[str] = mapped_column(_Sha256)
    mtime_ns: Mapped[int | None] = mapped_column(BigInteger)
    id_process: Mapped[str] = mapped_column(
        _IdProcess, ForeignKey("process.id_process"), index=True
    )
    role: Mapped[str] = mapped_column(String(40), default="main")
    night: Mapped[str] = mapped_column(_Night, index=True)


class ProductIndex(Base):
    """The last index that a product was registered under; none is ever given again."""

    __tablename__ = "product_index"
    base: Mapped[str] = mapped_column(_IdProcess, primary_key=True)
    last: Mapped[int]


# --- what ran ------------------------------------------------------------------------------


class Production(Base):
    """One plan run by one version under one prefix: what a job name starts with."""

    __tablename__ = "production"
    id: Mapped[int] = mapped_column(_RowId, primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    meta_prefix: Mapped[str] = mapped_column(String(20))
    version: Mapped[str] = mapped_column(String(20))
    number: Mapped[int]
    outver: Mapped[int | None]
    prefix: Mapped[str] = mapped_column(String(40))
    plan: Mapped[str] = mapped_column(String(40))
    unit_kind: Mapped[str] = mapped_column(String(20))


class ProductionBase(Base):
    """Which productions a production reads from."""

    __tablename__ = "production_base"
    production_id: Mapped[int] = mapped_column(ForeignKey("production.id"), primary_key=True)
    based_on_id: Mapped[int] = mapped_column(ForeignKey("production.id"), primary_key=True)


class Job(Base):
    """One unit of one production, whatever was tried on it."""

    __tablename__ = "job"
    __table_args__ = (UniqueConstraint("production_id", "unit"),)
    id: Mapped[int] = mapped_column(_RowId, primary_key=True)
    production_id: Mapped[int] = mapped_column(ForeignKey("production.id"))
    unit: Mapped[str] = mapped_column(String(40))
    unit_kind: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(120), unique=True)
    folder: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(16), index=True)
    reason: Mapped[str] = mapped_column(Text, default="")
    token: Mapped[str | None] = mapped_column(String(32), index=True)
    attempts: Mapped[int] = mapped_column(default=0)
    inputs_digest: Mapped[str | None] = mapped_column(_Sha256)
    manifest: Mapped[str | None] = mapped_column(Text)
    manifest_sha: Mapped[str | None] = mapped_column(_Sha256)
    created: Mapped[datetime]
    updated: Mapped[datetime]


class Attempt(Base):
    """One submission of a job.

    `accounting` is what the engine's accounting says of its end; the tails are the ends of its
    output and its errors, of which the attempt's folder has the whole.
    """

    __tablename__ = "attempt"
    token: Mapped[str] = mapped_column(String(32), primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), index=True)
    number: Mapped[int]
    engine: Mapped[str] = mapped_column(String(20))
    engine_id: Mapped[str | None] = mapped_column(String(80), index=True)
    claimed_at: Mapped[datetime]
    submitted_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    host: Mapped[str] = mapped_column(String(80), default="")
    exit_status: Mapped[int | None]
    signal: Mapped[int | None]
    limit_hit: Mapped[str] = mapped_column(String(20), default="")
    cpu_s: Mapped[float | None] = mapped_column(Float)
    memory_mb: Mapped[float | None] = mapped_column(Float)
    outcome: Mapped[str] = mapped_column(String(16), default="")
    reason: Mapped[str] = mapped_column(Text, default="")
    accounting: Mapped[dict[str, Any] | None]
    out_tail: Mapped[str] = mapped_column(Text, default="")
    err_tail: Mapped[str] = mapped_column(Text, default="")
    environment: Mapped[dict[str, Any]] = mapped_column(default=dict)
    spec: Mapped[str] = mapped_column(Text, default="")


class Expected(Base):
    """What a job declared: a product it promises, or one it cannot make and the `reason`.

    `failure` says why a promised product was not left by the last attempt.
    """

    __tablename__ = "expected"
    __table_args__ = (
        Index("ix_expected_class", "fclass", "xfclass", "job_id"),
        # what was promised, counted without a look at the rows
        Index(
            "ix_expected_promised", "job_id", "fclass", "xfclass", "id_process",
            sqlite_where=text("reason IS NULL"), postgresql_where=text("reason IS NULL"),
        ),
    )  # fmt: skip
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), primary_key=True)
    id_process: Mapped[str] = mapped_column(_IdProcess, primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    fclass: Mapped[int]
    xfclass: Mapped[int]
    channel: Mapped[int]
    night: Mapped[str] = mapped_column(_Night, index=True)
    id_exposure: Mapped[int | None] = mapped_column(BigInteger)
    reason: Mapped[str | None] = mapped_column(Text)
    failure: Mapped[str | None] = mapped_column(Text)


class DeletedJob(Base):
    """A job that was deleted: its rows as they were, until it is restored or purged.

    ``state`` tells how far its files are: see :mod:`snfpipe.deletion.trash`.
    """

    __tablename__ = "deleted_job"
    deletion: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(120), primary_key=True, index=True)
    state: Mapped[str] = mapped_column(String(12), index=True)
    by: Mapped[str] = mapped_column(String(80))
    moment: Mapped[datetime]
    processes: Mapped[int]
    files: Mapped[int]
    bytes: Mapped[int] = mapped_column(BigInteger)
    content: Mapped[str] = mapped_column(Text)


# --- who does what for everybody -----------------------------------------------------------


class Lease(Base):
    """A task that one process at a time does for all, until the lease runs out."""

    __tablename__ = "lease"
    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    holder: Mapped[str] = mapped_column(String(160))
    until: Mapped[datetime]


class JobsRoot(Base):
    """The folder below which the jobs of an engine that are active have theirs."""

    __tablename__ = "jobs_root"
    engine: Mapped[str] = mapped_column(String(80), primary_key=True)
    path: Mapped[str] = mapped_column(Text)


class VersionDigest(Base):
    """What a released version ran for a plan when it was first used: it is held to that."""

    __tablename__ = "version_digest"
    label: Mapped[str] = mapped_column(String(20), primary_key=True)
    plan: Mapped[str] = mapped_column(String(40), primary_key=True)
    digest: Mapped[str] = mapped_column(_Sha256)
    content: Mapped[str] = mapped_column(Text)


class QueueSnapshot(Base):
    """The last look at an engine's queue, shared by whoever shows or judges jobs.

    ``states`` is engine id -> state, ``usage`` that of running jobs -> CPU time used, CPU time
    allowed, start [s]; ``notices`` are the engine's words on what keeps jobs from starting.
    """

    __tablename__ = "queue_snapshot"
    engine: Mapped[str] = mapped_column(String(80), primary_key=True)
    taken: Mapped[datetime]
    states: Mapped[dict[str, Any]]
    usage: Mapped[dict[str, Any]]
    notices: Mapped[list[str]] = mapped_column(server_default="[]")


# --- what moved ----------------------------------------------------------------------------


class ChangeStamp(Base):
    """How often anything that plans select by has changed in a night; kept by triggers."""

    __tablename__ = "change_stamp"
    night: Mapped[str] = mapped_column(_Night, primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger)
