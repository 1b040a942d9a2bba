"""Alembic's entry point: the caller hands in the connection, already in a transaction."""

from alembic import context

from ask_expert.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,
)
context.run_migrations()
