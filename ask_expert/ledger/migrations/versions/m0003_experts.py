"""Experts rest after failures, answers come in pieces, approvals have a reach."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add what is new; rows that are there keep their meaning."""
    op.add_column("questions", sa.Column("text_key", sa.Text(), nullable=True))
    op.add_column("questions", sa.Column("panel_answer", sa.Text(), nullable=True))
    op.add_column(
        "questions", sa.Column("worst_case_nusd", sa.BigInteger(), nullable=True)
    )
    op.create_index("questions_by_text", "questions", ["text_key", "created_us"])
    op.add_column("tries", sa.Column("first_token_us", sa.BigInteger(), nullable=True))
    op.add_column(
        "approvals",
        sa.Column("scope", sa.Text(), nullable=False, server_default="question"),
    )
    op.create_table(
        "breakers",
        sa.Column("expert", sa.Text(), primary_key=True),
        sa.Column("address", sa.Text(), primary_key=True),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("looker", sa.Text(), nullable=True),
    )
