import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ask_expert.ledger.store import Ledger
from ask_expert.ledger.tables import HEAD
from tests.cli.running import ask_expert
from tests.databases import PostgreSQL
from tests.ledger.support import cap
from tests.report.ledgers import HOUR_US, NOON_US, answered

TEXTS = {"texts": {"question": "Why?", "sent": "## Question"}}


@pytest.fixture
def filled(home: Path) -> Path:
    with closing(Ledger.open(home / "ledger.db")) as ledger:
        answered(ledger, "q_1", caps=(cap(10**12),), fields=TEXTS)
        answered(ledger, "q_2", at_us=NOON_US + HOUR_US, fields=TEXTS)
    return home


def test_migrating_says_what_it_did_and_does_nothing_twice(home: Path) -> None:
    first, second = ask_expert("ledger", "migrate"), ask_expert("ledger", "migrate")

    path = home / "ledger.db"
    assert first.out == f"The ledger {path} went to {HEAD}; it was empty.\n"
    assert second.out == f"The ledger {path} is at schema {HEAD} already.\n"


def test_a_sound_ledger_is_said_to_be_sound(filled: Path) -> None:
    ended = ask_expert("ledger", "check")

    assert (ended.status, ended.err) == (0, "")
    assert ended.out == "Every sum follows from its movements; no row is an orphan.\n"


def test_a_wrong_sum_is_a_failure_until_it_is_repaired(filled: Path) -> None:
    with closing(sqlite3.connect(filled / "ledger.db")) as db, db:
        db.execute("UPDATE windows SET spent_nusd = 0")

    found = ask_expert("ledger", "check", "--json")
    mended = ask_expert("ledger", "check", "--repair")
    after = ask_expert("ledger", "check")

    (finding,) = json.loads(found.out)["findings"]
    assert found.status == 1
    assert finding["repair"] == "its sums become those of its tries"
    assert mended.status == 0
    assert mended.out.startswith("Repaired: Window 1 (total)")
    assert after.status == 0


def test_compacting_takes_old_texts_and_says_how_many(filled: Path) -> None:
    would = ask_expert("ledger", "compact", "--older-than", "2099-01-01", "--dry-run")
    did = ask_expert("ledger", "compact", "--older-than", "2099-01-01")

    assert would.out.startswith("The texts of 2 questions, 2 answers, ")
    assert did.out == would.out.replace("would be", "were")
    shown = json.loads(ask_expert("ledger", "show", "q_1", "--json").out)
    assert "Use a lock." not in json.dumps(shown)


def test_an_age_that_is_none_is_refused(filled: Path) -> None:
    ended = ask_expert("ledger", "compact", "--older-than", "long")

    assert ended.status == 2
    assert "is no time" in ended.err


def test_a_moved_ledger_answers_from_its_new_place(
    filled: Path, database: str, tmp_path: Path
) -> None:
    listed = ask_expert("ledger", "list")

    moved = ask_expert("ledger", "move", "--to", database)
    (filled / "settings.yaml").write_text(f"ledger: {database}\n")
    (filled / "ledger.db").rename(tmp_path / "old.db")

    assert moved.status == 0, moved.err
    assert f"ledger: {database}" in moved.out
    assert "Both sides are the same." in moved.out
    assert ask_expert("ledger", "list").out == listed.out
    assert ask_expert("ledger", "check").status == 0


def test_no_password_is_taken_from_a_command_line(filled: Path) -> None:
    ended = ask_expert("ledger", "move", "--to", "postgresql://ada:hidden-word@db/x")

    assert ended.status == 2
    assert "PGPASSWORD" in ended.err
    assert "hidden-word" not in ended.err + ended.out


@pytest.mark.parametrize("target", ["other.db", "mysql://db/x", "postgresql://db"])
def test_a_ledger_moves_into_postgresql_only(filled: Path, target: str) -> None:
    ended = ask_expert("ledger", "move", "--to", target)

    assert ended.status == 2
    assert "postgresql://" in ended.err


def test_the_doctor_looks_at_a_ledger_in_postgresql(
    home: Path, postgres: PostgreSQL, database: str
) -> None:
    name = database.rpartition("/")[2]
    address = database.replace("owner@", "owner:hidden-word@")
    environ = {"ASK_EXPERT_LEDGER": address}

    sound = ask_expert("doctor", "--json", environ=environ)
    postgres.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    read_only = ask_expert("doctor", "--json", environ=environ)
    postgres.drop(name)
    gone = ask_expert("doctor", "--json", environ=environ)
    postgres.run(f"CREATE DATABASE {name}")

    assert f'"{database}, schema {HEAD}, PostgreSQL 18' in sound.out
    assert "has fsync off" in sound.out
    assert "cannot be written: it is read-only" in read_only.out
    assert "does not exist" in gone.out
    assert "hidden-word" not in sound.out + read_only.out + gone.out + gone.err
