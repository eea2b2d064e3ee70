"""``snf db``: create the database, bring its schema up to date, say where it stands."""

from __future__ import annotations

import click

from snfpipe.config import load_project


@click.group()
def db() -> None:
    """Create the configured database, or bring its schema up to date.

    \b
    Example:
      snf db current
    """


@db.command()
def init() -> None:
    """Create the tables where there are none.

    \b
    Example:
      snf db init
    """
    from snfpipe.db.session import open_database

    project = load_project()
    database = open_database(project.site.database_url, project.root, create=True)
    click.echo(f"{database.shown}: ready")


@db.command()
def current() -> None:
    """Print the schema the database stands at and the one this code needs.

    \b
    Example:
      snf db current
    """
    from snfpipe.db.quick import REVISION
    from snfpipe.db.session import connect, current_revision

    project = load_project()
    database = connect(project.site.database_url, project.root)
    found = current_revision(database)
    click.echo(f"{database.shown}: schema {found or 'none'}, this code needs {REVISION}")


@db.command()
@click.option("-n", "--dry-run", is_flag=True, help="Only list the migrations.")
def upgrade(dry_run: bool) -> None:
    """Apply the migrations that are missing, in one transaction.

    \b
    Example:
      snf db upgrade --dry-run
    """
    from snfpipe.db import upgrade as migrations
    from snfpipe.db.session import connect

    project = load_project()
    database = connect(project.site.database_url, project.root)
    steps = migrations.pending(database) if dry_run else migrations.upgrade(database)
    word = "would apply" if dry_run else "applied"
    for step in steps:
        click.echo(f"{word} {step}")
    if not steps:
        click.echo(f"{database.shown}: nothing to upgrade")
