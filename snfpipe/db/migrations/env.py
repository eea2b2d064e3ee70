"""How Alembic reaches the database: through the connection it is handed."""

from alembic import context

from snfpipe.db.models import Base


def run() -> None:
    """Run the migrations inside the transaction of the connection given."""
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        transactional_ddl=True,
    )
    context.run_migrations()


run()
