"""In PostgreSQL, texts compare byte by byte, as they do in SQLite."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Give every text column the collation "C"; SQLite's order is that already."""
    bind = op.get_bind()
    if bind.dialect.name != "postgresql":
        return
    inspector = sa.inspect(bind)
    for table in inspector.get_table_names():
        if table == "alembic_version":
            continue
        for column in inspector.get_columns(table):
            if isinstance(column["type"], sa.Text):
                op.alter_column(
                    table,
                    column["name"],
                    type_=sa.Text(collation="C"),
                    existing_nullable=column["nullable"],
                )
