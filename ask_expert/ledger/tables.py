"""
The ledger's tables.

Money is whole nano-dollars, time is whole microseconds since 1970 UTC. Texts are
masked before they come here. Money moves in `movements`, append-only: a second
settlement or release of one try is impossible by a unique index. `windows` holds
running sums, so that a decision costs the same at ten rows and at ten million;
`holds` says which windows a try was counted in.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

HEAD = "0002"
"""The schema version that this code reads and writes."""

metadata = MetaData()

questions = Table(
    "questions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("created_us", BigInteger, nullable=False),
    Column("user", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("thread", Text),
    Column("key", Text),
    Column("error_signature", Text),
    Column("texts", JSON),
    Column("stated_confidence", Float),
    Column("confidence", Float),
    Column("facts", JSON, nullable=False),
    Column("masked", Integer, nullable=False),
    Column("policy", Text, nullable=False),
    Column("policy_hash", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("cached_from", Text),
)
Index("questions_by_key", questions.c.key, questions.c.created_us)
Index("questions_by_session", questions.c.session, questions.c.created_us)
Index("questions_by_task", questions.c.task, questions.c.created_us)
Index("questions_by_thread", questions.c.thread, questions.c.created_us)
Index("questions_by_time", questions.c.created_us)

escalations = Table(
    "escalations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("question_id", Text, ForeignKey("questions.id"), nullable=False),
    Column("expert", Text, nullable=False),
    Column("position", Integer, nullable=False),
    Column("template", Text, nullable=False),
    Column("finish", Text),
    Column("answer", Text),
    UniqueConstraint("question_id", "position"),
)

tries = Table(
    "tries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("escalation_id", Text, ForeignKey("escalations.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("sent_us", BigInteger, nullable=False),
    Column("lease_us", BigInteger, nullable=False),
    Column("ended_us", BigInteger),
    Column("owner", Text, nullable=False),
    Column("reserved_nusd", BigInteger, nullable=False),
    Column("cost_nusd", BigInteger),
    Column("price_source", Text, nullable=False),
    Column("price_detail", JSON),
    Column("input_bound_tokens", BigInteger, nullable=False),
    Column("output_ceiling_tokens", BigInteger, nullable=False),
    Column("input_tokens", BigInteger),
    Column("cache_read_tokens", BigInteger),
    Column("cache_write_tokens", BigInteger),
    Column("cache_write_long_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("usage_source", Text),
    Column("reported_cost_nusd", BigInteger),
    Column("asked_model", Text, nullable=False),
    Column("served_model", Text),
    Column("fingerprint", Text),
    Column("service_tier", Text),
    Column("provider", Text),
    Column("request_id", Text),
    Column("region", Text),
    Column("finish_reason", Text),
    Column("rate_limits", JSON),
    Column("http_status", Integer),
    Column("error", Text),
    UniqueConstraint("escalation_id", "number"),
    CheckConstraint("state IN ('sent', 'settled', 'released', 'unresolved')"),
    CheckConstraint("reserved_nusd >= 0"),
    CheckConstraint("cost_nusd >= 0"),
)
Index("tries_by_time", tries.c.sent_us)
_open = text("state IN ('sent', 'unresolved')")
Index("tries_open", tries.c.state, sqlite_where=_open, postgresql_where=_open)

movements = Table(
    "movements",
    metadata,
    Column(
        "id",
        BigInteger().with_variant(Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    Column("try_id", Text, ForeignKey("tries.id"), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("nusd", BigInteger, nullable=False),
    CheckConstraint("kind IN ('reserve', 'settle', 'release')"),
)
Index("movements_by_try", movements.c.try_id)
_reserve = text("kind = 'reserve'")
_end = text("kind IN ('settle', 'release')")
Index(
    "movements_one_reserve",
    movements.c.try_id,
    unique=True,
    sqlite_where=_reserve,
    postgresql_where=_reserve,
)
Index(
    "movements_one_end",
    movements.c.try_id,
    unique=True,
    sqlite_where=_end,
    postgresql_where=_end,
)

windows = Table(
    "windows",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("scope", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("expert", Text, nullable=False),
    Column("start_us", BigInteger, nullable=False),
    Column("end_us", BigInteger, nullable=False),
    Column("spent_nusd", BigInteger, nullable=False),
    Column("reserved_nusd", BigInteger, nullable=False),
    Column("calls", BigInteger, nullable=False),
    UniqueConstraint("scope", "key", "expert", "start_us", "end_us"),
    Index("windows_by_end", "scope", "key", "expert", "end_us"),
    CheckConstraint("spent_nusd >= 0 AND reserved_nusd >= 0 AND calls >= 0"),
)

holds = Table(
    "holds",
    metadata,
    Column("try_id", Text, ForeignKey("tries.id"), primary_key=True),
    Column("window_id", Integer, ForeignKey("windows.id"), primary_key=True),
)

outcomes = Table(
    "outcomes",
    metadata,
    Column(
        "id",
        BigInteger().with_variant(Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    Column("question_id", Text, ForeignKey("questions.id"), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("source", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("solved", Boolean),
    Column("evidence", Text),
    Column("late", Boolean, nullable=False),
    CheckConstraint("verdict IN ('helped', 'no_difference', 'harmed', 'unknown')"),
)
Index("outcomes_by_question", outcomes.c.question_id)

threads = Table(
    "threads",
    metadata,
    Column("id", Text, primary_key=True),
    Column("created_us", BigInteger, nullable=False),
    Column("user", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("expert", Text, nullable=False),
    Column("closed_us", BigInteger),
)

marks = Table(
    "marks",
    metadata,
    Column("thread", Text, ForeignKey("threads.id"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("number", Integer, nullable=False),
)

approvals = Table(
    "approvals",
    metadata,
    Column(
        "id",
        BigInteger().with_variant(Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    Column("question_id", Text, ForeignKey("questions.id"), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
)
Index("approvals_by_question", approvals.c.question_id)
