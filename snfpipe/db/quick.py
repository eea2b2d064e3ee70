"""Quick looks at the database: queries by the bare driver, for what runs at every start.

Loading SQLAlchemy would take longer than everything else that is done where nothing is to do.
The statements given are constants of this code; rows are only read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: The migration that the models agree with; a test holds it against the newest one.
REVISION = "0006"

Ask = Callable[[str], list[tuple[Any, ...]]]


@contextmanager
def quick_look(url: str, root: Path) -> Iterator[Ask]:
    """Give a function that answers a query, within one reading transaction.

    Parameters
    ----------
    url : str
        The database; a relative SQLite path starts from `root`.
    root : Path
        The project's folder.

    Raises
    ------
    Exception
        Whatever the driver says of a database that does not answer or is none of ours:
        :func:`snfpipe.db.session.open_database` puts that into words.
    """
    connection: Any
    if url.startswith("sqlite"):
        import sqlite3

        path = Path(_sqlite_path(url, root))
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=60)
    else:
        import psycopg2

        connection = psycopg2.connect(re.sub(r"^postgresql\+\w+", "postgresql", url))
        connection.set_session(readonly=True)
    try:
        cursor = connection.cursor()
        if url.startswith("sqlite"):
            cursor.execute("BEGIN")

        def ask(query: str) -> list[tuple[Any, ...]]:
            cursor.execute(query)
            return list(cursor.fetchall())

        yield ask
    finally:
        connection.close()


def revision(ask: Ask) -> str:
    """Return the migration the database stands at."""
    ((found,),) = ask("SELECT version_num FROM alembic_version")
    return str(found)


def shown_place(url: str, root: Path) -> str:
    """Return which database a URL names, without user or password."""
    if url.startswith("sqlite"):
        return _sqlite_path(url, root)
    return re.sub(r"([?&]password=)[^&]*", r"\1***", re.sub(r"//[^/]*@", "//", url))


def _sqlite_path(url: str, root: Path) -> str:
    """Return the file of a SQLite URL."""
    return os.path.join(root, url.partition("///")[2].partition("?")[0])
