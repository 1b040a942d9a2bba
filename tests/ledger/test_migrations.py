from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import DBAPIError

from ask_expert.budget import FOREVER_US
from ask_expert.ledger import access_tokens, changes, migrations, threads
from ask_expert.ledger.check import check
from ask_expert.ledger.engine import migrate, new_engine, reading, writing
from ask_expert.ledger.records import Closed
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.tables import HEAD, questions, tries, windows
from ask_expert.question import Turn
from tests.ledger.support import CALLER, NOW

ROWS = {
    "threads": {
        "id": "c_1",
        "created_us": NOW,
        "user": CALLER.user,
        "project": CALLER.project,
        "expert": "flagship",
    },
    "questions": {
        "id": "q_1",
        "created_us": NOW,
        "user": CALLER.user,
        "project": CALLER.project,
        "session": "s_1",
        "agent": "test",
        "task": "t_1",
        "thread": "c_1",
        "texts": '{"question": "Why?", "sent": "## Question\\nWhy?"}',
        "facts": "{}",
        "masked": 0,
        "policy": "balanced",
        "policy_hash": "0123456789abcdef",
        "action": "escalate",
        "rule": "always",
        "reason": "always",
        "status": "answered",
    },
    "escalations": {
        "id": "e_1",
        "question_id": "q_1",
        "expert": "flagship",
        "position": 0,
        "template": "advise 1",
        "finish": "stop",
        "answer": "Hold the lock.",
    },
    "marks": {"thread": "c_1", "kind": "api_key", "digest": "d", "number": 1},
}


ONE_TRY = {
    "tries": {
        "id": "y_1",
        "escalation_id": "e_1",
        "number": 1,
        "state": "sent",
        "sent_us": NOW,
        "lease_us": NOW,
        "owner": "elsewhere:1:1",
        "reserved_nusd": 9,
        "price_source": "settings",
        "asked_model": "some-model",
        "input_bound_tokens": 100,
        "output_ceiling_tokens": 50,
    },
    "movements": {"try_id": "y_1", "at_us": NOW, "kind": "reserve", "nusd": 9},
}


def made_as(where: Path | str, version: str, rows: dict[str, dict[str, Any]]) -> None:
    """Make a ledger as a version made it."""
    config = Config()
    config.set_main_option("script_location", str(Path(*migrations.__path__)))
    config.set_main_option("path_separator", "os")
    engine = new_engine(where)
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)
        for table, row in rows.items():
            put(connection, table, row)
    engine.dispose()


@pytest.fixture
def first_version(blank: Path | str) -> Path | str:
    """A ledger as version 0001 made it, with a conversation in it."""
    made_as(blank, "0001", ROWS)
    return blank


def contents(where: Path | str) -> dict[str, list[dict[str, Any]]]:
    engine = new_engine(where)
    with reading(engine) as connection:
        found = {
            table: [
                {name: value for name, value in row.items() if value is not None}
                for row in connection.execute(
                    text(f"SELECT * FROM {table}")  # noqa: S608
                ).mappings()
            ]
            for table in ROWS
        }
    engine.dispose()
    return found


def test_a_ledger_of_the_first_version_keeps_its_rows(
    first_version: Path | str,
) -> None:
    before = contents(first_version)

    with closing(Ledger.open(first_version)) as ledger:
        turns = ledger.thread_turns("c_1", CALLER)
        wrong = check(ledger)

    assert contents(first_version) == before
    assert wrong == []
    assert turns == (
        Turn(role="user", text="## Question\nWhy?"),
        Turn(role="assistant", text="Hold the lock."),
    )


def test_a_thread_of_the_first_version_can_be_closed(first_version: Path | str) -> None:
    with closing(Ledger.open(first_version)) as ledger:
        closed_us = threads.close(ledger, "c_1", now_us=NOW + 1)
        turns = ledger.thread_turns("c_1", CALLER)

    assert closed_us == NOW + 1
    assert turns == Closed(at_us=NOW + 1)


def test_migrating_says_from_where_to_where_and_does_nothing_twice(
    first_version: Path | str,
) -> None:
    engine = new_engine(first_version)

    first, second = migrate(engine, first_version), migrate(engine, first_version)
    engine.dispose()

    assert (first, second) == (("0001", HEAD), (HEAD, HEAD))


def test_windows_of_the_first_version_keep_their_owners_and_know_their_tokens(
    first_version: Path | str,
) -> None:
    sums = {"spent_nusd": 7, "reserved_nusd": 5, "calls": 2}
    span = {"expert": "", "start_us": 0, "end_us": FOREVER_US, **sums}
    keys = {"task": f"{CALLER.user}\x1f{CALLER.project}\x1ft_1", "session": "s_1"}
    tried = {
        "escalation_id": "e_1",
        "sent_us": NOW,
        "lease_us": NOW,
        "owner": "elsewhere:1:1",
        "price_source": "settings",
        "asked_model": "some-model",
        "input_bound_tokens": 100,
        "output_ceiling_tokens": 50,
    }
    settled = {
        **tried,
        "id": "y_1",
        "number": 1,
        "state": "settled",
        "reserved_nusd": 9,
        "cost_nusd": 7,
        "input_tokens": 20,
        "output_tokens": 3,
        "usage_source": "provider",
    }
    lost = {
        **tried, "id": "y_2", "number": 2, "state": "unresolved", "reserved_nusd": 5
    }  # fmt: skip
    moves = [("y_1", "reserve", 9), ("y_1", "settle", 7), ("y_2", "reserve", 5)]
    engine = new_engine(first_version)
    with writing(engine) as connection:
        put(connection, "tries", settled)
        put(connection, "tries", lost)
        for try_id, kind, nusd in moves:
            move = {"try_id": try_id, "at_us": NOW, "kind": kind, "nusd": nusd}
            put(connection, "movements", move)
        for number, (scope, key) in enumerate([*keys.items(), ("total", "")], start=1):
            put(connection, "windows", {"scope": scope, "key": key, **span})
            put(connection, "holds", {"try_id": "y_2", "window_id": number})
    engine.dispose()

    with closing(Ledger.open(first_version)) as ledger:
        wrong = check(ledger)
        with reading(ledger.engine) as connection:
            found = connection.execute(
                select(windows.c.key, windows.c.tokens, windows.c.reserved_tokens)
                .order_by(windows.c.id)
            ).all()  # fmt: skip

    assert wrong == []
    assert [tuple(row) for row in found] == [
        (f"project={CALLER.project}\x1ftask=t_1\x1fuser={CALLER.user}", 23, 150),
        ("session=s_1", 23, 150),
        ("", 23, 150),
    ]


def test_a_ledger_without_teams_gets_their_tables_and_keeps_its_tries(
    blank: Path | str,
) -> None:
    made_as(blank, "0005", {**ROWS, **ONE_TRY})

    with closing(Ledger.open(blank)) as ledger:
        with reading(ledger.engine) as connection:
            reconciled = connection.execute(select(tries.c.id, tries.c.reconciled))
            found = [tuple(row) for row in reconciled]
        tokens = access_tokens.every(ledger)
        noted = changes.latest(ledger, 10)
        wrong = check(ledger)

    assert found == [("y_1", None)]
    assert (tokens, noted, wrong) == ((), (), [])


def test_what_older_versions_put_on_record_cannot_be_rewritten_either(
    blank: Path | str,
) -> None:
    made_as(blank, "0005", {**ROWS, **ONE_TRY})

    with (
        closing(Ledger.open(blank)) as ledger,
        pytest.raises(DBAPIError, match="rows of movements are only ever appended"),
        writing(ledger.engine) as connection,
    ):
        connection.execute(text("UPDATE movements SET nusd = 0"))


def test_questions_from_before_know_nothing_of_a_local_system(
    blank: Path | str,
) -> None:
    made_as(blank, "0006", {**ROWS, **ONE_TRY})

    with closing(Ledger.open(blank)) as ledger:
        standing = ledger.standing("q_1", CALLER)
        with reading(ledger.engine) as connection:
            row = connection.execute(select(questions)).one()
        wrong = check(ledger)

    assert standing is not None
    assert (standing.answer, standing.local_name) == ("Hold the lock.", None)
    assert [row.local_name, row.local_passed, row.local_tokens] == [None] * 3
    assert wrong == []


def put(connection: Connection, table: str, row: dict[str, Any]) -> None:
    names = ", ".join(f'"{name}"' for name in row)
    values = ", ".join(f":{name}" for name in row)
    connection.execute(
        text(f"INSERT INTO {table} ({names}) VALUES ({values})"),  # noqa: S608
        row,
    )
