import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from ask_expert.ledger import migrations, threads
from ask_expert.ledger.records import Closed
from ask_expert.ledger.store import Ledger
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


@pytest.fixture
def first_version(tmp_path: Path) -> Path:
    """A ledger as version 0001 made it, with a conversation in it."""
    path = tmp_path / "ledger.db"
    config = Config()
    config.set_main_option("script_location", str(Path(*migrations.__path__)))
    config.set_main_option("path_separator", "os")
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    with closing(sqlite3.connect(path)) as db, db:
        for table, row in ROWS.items():
            names = ", ".join(f'"{name}"' for name in row)
            marks = ", ".join("?" * len(row))
            db.execute(
                f"INSERT INTO {table} ({names}) VALUES ({marks})",  # noqa: S608
                tuple(row.values()),
            )
    return path


def test_a_ledger_of_the_first_version_keeps_its_rows(first_version: Path) -> None:
    with closing(sqlite3.connect(first_version)) as db:
        before = {each: db.execute(f"SELECT * FROM {each}").fetchall() for each in ROWS}  # noqa: S608

    with closing(Ledger.open(first_version)) as ledger:
        turns = ledger.thread_turns("c_1", CALLER)

    with closing(sqlite3.connect(first_version)) as db:
        after = {each: db.execute(f"SELECT * FROM {each}").fetchall() for each in ROWS}  # noqa: S608
    before["threads"] = [(*row, None) for row in before["threads"]]
    assert after == before
    assert turns == (
        Turn(role="user", text="## Question\nWhy?"),
        Turn(role="assistant", text="Hold the lock."),
    )


def test_a_thread_of_the_first_version_can_be_closed(first_version: Path) -> None:
    with closing(Ledger.open(first_version)) as ledger:
        closed_us = threads.close(ledger, "c_1", now_us=NOW + 1)
        turns = ledger.thread_turns("c_1", CALLER)

    assert closed_us == NOW + 1
    assert turns == Closed(at_us=NOW + 1)
