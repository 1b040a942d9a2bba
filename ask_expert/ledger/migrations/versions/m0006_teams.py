"""Teams have tokens, changes are on record, and a try says how it was reconciled."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_words = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_json = sa.JSON(none_as_null=True)
_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_APPENDED = ("changes", "movements")
_TAKEN = {
    "changes": "SELECT 1 FROM changes WHERE id = NEW.id",
    "movements": """SELECT 1 FROM movements WHERE id = NEW.id
        UNION ALL SELECT 1 FROM movements WHERE try_id = NEW.try_id
        AND (kind = 'reserve') = (NEW.kind = 'reserve')""",
}
_REFUSAL = "rows of {} are only ever appended"


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
    _refuse_rewriting()


def _refuse_rewriting() -> None:
    """Let the database itself refuse to change or to remove what is on record."""
    if op.get_bind().dialect.name == "postgresql":
        refusal = _REFUSAL.format("%")
        op.execute(
            "CREATE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{refusal}', TG_TABLE_NAME; END $$"
        )
        for table in _APPENDED:
            op.execute(
                f"CREATE TRIGGER {table}_stay BEFORE UPDATE OR DELETE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION refuse_rewriting()"
            )
            op.execute(
                f"CREATE TRIGGER {table}_stay_all BEFORE TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting()"
            )
        return
    for table in _APPENDED:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_stay_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL.format(table)}'); END"
            )
        # SQLite's INSERT OR REPLACE removes the old row and fires no trigger for it.
        op.execute(
            f"CREATE TRIGGER {table}_stay_insert BEFORE INSERT ON {table} "
            f"WHEN EXISTS ({_TAKEN[table]}) "
            f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL.format(table)}'); END"
        )
