"""A person can close a thread."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add when a thread was closed; those there are stay open."""
    op.add_column("threads", sa.Column("closed_us", sa.BigInteger(), nullable=True))
