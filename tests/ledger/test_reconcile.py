"""An unresolved try is settled once, by whoever's word it is, and a late answer stays."""

import threading
from typing import Any

import pytest
from sqlalchemy import select

from ask_expert.errors import ExpertRejectedError, LedgerBusyError, LedgerError
from ask_expert.ledger import reconcile
from ask_expert.ledger.check import check
from ask_expert.ledger.doubts import Doubts
from ask_expert.ledger.reconcile import By
from ask_expert.ledger.records import End, Granted
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.tables import tries
from tests.ledger.support import (
    ANSWER,
    CALLER,
    HOUR,
    NOW,
    cap,
    charge,
    question,
    request,
    tokens,
)

TOTAL = cap(10_000)
DAY = cap(10_000, scope="day", start_us=NOW, end_us=NOW + HOUR)
RECORD = {
    "price_source": "provider",
    "input_tokens": 7,
    "cache_read_tokens": 0,
    "cache_write_tokens": 0,
    "cache_write_long_tokens": 0,
    "output_tokens": 2,
    "usage_source": "provider",
}
WORST = {"price_source": "worst case"}


def lost(ledger: Ledger, *, nusd: int = 100) -> tuple[str, str]:
    """Leave one try unresolved; return its question and its id."""
    asked = question()
    granted = ledger.reserve(asked, request(nusd, [TOTAL, DAY]), ceiling=tokens)
    assert isinstance(granted, Granted)
    end = End(now_us=NOW, status="unavailable")
    ledger.leave_unresolved(granted.try_id, None, end=end)
    return asked.id, granted.try_id


def settled(
    ledger: Ledger, try_id: str, by: By, nusd: int, *, now_us: int = NOW + HOUR
) -> bool:
    columns = RECORD if by == "provider" else WORST
    return reconcile.settle(
        ledger, try_id, by=by, cost_nusd=nusd, columns=columns, now_us=now_us
    )


def row(ledger: Ledger, try_id: str) -> dict[str, Any]:
    with ledger.engine.connect() as connection:
        found = connection.execute(select(tries).where(tries.c.id == try_id))
        return dict(found.mappings().one())


def sums(ledger: Ledger) -> list[tuple[int, int, int, int]]:
    return [
        (each.spent_nusd, each.reserved_nusd, each.calls, each.tokens)
        for each in ledger.rooms([TOTAL, DAY])
    ]


@pytest.mark.parametrize(
    ("by", "nusd", "counted"),
    [("provider", 30, 9), ("provider", 0, 9), ("worst_case", 100, 10)],
)
def test_an_unresolved_try_is_settled_in_the_windows_where_it_was_reserved(
    ledger: Ledger, by: By, nusd: int, counted: int
) -> None:
    _, try_id = lost(ledger)

    done = settled(ledger, try_id, by, nusd, now_us=NOW + 40 * 24 * HOUR)

    assert done
    assert sums(ledger) == [(nusd, 0, 1, counted)] * 2
    kept = row(ledger, try_id)
    assert (kept["state"], kept["cost_nusd"], kept["reconciled"]) == (
        "settled",
        nusd,
        by,
    )
    assert kept["ended_us"] == NOW
    assert check(ledger) == []


def test_a_second_reconciliation_changes_nothing(ledger: Ledger) -> None:
    _, try_id = lost(ledger)
    settled(ledger, try_id, "provider", 30)
    before = (row(ledger, try_id), sums(ledger))

    again = settled(ledger, try_id, "worst_case", 100)

    assert not again
    assert (row(ledger, try_id), sums(ledger)) == before


def test_of_many_reconciliations_at_once_one_settles(ledger: Ledger) -> None:
    _, try_id = lost(ledger)
    together = threading.Barrier(4)
    done: list[bool] = []

    def run() -> None:
        together.wait()
        done.append(settled(ledger, try_id, "worst_case", 100))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert sorted(done) == [False, False, False, True]
    assert sums(ledger) == [(100, 0, 1, 10)] * 2


@pytest.mark.parametrize("end", ["sent", "settled", "released"])
def test_only_an_unresolved_try_is_reconciled(ledger: Ledger, end: str) -> None:
    asked = question()
    granted = ledger.reserve(asked, request(100, [TOTAL]), ceiling=tokens)
    assert isinstance(granted, Granted)
    if end == "settled":
        ledger.settle(granted.try_id, ANSWER, charge(5), end=End(now_us=NOW))
    if end == "released":
        ledger.release(granted.try_id, None, end=End(now_us=NOW))

    done = settled(ledger, granted.try_id, "worst_case", 100)

    assert not done
    assert row(ledger, granted.try_id)["state"] == end


@pytest.mark.parametrize(
    ("by", "output_tokens", "spent", "counted"),
    [("worst_case", 20, 100, 10), ("provider", 2, 30, 9)],
)
def test_a_late_answer_is_kept_and_moves_no_money(
    ledger: Ledger, by: By, output_tokens: int, spent: int, counted: int
) -> None:
    asked, try_id = lost(ledger)
    settled(ledger, try_id, by, spent)
    # A window that is opened in between sums up what was booked.
    third = cap(10_000, scope="month", start_us=NOW, end_us=NOW + HOUR)
    ledger.warn(third, now_us=NOW)

    end = End(now_us=NOW + 2 * HOUR, status="answered", stored_answer="Hold the lock.")
    ledger.settle(try_id, ANSWER, charge(55), end=end)

    standing = ledger.standing(asked, CALLER)
    assert standing is not None
    assert (standing.status, standing.answer) == ("answered", "Hold the lock.")
    assert (standing.served, standing.ended_us) == ("some-model-1", NOW + 2 * HOUR)
    kept = row(ledger, try_id)
    assert (kept["reconciled"], kept["cost_nusd"]) == (by, spent)
    assert (kept["output_tokens"], kept["usage_source"]) == (output_tokens, "provider")
    assert sums(ledger) == [(spent, 0, 1, counted)] * 2
    assert check(ledger) == []


def test_a_late_no_frees_nothing(ledger: Ledger) -> None:
    _, try_id = lost(ledger)
    settled(ledger, try_id, "worst_case", 100)

    error = ExpertRejectedError("flagship", "HTTP 400.", http_status=400)
    ledger.release(try_id, error, end=End(now_us=NOW + HOUR))

    kept = row(ledger, try_id)
    assert (kept["state"], kept["http_status"]) == ("settled", 400)
    assert sums(ledger) == [(100, 0, 1, 10)] * 2
    assert check(ledger) == []


def test_what_was_settled_by_its_answer_is_not_settled_again(ledger: Ledger) -> None:
    _, try_id = lost(ledger)
    ledger.settle(try_id, ANSWER, charge(5), end=End(now_us=NOW))

    with pytest.raises(LedgerError, match="settled or released before"):
        ledger.settle(try_id, ANSWER, charge(5), end=End(now_us=NOW))


@pytest.mark.parametrize(("by", "booked"), [("worst_case", False), (None, True)])
def test_a_reconciled_try_is_no_proof_that_a_doubtful_answer_is_on_record(
    ledger: Ledger, by: By | None, booked: bool
) -> None:
    _, try_id = lost(ledger)
    doubts = Doubts()
    with pytest.raises(LedgerBusyError), doubts.ending(try_id):
        raise LedgerBusyError("The server went away.")

    if by is None:
        ledger.settle(try_id, ANSWER, charge(5), end=End(now_us=NOW))
    else:
        settled(ledger, try_id, by, 100)

    with ledger.engine.connect() as connection:
        assert doubts.is_booked(connection, try_id) is booked


def test_unresolved_tries_are_listed_oldest_first(ledger: Ledger) -> None:
    _, first = lost(ledger)
    _, second = lost(ledger)
    ledger.leave_unresolved(first, None, end=End(now_us=NOW + 1))

    found = reconcile.unresolved(ledger)

    assert [each.try_id for each in found] == [second, first]
    assert [each.since_us for each in found] == [NOW, NOW + 1]


def test_a_try_is_claimed_by_one_process_at_a_time_until_the_claim_lapses(
    ledger: Ledger,
) -> None:
    _, try_id = lost(ledger)
    late = NOW + 2 * HOUR
    until = {try_id: late + HOUR}

    early = reconcile.claim(ledger, {try_id: NOW + HOUR}, now_us=NOW)
    first = reconcile.claim(ledger, until, now_us=late)
    second = reconcile.claim(ledger, until, now_us=late + 1)
    third = reconcile.claim(ledger, until, now_us=late + HOUR + 1)

    assert (early, first, second, third) == (set(), {try_id}, set(), {try_id})


def test_a_claim_ends_a_question_that_no_living_call_works_on(ledger: Ledger) -> None:
    asked = question()
    granted = ledger.reserve(asked, request(100, [TOTAL]), ceiling=tokens)
    assert isinstance(granted, Granted)
    # The process died before it could ask the next expert.
    ledger.leave_unresolved(granted.try_id, None, end=End(now_us=NOW))

    reconcile.claim(ledger, {granted.try_id: NOW + 9 * HOUR}, now_us=NOW + 2 * HOUR)

    standing = ledger.standing(asked.id, CALLER)
    assert standing is not None
    assert standing.status == "unavailable"
