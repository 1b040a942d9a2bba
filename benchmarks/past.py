"""Fill a ledger with a long past, fast: rows by the database itself, sums grouped."""

from sqlalchemy import (
    ColumnElement,
    Connection,
    func,
    insert,
    literal,
    select,
    text,
)

from ask_expert.ledger import postgres
from ask_expert.ledger.columns import total
from ask_expert.ledger.engine import alone, writing
from ask_expert.ledger.reads import all_tries
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.summing import BOUND, COUNTED, OPEN
from ask_expert.ledger.tables import escalations, holds, questions, tries, windows
from ask_expert.periods import FOREVER_US
from ask_expert.question import Caller

DAY_US = 24 * 3600 * 1_000_000
NOW_US = 1_795_348_830_000_000
"""Half a minute after a full hour, so that a run crosses no window's edge."""

MIDNIGHT_US = NOW_US // DAY_US * DAY_US
LONG_US = 365 * DAY_US
"""A past of whatever size is spread over a year."""

TEAMS = 20
"""Users, each with a project; every row of the past is one of theirs, in turn."""

A_TASK = 100
"""Questions of one task."""

EXPERTS = ("flagship", "middling")
CALLER = Caller(session="s_now", project="project 3", user="user 3", agent="bench")
_SEP = "\x1f"

_TEXTS = '{"question": "Why does worker 7 lose its update?", "sent": "## Question"}'
_FACTS = '{"check_failed": true, "failed_attempts": 2, "asked_before": 0}'

# What is written: `n` counts from 0, `hex(…)` is a name that looks drawn by chance.
_ROWS = {
    "threads": """
        INSERT INTO threads (id, created_us, "user", project, expert)
        SELECT 'c_' || {hex}, {at}, {user}, {project}, {expert} FROM s""",
    "marks": """
        INSERT INTO marks (thread, kind, digest, number)
        SELECT 'c_' || {hex}, 'email', 'd' || {hex}, 1 FROM s WHERE n % 4 = 0""",
    "questions": """
        INSERT INTO questions (id, created_us, "user", project, session, agent, task,
            thread, key, text_key, error_signature, texts, facts, masked, policy,
            policy_hash, action, rule, reason, status)
        SELECT 'q_' || {hex}, {at}, {user}, {project},
            's_' || CAST(n / 500 AS TEXT), 'bench', {task}, 'c_' || {hex},
            'k' || {hex} || '{pad}', 'x' || {hex} || '{pad}',
            CASE WHEN n % 3 = 0 THEN 'e' || CAST(n % 501 AS TEXT) || '{pad}' END,
            {texts}, {facts}, 0, 'balanced', '0123456789abcdef', 'escalate',
            'failed_check', 'the check failed',
            CASE WHEN {state} = 'settled' THEN 'answered' ELSE 'unavailable' END
        FROM s""",
    "escalations": """
        INSERT INTO escalations (id, question_id, expert, position, template, finish,
            answer)
        SELECT 'e_' || {hex}, 'q_' || {hex}, {expert}, 0, 'advise 1',
            CASE WHEN {state} = 'settled' THEN 'stop' END,
            CASE WHEN {state} = 'settled' THEN 'Hold the lock while it is written.' END
        FROM s""",
    "tries": """
        INSERT INTO tries (id, escalation_id, number, state, sent_us, lease_us, ended_us,
            owner, reserved_nusd, cost_nusd, price_source, input_bound_tokens,
            output_ceiling_tokens, input_tokens, output_tokens, usage_source,
            asked_model, served_model)
        SELECT 'y_' || {hex}, 'e_' || {hex}, 1, {state}, {at}, {at} + 60000000,
            {at} + 5000000, 'elsewhere:1:1', 10000000,
            CASE WHEN {state} = 'settled' THEN {cost} END, 'settings', 100, 500,
            90, 100 + n % 300, 'provider', 'some-model', 'some-model-1'
        FROM s""",
    "reserve": """
        INSERT INTO movements (try_id, at_us, kind, nusd)
        SELECT 'y_' || {hex}, {at}, 'reserve', 10000000 FROM s""",
    "end": """
        INSERT INTO movements (try_id, at_us, kind, nusd)
        SELECT 'y_' || {hex}, {at} + 5000000,
            CASE WHEN {state} = 'settled' THEN 'settle' ELSE 'release' END,
            CASE WHEN {state} = 'settled' THEN {cost} ELSE 10000000 END
        FROM s WHERE {state} <> 'unresolved'""",
    "outcomes": """
        INSERT INTO outcomes (question_id, at_us, source, verdict, solved, late)
        SELECT 'q_' || {hex}, {at} + 60000000, 'agent', 'helped', {true}, {false}
        FROM s WHERE n % 3 = 1""",
    "approvals": """
        INSERT INTO approvals (question_id, at_us, "by", scope)
        SELECT 'q_' || {hex}, {at}, 'a person',
            CASE WHEN n % 40 = 0 THEN 'task' ELSE 'question' END
        FROM s WHERE n % 20 = 0""",
}


_SERIES = {
    "postgresql": "generate_series(CAST(0 AS BIGINT), LAST) AS s(n)",
    "sqlite": """(WITH RECURSIVE s(n) AS
        (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < LAST) SELECT n FROM s) AS s""",
}


def fill(ledger: Ledger, rows: int) -> None:
    """
    Write so many escalations of the last year, a try each, into an empty ledger.

    Their windows are those of a total, of each day, of each day and expert, and of
    each task; a late try of every ten thousand is of unknown fate.
    """
    with writing(ledger.engine) as connection:
        server = connection.dialect.name == "postgresql"
        if server:
            postgres.without_limit(connection)
        else:
            connection.exec_driver_sql("PRAGMA cache_size = -2000000")
        for statement in _ROWS.values():
            connection.execute(text(_filled(statement, rows, server=server)))
        _add_windows(connection)
    with alone(ledger.engine) as connection:
        # PostgreSQL does the one by itself after so many rows; a file's log of
        # writes is as short after a while of use.
        if server:
            connection.exec_driver_sql("VACUUM (ANALYZE)")
            connection.exec_driver_sql("CHECKPOINT")
        else:
            connection.exec_driver_sql("PRAGMA cache_size = -2000")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def _filled(statement: str, rows: int, *, server: bool) -> str:
    drawn = "(n * 176093659177 + 12345) % 1099511627776"
    step = LONG_US // rows
    parts = {
        "hex": f"lpad(to_hex({drawn}), 12, '0')"
        if server
        else f"printf('%012x', {drawn})",
        "at": f"({NOW_US - LONG_US} + n * {step})",
        "user": f"'user ' || CAST(n % {TEAMS} AS TEXT)",
        "project": f"'project ' || CAST(n % {TEAMS} AS TEXT)",
        "expert": f"CASE WHEN n % 5 = 0 THEN '{EXPERTS[1]}' ELSE '{EXPERTS[0]}' END",
        # One name for all whose turn it is in a stretch of time.
        "task": f"'task ' || CAST(n / {TEAMS * A_TASK} AS TEXT)",
        "state": "CASE WHEN n % 10000 = 9999 THEN 'unresolved' "
        "WHEN n % 17 = 16 THEN 'released' ELSE 'settled' END",
        "cost": "(1000000 + (n * 7919) % 9000000)",
        "pad": "0123456789abcdef" * 3,
        "texts": f"CAST('{_TEXTS}' AS JSON)" if server else f"'{_TEXTS}'",
        "facts": f"CAST('{_FACTS}' AS JSON)" if server else f"'{_FACTS}'",
        "true": "true" if server else "1",
        "false": "false" if server else "0",
    }
    kind = "postgresql" if server else "sqlite"
    series = _SERIES[kind].replace("LAST", str(rows - 1))
    written = statement.replace("FROM s", f"FROM {series}").format(**parts)
    # What looks like a parameter of ours in the JSON is none.
    return written.replace(": ", r"\: ")


def _add_windows(connection: Connection) -> None:
    day: ColumnElement[int] = tries.c.sent_us - tries.c.sent_us % DAY_US
    nobody: ColumnElement[str] = literal("")
    ever = (literal(0), literal(FOREVER_US))
    task = (
        literal("project=")
        + questions.c.project
        + _SEP
        + "task="
        + questions.c.task
        + _SEP
        + "user="
        + questions.c.user
    )
    for scope, key, expert, start, end in (
        ("total", nobody, nobody, *ever),
        ("day", nobody, nobody, day, day + DAY_US),
        ("day", nobody, escalations.c.expert, day, day + DAY_US),
        ("task", task, nobody, *ever),
    ):
        _add_kind(connection, scope, key, expert, start, end)


def _add_kind(
    connection: Connection,
    scope: str,
    key: ColumnElement[str],
    expert: ColumnElement[str],
    start: ColumnElement[int],
    end: ColumnElement[int],
) -> None:
    """Open the windows of one kind, with their sums and with what they hold."""
    held = tries.c.state.in_(OPEN)
    parts = (key, expert, start, end)
    owner = [each.label(name) for name, each in zip("kxse", parts, strict=True)]
    counted = (
        select(
            *owner,
            total(tries.c.cost_nusd).label("spent"),
            total(tries.c.reserved_nusd, where=held).label("reserved"),
            func.count().label("calls"),
            total(COUNTED, where=tries.c.state == "settled").label("tokens"),
            total(BOUND, where=held).label("reserved_tokens"),
        )
        .select_from(all_tries())
        .where(tries.c.state != "released")
        .group_by(*owner)
        .subquery()
    )
    into = windows.c
    connection.execute(
        insert(windows).from_select(
            [
                into.scope, into.key, into.expert, into.start_us, into.end_us,
                into.spent_nusd, into.reserved_nusd, into.calls, into.tokens,
                into.reserved_tokens,
            ],
            select(literal(scope), *counted.c),
        )
    )  # fmt: skip
    connection.execute(
        insert(holds).from_select(
            ["try_id", "window_id"],
            select(tries.c.id, windows.c.id)
            .select_from(all_tries())
            .join(
                windows,
                (windows.c.scope == scope)
                & (windows.c.key == key)
                & (windows.c.expert == expert)
                & (windows.c.start_us == start)
                & (windows.c.end_us == end),
            ),
        )
    )
