from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, text

from ask_expert.access import AccessToken
from ask_expert.breaker import Guarded
from ask_expert.errors import ExpertUnavailableError, LedgerError
from ask_expert.ledger import access_tokens, changes, export
from ask_expert.ledger.check import check
from ask_expert.ledger.engine import reading, writing
from ask_expert.ledger.move import fingerprint, move
from ask_expert.ledger.records import End
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.tables import metadata, movements, windows
from tests.ledger.support import cap
from tests.report.ledgers import (
    HOUR_US,
    NOON_US,
    Paid,
    answered,
    decided,
    repeated,
    sent,
    told,
)

TOTAL = cap(10**12)
LATER_US = NOON_US + 1000 * HOUR_US
DOWN = ExpertUnavailableError("second", "HTTP 503.", http_status=503, billed="no")


@pytest.fixture
def old(tmp_path: Path) -> Generator[Ledger]:
    """A SQLite ledger with something in every table."""
    with closing(Ledger.open(tmp_path / "ledger.db")) as ledger:
        answered(
            ledger,
            "q_1",
            Paid(text="Größe: 5 µs 😀"),
            caps=(TOTAL,),
            fields={"texts": {"question": "Warum?"}, "confidence": 0.1 + 0.2},
        )
        told(ledger, "q_1", "helped", solved=True)
        repeated(ledger, "q_2", of="q_1")
        decided(ledger, "q_3", "needs_approval")
        ledger.approve("q_3", by="ada", at_us=NOON_US)
        lost = sent(ledger, "q_4", caps=(TOTAL,))
        ledger.leave_unresolved(lost, None, end=End(now_us=NOON_US))
        failed = sent(ledger, "q_5", caps=(TOTAL,), expert="second")
        guarded = Guarded(expert="second", address="openai_chat http://x m", after=2)
        end = End(now_us=NOON_US, status="unavailable", guarded=guarded)
        ledger.release(failed, DOWN, end=end)
        with writing(ledger.engine) as connection:
            connection.execute(
                text("INSERT INTO marks VALUES ('c_q_1', 'api_key', 'digest', 1)")
            )
        token = AccessToken(
            id="k_1",
            name="ci",
            user="ada",
            project="/x",
            role="member",
            budgets=({"scope": "day", "usd": "0.10", "per": ["session"]},),
            created_us=NOON_US,
            by="ada",
        )
        access_tokens.add(ledger, token, digest="d", at_us=NOON_US, by="ada")
        yield ledger


@pytest.fixture
def new(database: str) -> Generator[Ledger]:
    with closing(Ledger.open(database)) as ledger:
        yield ledger


def exported(ledger: Ledger, file: Path) -> str:
    with file.open("w+") as target:
        export.write(ledger, "jsonl", target)
    return file.read_text()


def test_every_row_is_moved_and_both_sides_say_the_same(
    old: Ledger, new: Ledger, tmp_path: Path
) -> None:
    copied = move(old, new, now_us=LATER_US)

    assert {each.table for each in copied} == set(metadata.tables)
    assert [each.table for each in copied if not each.rows] == []
    assert exported(new, tmp_path / "new") == exported(old, tmp_path / "old")
    assert new.rooms([TOTAL]) == old.rooms([TOTAL])
    assert check(new) == []


def test_the_source_stays_as_it_was(old: Ledger, new: Ledger) -> None:
    def prints() -> list[object]:
        with reading(old.engine) as connection:
            return [fingerprint(connection, each) for each in metadata.sorted_tables]

    before = prints()

    move(old, new, now_us=LATER_US)

    assert prints() == before


def test_a_moved_ledger_counts_on(old: Ledger, new: Ledger) -> None:
    move(old, new, now_us=LATER_US)

    answered(new, "q_9", caps=(cap(10**12, scope="month"), TOTAL), at_us=LATER_US)

    with reading(new.engine) as connection:
        ids = connection.execute(select(movements.c.id)).scalars().all()
        rows = connection.execute(select(windows.c.scope)).scalars().all()
    assert len(ids) == len(set(ids))
    assert sorted(rows) == ["month", "total"]
    assert check(new) == []


def test_a_try_that_was_lost_can_be_settled_where_it_moved_to(
    old: Ledger, new: Ledger
) -> None:
    move(old, new, now_us=LATER_US)
    (before,) = new.rooms([TOTAL])
    with reading(new.engine) as connection:
        query = text("SELECT id FROM tries WHERE state = 'unresolved'")
        lost = connection.execute(query).scalar_one()

    new.release(lost, None, end=End(now_us=LATER_US))

    (after,) = new.rooms([TOTAL])
    assert before.reserved_nusd > after.reserved_nusd == 0


def test_tokens_and_changes_go_on_where_they_moved_to(old: Ledger, new: Ledger) -> None:
    move(old, new, now_us=LATER_US)

    (revoked,) = access_tokens.revoke(new, "ci", at_us=LATER_US, by="eve")

    assert revoked == replace(
        access_tokens.every(old)[0], revoked_us=LATER_US
    )  # fmt: skip
    assert [(each.id, each.by) for each in changes.latest(new, 10)] == [
        (2, "eve"),
        (1, "ada"),
    ]


def test_a_target_that_holds_something_is_left_alone(old: Ledger, new: Ledger) -> None:
    decided(new, "q_0", "stay_local")

    with pytest.raises(LedgerError, match="is not empty"):
        move(old, new, now_us=LATER_US)

    assert new.standing("q_1", None) is None


def test_a_target_on_which_a_server_was_started_is_refused_and_says_what_to_do(
    old: Ledger, new: Ledger
) -> None:
    changes.note_policy(
        new, name="own", document={}, policy_hash="h", by="ada", at_us=1
    )

    with pytest.raises(LedgerError, match=r"rows in changes.*Use a new database"):
        move(old, new, now_us=LATER_US)


def test_a_ledger_in_use_is_not_moved(old: Ledger, new: Ledger) -> None:
    sent(old, "q_6", at_us=LATER_US)

    with pytest.raises(LedgerError, match="1 call is in flight"):
        move(old, new, now_us=LATER_US)

    assert new.standing("q_1", None) is None


def test_a_copy_that_is_not_the_same_is_not_kept(old: Ledger, new: Ledger) -> None:
    with writing(new.engine) as connection:
        connection.execute(
            text(
                "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ "
                "BEGIN NEW.nusd = NEW.nusd + 1; RETURN NEW; END $$"
            )
        )
        connection.execute(
            text(
                "CREATE TRIGGER spoils BEFORE INSERT ON movements "
                "FOR EACH ROW WHEN (NEW.kind = 'settle') EXECUTE FUNCTION spoil()"
            )
        )

    with pytest.raises(LedgerError, match="copy of movements is not the same"):
        move(old, new, now_us=LATER_US)

    assert new.standing("q_1", None) is None
