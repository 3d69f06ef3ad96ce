"""What alembic calls: runs the migrations on the connection that `analytics_api.migrate` hands over."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    version_table="migrations",
    version_table_schema="app",
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
