"""Windows know whose they are in one way, and count tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_words = sa.Text()
_big = sa.BigInteger()
_tries = sa.table(
    "tries",
    *(sa.column(name, _words) for name in ("escalation_id", "state", "usage_source")),
    *(
        sa.column(name, _big)
        for name in (
            "sent_us",
            "input_bound_tokens",
            "output_ceiling_tokens",
            "input_tokens",
            "cache_read_tokens",
            "cache_write_tokens",
            "cache_write_long_tokens",
            "output_tokens",
        )
    ),
)
_escalations = sa.table(
    "escalations",
    *(sa.column(name, _words) for name in ("id", "question_id", "expert")),
)
_questions = sa.table(
    "questions",
    *(sa.column(name, _words) for name in ("id", "user", "project", "session", "task")),
)
_windows = sa.table(
    "windows",
    *(sa.column(name, _words) for name in ("scope", "key", "expert")),
    *(
        sa.column(name, _big)
        for name in ("id", "start_us", "end_us", "tokens", "reserved_tokens")
    ),
)


def upgrade() -> None:
    """Add the columns, fill them from the tries, and write the keys anew."""
    for name in ("tokens", "reserved_tokens"):
        # Neither database can add the check by a statement of its own.
        op.execute(
            f"ALTER TABLE windows ADD COLUMN {name} BIGINT NOT NULL DEFAULT 0 "
            f"CHECK ({name} >= 0)"
        )
    op.add_column("windows", sa.Column("warned_us", sa.BigInteger(), nullable=True))
    op.drop_index("windows_by_end", "windows")
    op.create_index("windows_by_key", "windows", ["key", "expert", "end_us"])
    bind = op.get_bind()
    for row in bind.execute(sa.select(_windows)).all():
        pairs = _pairs(row.scope, row.key)
        counted, reserved = bind.execute(_sums(row, pairs)).one()
        bind.execute(
            sa.update(_windows)
            .where(_windows.c.id == row.id)
            .values(
                key="\x1f".join(f"{name}={_escaped(pairs[name])}" for name in pairs),
                tokens=int(counted),
                reserved_tokens=int(reserved),
            )
        )


def _pairs(scope: str, key: str) -> dict[str, str]:
    """Return what a key of the earlier form says, names in order."""
    if scope == "session":
        return {"session": key}
    if scope == "task":
        user, project, task = key.split("\x1f", 2)
        return {"project": project, "task": task, "user": user}
    return {}


def _escaped(value: str) -> str:
    return value.replace("%", "%25").replace("\x1f", "%1F")


def _sums(
    row: sa.Row[tuple[object, ...]], pairs: dict[str, str]
) -> sa.Select[int, int]:
    """Select the tokens of a window's tries: those counted, and those set aside."""
    known = sa.func.coalesce
    bound = _tries.c.input_bound_tokens + _tries.c.output_ceiling_tokens
    told = (
        known(_tries.c.input_tokens, 0)
        + known(_tries.c.cache_read_tokens, 0)
        + known(_tries.c.cache_write_tokens, 0)
        + known(_tries.c.cache_write_long_tokens, 0)
        + known(_tries.c.output_tokens, 0)
    )
    is_told = sa.or_(_tries.c.usage_source == "provider", told > bound)
    settled = _tries.c.state == "settled"
    held = _tries.c.state.in_(("sent", "unresolved"))
    counted = sa.case((sa.and_(settled, is_told), told), (settled, bound), else_=0)
    query = (
        sa.select(
            known(sa.func.sum(counted), 0),
            known(sa.func.sum(sa.case((held, bound), else_=0)), 0),
        )
        .select_from(_tries)
        .join(_escalations, _escalations.c.id == _tries.c.escalation_id)
        .join(_questions, _questions.c.id == _escalations.c.question_id)
        .where(_tries.c.sent_us >= row.start_us, _tries.c.sent_us < row.end_us)
    )
    if row.expert:
        query = query.where(_escalations.c.expert == row.expert)
    return query.where(*(_questions.c[name] == pairs[name] for name in pairs))
