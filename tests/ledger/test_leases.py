"""A living call keeps its lease, a dead one loses it within a minute."""

from collections.abc import Iterable

import pytest
from sqlalchemy import event, select

from ask_expert.ledger import leases
from ask_expert.ledger.check import check
from ask_expert.ledger.leases import LEASE_US, RENEW_AFTER_US, UnderWay
from ask_expert.ledger.records import End, Granted
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.tables import questions, tries
from tests.ledger.support import (
    ANSWER,
    CALLER,
    NOW,
    cap,
    charge,
    question,
    request,
    tokens,
)

SECOND = 1_000_000


def sent(ledger: Ledger) -> tuple[str, str]:
    """Send one try with the lease of a call; return question and try."""
    asked = question()
    wanted = request(100, [cap(1000)], lease_us=NOW + LEASE_US)
    granted = ledger.reserve(asked, wanted, ceiling=tokens)
    assert isinstance(granted, Granted)
    return asked.id, granted.try_id


def column(ledger: Ledger, try_id: str, name: str) -> object:
    with ledger.engine.connect() as connection:
        return connection.execute(
            select(tries.c[name]).where(tries.c.id == try_id)
        ).scalar_one()


def status(ledger: Ledger, question_id: str) -> str:
    with ledger.engine.connect() as connection:
        return connection.execute(
            select(questions.c.status).where(questions.c.id == question_id)
        ).scalar_one()


def times(seconds: Iterable[int]) -> list[int]:
    return [NOW + each * SECOND for each in seconds]


def test_renewals_keep_a_call_of_ten_minutes_alive_while_a_dead_one_lapses(
    ledger: Ledger,
) -> None:
    _, living = sent(ledger)
    _, dead = sent(ledger)
    under_way = {living: UnderWay(lease_us=NOW + LEASE_US)}

    swept: dict[str, int] = {}
    for now_us in times(range(0, 601, 10)):
        leases.renew(ledger, under_way, now_us=now_us)
        swept |= dict.fromkeys(ledger.sweep(now_us=now_us), now_us)

    assert swept == {dead: NOW + 70 * SECOND}
    assert column(ledger, living, "state") == "sent"


def test_a_call_shorter_than_twenty_seconds_costs_no_write_for_its_lease(
    ledger: Ledger,
) -> None:
    _, try_id = sent(ledger)
    under_way = {try_id: UnderWay(lease_us=NOW + LEASE_US)}
    begun: list[object] = []
    event.listen(ledger.engine, "begin", begun.append)

    early = [
        leases.renew(ledger, under_way, now_us=each) for each in times([0, 10, 19])
    ]
    due = leases.renew(ledger, under_way, now_us=NOW + RENEW_AFTER_US)

    assert early == [False, False, False]
    assert due
    assert len(begun) == 1
    assert column(ledger, try_id, "lease_us") == NOW + RENEW_AFTER_US + LEASE_US


def test_all_calls_of_a_process_are_renewed_in_one_write(ledger: Ledger) -> None:
    under_way = {sent(ledger)[1]: UnderWay(lease_us=NOW + LEASE_US) for _ in range(5)}
    begun: list[object] = []
    event.listen(ledger.engine, "begin", begun.append)

    leases.renew(ledger, under_way, now_us=NOW + RENEW_AFTER_US)

    assert len(begun) == 1
    assert ledger.sweep(now_us=NOW + LEASE_US + 1) == []


def test_a_renewal_takes_the_provider_s_id_along_and_never_loses_it(
    ledger: Ledger,
) -> None:
    _, try_id = sent(ledger)
    known = UnderWay(lease_us=NOW + LEASE_US, request_id="gen-1")

    leases.renew(ledger, {try_id: known}, now_us=NOW + RENEW_AFTER_US)
    ledger.leave_unresolved(try_id, None, end=End(now_us=NOW))
    known.request_id = None
    leases.renew(ledger, {try_id: known}, now_us=NOW + 3 * RENEW_AFTER_US)

    assert column(ledger, try_id, "request_id") == "gen-1"


def test_a_process_never_sweeps_its_own_calls_after_it_slept(ledger: Ledger) -> None:
    _, mine = sent(ledger)
    _, other = sent(ledger)

    swept = ledger.sweep(now_us=NOW + 8 * 3600 * SECOND, alive={mine})

    assert swept == [other]
    assert column(ledger, mine, "state") == "sent"


@pytest.mark.parametrize("renews_first", [True, False])
def test_a_process_that_was_suspended_does_not_lose_its_answer(
    ledger: Ledger, renews_first: bool
) -> None:
    asked, try_id = sent(ledger)
    later = NOW + 3600 * SECOND
    assert ledger.sweep(now_us=later) == [try_id]
    assert status(ledger, asked) == "unavailable"

    if renews_first:
        known = UnderWay(lease_us=NOW + LEASE_US)
        leases.renew(ledger, {try_id: known}, now_us=later + SECOND)
    end = End(now_us=later + 2 * SECOND, status="answered", stored_answer="Hold it.")
    ledger.settle(try_id, ANSWER, charge(40), end=end)

    standing = ledger.standing(asked, CALLER)
    assert standing is not None
    assert (standing.status, standing.answer) == ("answered", "Hold it.")
    assert standing.cost_nusd == 40
    assert check(ledger) == []
