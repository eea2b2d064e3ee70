"""``snf db``: create the database, bring its schema up to date, say where it stands."""

from __future__ import annotations

from pathlib import Path

import click

from snfpipe.cli.render import print_json
from snfpipe.config.project import Project, load_project


@click.group()
def db() -> None:
    """Create the configured database, or bring its schema up to date.

    \b
    Example:
      snf db current
    """


@db.command()
@click.option("-n", "--dry-run", is_flag=True, help="Only say whether there are tables.")
def init(dry_run: bool) -> None:
    """Create the tables where there are none.

    \b
    Example:
      snf db init
    """
    project = load_project()
    if dry_run:
        found = _revision(project.site.database_url, project.root)
        click.echo(
            f"{_shown(project)}: {'there are tables' if found else 'would create the tables'}"
        )
        return
    from snfpipe.db.session import open_database

    database = open_database(project.site.database_url, project.root, create=True)
    click.echo(f"{database.shown}: ready")


@db.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/schemas/db_current.json).")
def current(as_json: bool) -> int:
    """Print the schema the database stands at and the one this code needs; 1 if they differ.

    \b
    Example:
      snf db current
    """
    from snfpipe.db.quick import REVISION

    project = load_project()
    found = _revision(project.site.database_url, project.root)
    if as_json:
        print_json({"database": _shown(project), "schema": found, "needed": REVISION})
    else:
        click.echo(f"{_shown(project)}: schema {found or 'none'}, this code needs {REVISION}")
    return int(found != REVISION)


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


def _revision(url: str, root: Path) -> str | None:
    """Return the schema a database stands at; None where there is none."""
    from snfpipe.db import quick

    if url.startswith("sqlite") and not Path(quick.shown_place(url, root)).exists():
        return None
    try:
        with quick.quick_look(url, root) as ask:
            return quick.revision(ask)
    except Exception:
        # whatever the driver says, the proper way in says it better
        from snfpipe.db.session import connect, current_revision

        return current_revision(connect(url, root))


def _shown(project: Project) -> str:
    """Return which database it is, without user or password."""
    from snfpipe.db.quick import shown_place

    return shown_place(project.site.database_url, project.root)
