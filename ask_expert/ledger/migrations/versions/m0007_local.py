"""A question says what the local model did for it, before anybody was paid."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_words = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_COLUMNS: tuple[tuple[str, sa.types.TypeEngine[Any]], ...] = (
    ("assess_tokens", sa.BigInteger()),
    ("assess_us", sa.BigInteger()),
    ("local_name", _words),
    ("local_model", _words),
    ("local_kind", _words),
    ("local_strategy", _words),
    ("local_passed", sa.Boolean()),
    ("local_score", sa.Float()),
    ("local_tokens", sa.BigInteger()),
    ("local_us", sa.BigInteger()),
    ("local_reason", _words),
    ("local_answer", _words),
)


def upgrade() -> None:
    """Add what is new; of rows that are there nothing is known of it."""
    for name, kind in _COLUMNS:
        op.add_column("questions", sa.Column(name, kind, nullable=True))
