"""Teams have tokens, changes are on record, and a try says how it was reconciled."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_words = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_json = sa.JSON(none_as_null=True)
_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add what is new; rows that are there keep their meaning."""
    op.add_column("tries", sa.Column("reconciled", _words, nullable=True))
    op.create_table(
        "access_tokens",
        sa.Column("id", _words, primary_key=True),
        sa.Column("name", _words, nullable=False),
        sa.Column("digest", _words, nullable=False, unique=True),
        sa.Column("user", _words, nullable=False),
        sa.Column("project", _words, nullable=False),
        sa.Column("role", _words, nullable=False),
        sa.Column("policy", _words, nullable=True),
        sa.Column("budgets", _json, nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("by", _words, nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=True),
        sa.Column("revoked_us", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("role IN ('owner', 'lead', 'member')"),
    )
    in_use = sa.text("revoked_us IS NULL")
    op.create_index(
        "access_tokens_one_name",
        "access_tokens",
        ["name"],
        unique=True,
        sqlite_where=in_use,
        postgresql_where=in_use,
    )
    op.create_table(
        "changes",
        sa.Column("id", _number, primary_key=True, autoincrement=True),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("by", _words, nullable=False),
        sa.Column("kind", _words, nullable=False),
        sa.Column("name", _words, nullable=False),
        sa.Column("old", _json, nullable=True),
        sa.Column("new", _json, nullable=True),
        sa.CheckConstraint("kind IN ('token', 'policy', 'cap')"),
    )
    op.create_index("changes_by_name", "changes", ["kind", "name", "id"])
