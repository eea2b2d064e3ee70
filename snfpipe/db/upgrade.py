"""Bringing a database's schema up to date, by Alembic's migrations.

Alembic is imported here only: opening a database needs no more than its version table.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from snfpipe.db.session import Database, current_revision
from snfpipe.errors import DatabaseMismatch

_MIGRATIONS = Path(__file__).with_name("migrations")


def pending(database: Database) -> list[str]:
    """Return what an upgrade would apply, oldest first, each as ``revision: title``.

    Raises
    ------
    DatabaseMismatch
        The database stands at a revision this code does not know.
    """
    scripts = ScriptDirectory(str(_MIGRATIONS))
    found = current_revision(database)
    known = [script.revision for script in scripts.walk_revisions()]
    if found is not None and found not in known:
        raise DatabaseMismatch(
            f"database {database.shown} stands at schema {found}, which this code does not know",
            hint="it was written by a newer snfpipe: install that one",
        )
    steps = scripts.iterate_revisions("head", found or "base")
    return [f"{step.revision}: {step.doc}" for step in reversed(list(steps))]


def upgrade(database: Database) -> list[str]:
    """Apply what :func:`pending` lists, in one transaction, and return that list."""
    steps = pending(database)
    if steps:
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        with database.write() as session:
            config.attributes["connection"] = session.connection()
            command.upgrade(config, "head")
    return steps
