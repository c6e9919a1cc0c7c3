"""Runs revisions on the connection that `bump migrate` hands over (see commands/migrate.py)."""

from alembic import context

from service.db.models import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=True)
with context.begin_transaction():
    # A migration that waits for a lock makes every later query of that table wait behind it: give
    # up early instead, and let the operator run it again.
    connection.exec_driver_sql("set lock_timeout = '1s'")
    context.run_migrations()
