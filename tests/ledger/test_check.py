from collections.abc import Generator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, delete, insert, text, update

from ask_expert.ledger.check import check
from ask_expert.ledger.engine import writing
from ask_expert.ledger.records import End, Granted
from ask_expert.ledger.repair import repair
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.tables import holds, movements, tries, windows
from tests.databases import rewriting
from tests.ledger.support import (
    ANSWER,
    CENT,
    HOUR,
    NOW,
    cap,
    charge,
    question,
    request,
    tokens,
)

TOTAL = cap(100 * CENT)
DAY = cap(50 * CENT, scope="day", start_us=NOW - HOUR, end_us=NOW + HOUR)


def reserved(ledger: Ledger) -> str:
    granted = ledger.reserve(question(), request(CENT, [TOTAL, DAY]), ceiling=tokens)
    assert isinstance(granted, Granted)
    return granted.try_id


@pytest.fixture
def filled(ledger: Ledger) -> dict[str, str]:
    """One try in each state, by its state."""
    names = ("settled", "released", "unresolved", "sent")
    found = {name: reserved(ledger) for name in names}
    end = End(now_us=NOW)
    ledger.settle(found["settled"], ANSWER, charge(CENT // 3), end=end)
    ledger.release(found["released"], None, end=end)
    ledger.leave_unresolved(found["unresolved"], None, end=end)
    return found


@contextmanager
def unguarded(ledger: Ledger) -> Generator[Connection]:
    """Write what the schema forbids, as a damaged disk or a stranger could."""
    sqlite = ledger.engine.dialect.name == "sqlite"
    with ledger.engine.connect() as connection:
        if sqlite:
            connection.execution_options(alone=True)
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        else:
            connection.exec_driver_sql("SET session_replication_role = replica")
        yield connection
        connection.commit()
        if sqlite:
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        else:
            connection.exec_driver_sql("RESET session_replication_role")
            connection.commit()


def test_a_sound_ledger_has_no_findings(ledger: Ledger, filled: dict[str, str]) -> None:
    assert check(ledger) == []
    assert repair(ledger) == ([], [])


def test_running_sums_that_do_not_follow_are_found_and_repaired(
    ledger: Ledger, filled: dict[str, str]
) -> None:
    before = ledger.rooms([TOTAL, DAY])
    with writing(ledger.engine) as connection:
        connection.execute(
            update(windows)
            .where(windows.c.scope == "day")
            .values(spent_nusd=1, calls=9)
        )

    (finding,) = check(ledger)
    found, left = repair(ledger)

    assert "$0.000000001 spent" in finding.what
    assert "$0.003333333 spent" in finding.what
    assert (found, left) == ([finding], [])
    assert ledger.rooms([TOTAL, DAY]) == before


@pytest.mark.parametrize(
    ("state", "values"),
    [
        ("settled", {"cost_nusd": 5}),
        ("settled", {"state": "unresolved", "cost_nusd": None}),
        ("released", {"state": "sent"}),
        ("sent", {"state": "released"}),
        ("unresolved", {"state": "settled", "cost_nusd": 0}),
        ("unresolved", {"reserved_nusd": 1}),
    ],
)
def test_a_try_that_its_movements_do_not_bear_out_is_brought_back_to_them(
    ledger: Ledger, filled: dict[str, str], state: str, values: dict[str, object]
) -> None:
    before = ledger.rooms([TOTAL, DAY])
    with writing(ledger.engine) as connection:
        connection.execute(
            update(tries).where(tries.c.id == filled[state]).values(**values)
        )

    found, left = repair(ledger)

    assert any(filled[state] in each.what for each in found)
    assert left == []
    assert ledger.rooms([TOTAL, DAY]) == before


def test_a_try_that_no_window_would_hear_of_is_held_again(
    ledger: Ledger, filled: dict[str, str]
) -> None:
    with writing(ledger.engine) as connection:
        connection.execute(delete(holds).where(holds.c.try_id == filled["unresolved"]))

    found, left = repair(ledger)
    ledger.settle(filled["unresolved"], ANSWER, charge(0), end=End(now_us=NOW))

    assert len(found) == 2
    assert all("would miss" in each.what for each in found)
    assert left == []
    assert check(ledger) == []


def test_a_try_without_its_reservation_is_found_and_left_to_a_person(
    ledger: Ledger, filled: dict[str, str]
) -> None:
    with rewriting(ledger) as connection:
        connection.execute(
            delete(movements).where(movements.c.try_id == filled["sent"])
        )

    found, left = repair(ledger)

    assert [each.repair for each in found] == [None]
    assert "has 0 reservations and 0 ends" in found[0].what
    assert left == found


def test_an_orphan_is_found(ledger: Ledger, filled: dict[str, str]) -> None:
    with unguarded(ledger) as connection:
        connection.execute(
            insert(movements).values(
                try_id="y_gone", at_us=NOW, kind="reserve", nusd=CENT
            )
        )

    (finding,) = check(ledger)

    assert (
        finding.what
        == "A row of movements belongs to tries y_gone, which is not there."
    )
    assert finding.repair is None


def test_a_try_cannot_end_twice_even_by_hand(
    ledger: Ledger, filled: dict[str, str]
) -> None:
    with (
        pytest.raises(Exception, match=r"(?i)unique|only ever appended"),
        writing(ledger.engine) as connection,
    ):
        connection.execute(
            text(
                "INSERT INTO movements (try_id, at_us, kind, nusd) "
                "VALUES (:try_id, 1, 'release', 1)"
            ),
            {"try_id": filled["settled"]},
        )
