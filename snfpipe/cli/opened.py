"""The configured production and its database, for as long as a command needs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from snfpipe.config.project import Project, load_project

if TYPE_CHECKING:
    from snfpipe.db.session import Database


@contextmanager
def opened() -> Iterator[tuple[Project, Database]]:
    """Give the configured production and its database."""
    from snfpipe.db.session import open_database

    project = load_project()
    database = open_database(project.site.database_url, project.root)
    try:
        yield project, database
    finally:
        database.close()
