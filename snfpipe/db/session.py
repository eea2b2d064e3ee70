"""Opening a database and talking to it: SQLite by default, PostgreSQL by a URL.

Writers are few and short.  On SQLite every writing transaction begins immediate, so that it
waits for its turn instead of failing half-way; on PostgreSQL a transaction that lost a race
(deadlock, serialization) or its connection is tried again.  What is passed to
:meth:`Database.transact` must therefore be safe to call twice.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.orm import Session

from snfpipe import clock
from snfpipe.db import stamps
from snfpipe.db.models import Base
from snfpipe.db.quick import REVISION
from snfpipe.errors import DatabaseMismatch, ServiceUnavailable, SnfError, UsageError, told

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

T = TypeVar("T")

_BUSY_S = 60.0
_RETRY_CODES = frozenset({"40001", "40P01"})  # serialization failure, deadlock (PostgreSQL)
_GONE_CODES = frozenset({"57P01", "57P02", "57P03"})  # server shuts down or starts up


class Database:
    """One open database.

    Parameters
    ----------
    url : sqlalchemy.engine.URL
        Where it is; its password is used and never shown.
    pool_size : int
        Connections at most.
    """

    def __init__(self, url: URL, pool_size: int = 5) -> None:
        self.url = url
        self.engine: Engine = _make_engine(url, pool_size)
        self._patience_s = _BUSY_S

    @property
    def shown(self) -> str:
        """The URL as it may be printed."""
        return self.url.difference_update_query(["password"]).render_as_string(hide_password=True)

    @property
    def dialect(self) -> str:
        """Either ``sqlite`` or ``postgresql``."""
        return self.engine.dialect.name

    def read(self) -> AbstractContextManager[Session]:
        """Give a session that sees one state of the database and changes nothing."""
        return self._session(writing=False)

    def write(self) -> AbstractContextManager[Session]:
        """Give a session whose changes are committed at the end, or none of them."""
        return self._session(writing=True)

    def with_patience(self, seconds: float) -> Database:
        """Return the same database for one who has better to do than to wait longer for it."""
        other = copy.copy(self)
        other._patience_s = seconds
        return other

    def transact(self, work: Callable[[Session], T]) -> T:
        """Run `work` in a writing transaction, again where it lost a race or its connection.

        Raises
        ------
        ServiceUnavailable
            When the database could not be reached or written for a minute; see also
            :meth:`with_patience`.
        """
        deadline = clock.monotonic() + self._patience_s
        pause_s = 0.05
        while True:
            try:
                with self.write() as session:
                    return work(session)
            except ServiceUnavailable:
                if clock.monotonic() > deadline:
                    raise
            clock.sleep(pause_s * (0.5 + random.random()))  # noqa: S311 - jitter, no secret
            pause_s = min(2.0, pause_s * 2)

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    @contextmanager
    def _session(self, *, writing: bool) -> Iterator[Session]:
        """Open a session, telling a database out of reach from a failing statement."""
        options: dict[str, Any] = {"snf_writing": writing}
        if not writing and self.dialect == "postgresql":
            options["isolation_level"] = "REPEATABLE READ"  # one state, however many queries
        try:
            connection = self.engine.connect().execution_options(**options)
        except sa.exc.DBAPIError as error:
            raise self._unavailable(error) from error
        try:
            with connection, Session(connection, expire_on_commit=False) as session:
                yield session
                if writing:
                    session.commit()
        except sa.exc.DBAPIError as error:
            if _passing(error):
                raise self._unavailable(error) from error
            raise

    def _unavailable(self, error: Exception) -> ServiceUnavailable:
        """Say that the database is out of reach, without its password."""
        return ServiceUnavailable(
            f"database {self.shown} cannot be reached: {told(error)}",
            hint="check that it runs and that the site's `database` (or SNF_DATABASE_URL) names it",
        )


def open_database(url: str, root: Path | None = None, *, create: bool = False) -> Database:
    """Open the database at `url` and hold its schema against the models.

    Parameters
    ----------
    url : str
        ``sqlite:///relative/or//absolute/path`` or ``postgresql://...``.
    root : Path, optional
        What a relative SQLite path starts from.
    create : bool
        Make the tables where there are none at all.

    Raises
    ------
    UsageError
        The URL is none, or names another kind of database.
    DatabaseMismatch
        The schema is missing, older or newer than this code.
    ServiceUnavailable
        Nobody answers at `url`.
    """
    database = connect(url, root, create=create)
    try:
        found = current_revision(database)
        if found is None and create:
            database.transact(_create)
            found = current_revision(database)
        if found != REVISION:
            raise _mismatch(database, found)
    except BaseException:
        database.close()
        raise
    return database


def connect(url: str, root: Path | None = None, *, create: bool = False) -> Database:
    """Return the database at `url` whatever its schema; see :func:`open_database`."""
    return Database(_checked_url(url, root, create=create))


def current_revision(database: Database) -> str | None:
    """Return the migration the database stands at, or None where it has no tables."""
    with database.read() as session:
        connection = session.connection()
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        row = connection.execute(sa.text("SELECT version_num FROM alembic_version")).first()
    return None if row is None else str(row[0])


def create_tables(connection: Connection) -> None:
    """Create every table and trigger, at the revision of the models."""
    Base.metadata.create_all(connection)
    for statement in stamps.statements(connection.dialect.name):
        connection.exec_driver_sql(statement)


def _create(session: Session) -> None:
    """Create the schema unless somebody else has just done so."""
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7365700)")
    if sa.inspect(connection).has_table("alembic_version"):
        return
    create_tables(connection)
    connection.execute(
        sa.text("INSERT INTO alembic_version (version_num) VALUES (:revision)"),
        {"revision": REVISION},
    )


def _mismatch(database: Database, found: str | None) -> SnfError:
    """Say how the schema differs and which command fixes it."""
    if found is None:
        return DatabaseMismatch(
            f"database {database.shown} holds no snfpipe tables",
            hint="create them with `snf db init`, or ingest a night with `snf ingest`",
        )
    return DatabaseMismatch(
        f"database {database.shown} stands at schema {found}, this code needs {REVISION}",
        hint="bring it up to date with `snf db upgrade` (make a backup first)",
    )


def _checked_url(url: str, root: Path | None, *, create: bool) -> URL:
    """Parse `url`, make a SQLite path absolute, and refuse what is no database of ours."""
    hint = "use sqlite:///work/snfpipe.db or postgresql://user@host/name"
    try:
        parsed = make_url(url)
    except sa.exc.ArgumentError as error:
        raise UsageError("the database URL cannot be read", hint=hint) from error
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg2")
    if backend != "sqlite" or not parsed.database:
        raise UsageError(f"a database of kind {backend!r} is not supported", hint=hint)
    path = (root or Path()) / parsed.database
    if create:
        path.parent.mkdir(parents=True, exist_ok=True)
    elif not path.exists():
        raise DatabaseMismatch(
            f"there is no database at {path}",
            hint="create it with `snf db init`, or ingest a night with `snf ingest`",
        )
    return parsed.set(drivername="sqlite", database=str(path.absolute()))


def _make_engine(url: URL, pool_size: int) -> Engine:
    """Build the engine; hand transactions to SQLAlchemy where pysqlite would begin its own."""
    if url.get_backend_name() == "postgresql":
        return sa.create_engine(
            url, pool_size=pool_size, max_overflow=0, pool_pre_ping=True, hide_parameters=True
        )
    engine = sa.create_engine(
        url, connect_args={"timeout": _BUSY_S, "check_same_thread": False}, hide_parameters=True
    )

    @sa.event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode = WAL", "foreign_keys = ON", "synchronous = FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get("snf_writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def _passing(error: sa.exc.DBAPIError) -> bool:
    """Tell a problem that may pass (locked, deadlock, connection lost) from a lasting one."""
    if error.connection_invalidated:
        return True
    code = getattr(error.orig, "pgcode", None)
    if code is not None:
        return code in _RETRY_CODES or code in _GONE_CODES
    text = str(error.orig)
    return "locked" in text or "busy" in text or "server closed the connection" in text
