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
    UniqueConstraint,
    text,
)

from ask_expert.ledger.columns import Words

HEAD = "0007"
"""The schema version that this code reads and writes."""

metadata = MetaData()

questions = Table(
    "questions",
    metadata,
    Column("id", Words, primary_key=True),
    Column("created_us", BigInteger, nullable=False),
    Column("user", Words, nullable=False),
    Column("project", Words, nullable=False),
    Column("session", Words, nullable=False),
    Column("agent", Words, nullable=False),
    Column("task", Words, nullable=False),
    Column("thread", Words),
    Column("key", Words),
    Column("text_key", Words),
    Column("error_signature", Words),
    Column("texts", JSON(none_as_null=True)),
    Column("stated_confidence", Float),
    Column("confidence", Float),
    Column("facts", JSON(none_as_null=True), nullable=False),
    Column("masked", Integer, nullable=False),
    Column("policy", Words, nullable=False),
    Column("policy_hash", Words, nullable=False),
    Column("action", Words, nullable=False),
    Column("rule", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Column("status", Words, nullable=False),
    Column("cached_from", Words),
    Column("panel_answer", Words),
    Column("worst_case_nusd", BigInteger),
    Column("assess_tokens", BigInteger),
    Column("assess_us", BigInteger),
    Column("local_name", Words),
    Column("local_model", Words),
    Column("local_kind", Words),
    Column("local_strategy", Words),
    Column("local_passed", Boolean),
    Column("local_score", Float),
    Column("local_tokens", BigInteger),
    Column("local_us", BigInteger),
    Column("local_reason", Words),
    Column("local_answer", Words),
)
Index("questions_by_key", questions.c.key, questions.c.created_us)
Index("questions_by_text", questions.c.text_key, questions.c.created_us)
Index("questions_by_session", questions.c.session, questions.c.created_us)
Index("questions_by_task", questions.c.task, questions.c.created_us)
Index("questions_by_thread", questions.c.thread, questions.c.created_us)
Index("questions_by_time", questions.c.created_us)

escalations = Table(
    "escalations",
    metadata,
    Column("id", Words, primary_key=True),
    Column("question_id", Words, ForeignKey("questions.id"), nullable=False),
    Column("expert", Words, nullable=False),
    Column("position", Integer, nullable=False),
    Column("template", Words, nullable=False),
    Column("finish", Words),
    Column("answer", Words),
    UniqueConstraint("question_id", "position"),
)

tries = Table(
    "tries",
    metadata,
    Column("id", Words, primary_key=True),
    Column("escalation_id", Words, ForeignKey("escalations.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", Words, nullable=False),
    Column("sent_us", BigInteger, nullable=False),
    Column("lease_us", BigInteger, nullable=False),
    Column("first_token_us", BigInteger),
    Column("ended_us", BigInteger),
    Column("owner", Words, nullable=False),
    Column("reserved_nusd", BigInteger, nullable=False),
    Column("cost_nusd", BigInteger),
    Column("price_source", Words, nullable=False),
    Column("price_detail", JSON(none_as_null=True)),
    Column("input_bound_tokens", BigInteger, nullable=False),
    Column("output_ceiling_tokens", BigInteger, nullable=False),
    Column("input_tokens", BigInteger),
    Column("cache_read_tokens", BigInteger),
    Column("cache_write_tokens", BigInteger),
    Column("cache_write_long_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("usage_source", Words),
    Column("reported_cost_nusd", BigInteger),
    Column("asked_model", Words, nullable=False),
    Column("served_model", Words),
    Column("fingerprint", Words),
    Column("service_tier", Words),
    Column("provider", Words),
    Column("request_id", Words),
    Column("region", Words),
    Column("finish_reason", Words),
    Column("rate_limits", JSON(none_as_null=True)),
    Column("http_status", Integer),
    Column("error", Words),
    Column("reconciled", Words),
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
    Column("try_id", Words, ForeignKey("tries.id"), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("kind", Words, nullable=False),
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
    Column("scope", Words, nullable=False),
    Column("key", Words, nullable=False),
    Column("expert", Words, nullable=False),
    Column("start_us", BigInteger, nullable=False),
    Column("end_us", BigInteger, nullable=False),
    Column("spent_nusd", BigInteger, nullable=False),
    Column("reserved_nusd", BigInteger, nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("tokens", BigInteger, CheckConstraint("tokens >= 0"), nullable=False),
    Column(
        "reserved_tokens",
        BigInteger,
        CheckConstraint("reserved_tokens >= 0"),
        nullable=False,
    ),
    Column("warned_us", BigInteger),
    UniqueConstraint("scope", "key", "expert", "start_us", "end_us"),
    Index("windows_by_key", "key", "expert", "end_us"),
    CheckConstraint("spent_nusd >= 0 AND reserved_nusd >= 0 AND calls >= 0"),
)

holds = Table(
    "holds",
    metadata,
    Column("try_id", Words, ForeignKey("tries.id"), primary_key=True),
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
    Column("question_id", Words, ForeignKey("questions.id"), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("source", Words, nullable=False),
    Column("verdict", Words, nullable=False),
    Column("solved", Boolean),
    Column("evidence", Words),
    Column("late", Boolean, nullable=False),
    CheckConstraint("verdict IN ('helped', 'no_difference', 'harmed', 'unknown')"),
)
Index("outcomes_by_question", outcomes.c.question_id)

threads = Table(
    "threads",
    metadata,
    Column("id", Words, primary_key=True),
    Column("created_us", BigInteger, nullable=False),
    Column("user", Words, nullable=False),
    Column("project", Words, nullable=False),
    Column("expert", Words, nullable=False),
    Column("closed_us", BigInteger),
)

marks = Table(
    "marks",
    metadata,
    Column("thread", Words, ForeignKey("threads.id"), primary_key=True),
    Column("kind", Words, primary_key=True),
    Column("digest", Words, primary_key=True),
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
    Column("question_id", Words, ForeignKey("questions.id"), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("by", Words, nullable=False),
    Column("scope", Words, nullable=False, server_default="question"),
)
Index("approvals_by_question", approvals.c.question_id)

breakers = Table(
    "breakers",
    metadata,
    Column("expert", Words, primary_key=True),
    Column("address", Words, primary_key=True),
    Column("failures", BigInteger, nullable=False),
    Column("until_us", BigInteger, nullable=False),
    Column("reason", Words, nullable=False),
    Column("looker", Words),
)

access_tokens = Table(
    "access_tokens",
    metadata,
    Column("id", Words, primary_key=True),
    Column("name", Words, nullable=False),
    Column("digest", Words, nullable=False, unique=True),
    Column("user", Words, nullable=False),
    Column("project", Words, nullable=False),
    Column("role", Words, nullable=False),
    Column("policy", Words),
    Column("budgets", JSON(none_as_null=True), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("by", Words, nullable=False),
    Column("expires_us", BigInteger),
    Column("revoked_us", BigInteger),
    CheckConstraint("role IN ('owner', 'lead', 'member')"),
)
_in_use = text("revoked_us IS NULL")
Index(
    "access_tokens_one_name",
    access_tokens.c.name,
    unique=True,
    sqlite_where=_in_use,
    postgresql_where=_in_use,
)

changes = Table(
    "changes",
    metadata,
    Column(
        "id",
        BigInteger().with_variant(Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    Column("at_us", BigInteger, nullable=False),
    Column("by", Words, nullable=False),
    Column("kind", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("old", JSON(none_as_null=True)),
    Column("new", JSON(none_as_null=True)),
    CheckConstraint("kind IN ('token', 'policy', 'cap')"),
)
Index("changes_by_name", changes.c.kind, changes.c.name, changes.c.id)
