"""What Alembic runs for a migration: on a connection that the caller has already opened."""

from alembic import context

from laya_uptime.adapters.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter a column in place
    transactional_ddl=True,  # it can create and drop one in a transaction, which Alembic does not expect of it
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
