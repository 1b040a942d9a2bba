"""Schema versions of the ledger, in Alembic's form."""
