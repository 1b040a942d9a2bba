"""The server is lost at the worst moment; no money is lost with it, and none is counted twice."""

import signal
from collections.abc import Callable, Generator
from contextlib import closing

import pytest
from sqlalchemy import select

from ask_expert.errors import LedgerBusyError, LedgerError
from ask_expert.ledger.check import check
from ask_expert.ledger.records import End, Granted
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.tables import escalations, questions, tries
from tests.databases import PostgreSQL, running
from tests.ledger.cutting import CuttingProxy
from tests.ledger.support import (
    ANSWER,
    CENT,
    NOW,
    cap,
    charge,
    question,
    request,
    tokens,
)

TOTAL = cap(100 * CENT)


@pytest.fixture(scope="module")
def mortal() -> Generator[PostgreSQL]:
    """A server that these tests may kill."""
    with running() as server:
        yield server


@pytest.fixture
def proxy(mortal: PostgreSQL) -> Generator[CuttingProxy]:
    with closing(CuttingProxy(mortal.port)) as opened:
        yield opened


@pytest.fixture
def lossy(mortal: PostgreSQL, proxy: CuttingProxy) -> Generator[Ledger]:
    """A ledger behind the proxy."""
    name = mortal.new_database()
    address = f"postgresql://owner:hidden-word@127.0.0.1:{proxy.port}/{name}"
    with closing(Ledger.open(address)) as opened:
        yield opened


def reserved(ledger: Ledger, key: str | None = None) -> Granted:
    granted = ledger.reserve(question(key), request(CENT, [TOTAL]), ceiling=tokens)
    assert isinstance(granted, Granted)
    return granted


def balance(ledger: Ledger) -> tuple[int, int, int]:
    (room,) = ledger.rooms([TOTAL])
    return room.spent_nusd, room.reserved_nusd, room.calls


def states(ledger: Ledger) -> list[tuple[str, str]]:
    with ledger.engine.connect() as connection:
        found = connection.execute(
            select(tries.c.state, questions.c.status)
            .join(escalations, escalations.c.id == tries.c.escalation_id)
            .join(questions, questions.c.id == escalations.c.question_id)
        ).all()
    return [(row.state, row.status) for row in found]


@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGINT], ids=["crash", "stop"])
def test_a_server_killed_between_reserve_and_settle_keeps_the_sums_right(
    mortal: PostgreSQL, how: signal.Signals
) -> None:
    with closing(Ledger.open(mortal.address(mortal.new_database()))) as ledger:
        first, second = reserved(ledger), reserved(ledger)
        mortal.stop(how)

        with pytest.raises(LedgerBusyError) as caught:
            ledger.settle(first.try_id, ANSWER, charge(CENT // 2), end=End(now_us=NOW))
        mortal.start()
        after_restart = balance(ledger)
        ledger.settle(first.try_id, ANSWER, charge(CENT // 2), end=End(now_us=NOW))
        ledger.leave_unresolved(second.try_id, None, end=End(now_us=NOW))

        assert caught.value.retryable
        assert after_restart == (0, 2 * CENT, 2)
        assert balance(ledger) == (CENT // 2, CENT, 2)
        assert check(ledger) == []


def test_a_ledger_whose_server_is_away_cannot_be_opened_and_is_worth_another_try(
    mortal: PostgreSQL,
) -> None:
    address = mortal.address(mortal.new_database(), user="owner:hidden-word")
    mortal.stop()

    with pytest.raises(LedgerBusyError, match="refused") as caught:
        Ledger.open(address)
    mortal.start()

    assert "hidden-word" not in str(caught.value)


def test_a_reservation_that_was_lost_before_its_commit_counts_nothing(
    lossy: Ledger, proxy: CuttingProxy
) -> None:
    reserved(lossy)
    proxy.arm("before")

    with pytest.raises(LedgerBusyError) as caught:
        reserved(lossy)

    assert "hidden-word" not in str(caught.value)
    assert balance(lossy) == (0, CENT, 1)
    assert check(lossy) == []


def test_a_reservation_whose_commit_nobody_heard_of_is_not_granted_and_given_back(
    lossy: Ledger, proxy: CuttingProxy
) -> None:
    proxy.arm("after")

    with pytest.raises(LedgerBusyError):
        reserved(lossy)
    counted = balance(lossy)
    lossy.sweep(now_us=NOW)

    assert counted == (0, CENT, 1)
    assert balance(lossy) == (0, 0, 0)
    assert states(lossy) == [("released", "unavailable")]
    assert check(lossy) == []


def test_asking_again_takes_the_unheard_reservation_back_and_waits_for_nobody(
    lossy: Ledger, proxy: CuttingProxy
) -> None:
    proxy.arm("after")
    with pytest.raises(LedgerBusyError):
        reserved(lossy, "k")

    again = reserved(
        lossy, "k"
    )  # the same key: it would join the first, were that alive
    lossy.sweep(now_us=NOW)

    assert again.nusd == CENT
    assert balance(lossy) == (0, CENT, 1)


def test_a_reservation_asked_for_anew_under_the_same_name_is_not_taken_back(
    lossy: Ledger, proxy: CuttingProxy
) -> None:
    asked, wanted = question(), request(CENT, [TOTAL])
    proxy.arm("before")
    with pytest.raises(LedgerBusyError):
        lossy.reserve(asked, wanted, ceiling=tokens)

    granted = lossy.reserve(asked, wanted, ceiling=tokens)
    lossy.sweep(now_us=NOW)

    assert isinstance(granted, Granted)
    assert balance(lossy) == (0, CENT, 1)


@pytest.mark.parametrize("verb", ["settle", "release"])
def test_an_end_whose_commit_nobody_heard_of_is_booked_once(
    lossy: Ledger, proxy: CuttingProxy, verb: str
) -> None:
    granted, end = reserved(lossy), End(now_us=NOW)
    ends: dict[str, Callable[[], None]] = {
        "settle": lambda: lossy.settle(granted.try_id, ANSWER, charge(7), end=end),
        "release": lambda: lossy.release(granted.try_id, None, end=end),
    }
    proxy.arm("after")

    with pytest.raises(LedgerBusyError):
        ends[verb]()
    ends[verb]()

    assert balance(lossy) == ((7, 0, 1) if verb == "settle" else (0, 0, 0))
    assert check(lossy) == []
    with pytest.raises(LedgerError, match="settled or released before"):
        ends[verb]()
