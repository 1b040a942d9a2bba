"""A window that no try has opened yet: it is summed, but not at every question."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from sqlalchemy import event, func, select

from ask_expert.budget import Cap, Denied
from ask_expert.ledger.check import check
from ask_expert.ledger.engine import reading
from ask_expert.ledger.records import End, Granted
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.tables import windows
from tests.databases import statements
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

LONG = 100
"""So many tries are a long sum."""

NEVER_ASKED = cap(100 * CENT, expert="never asked")
TOTAL = cap(1000 * CENT)


def after(tries: int, ledger: Ledger) -> list[str]:
    """Ask so many questions that no budget counted; return their tries."""
    granted = [
        ledger.reserve(question(), request(CENT), ceiling=tokens) for _ in range(tries)
    ]
    return [each.try_id for each in granted if isinstance(each, Granted)]


def sums_in(ledger: Ledger, work: Callable[[], object]) -> int:
    """Return how many sums of tries some work makes."""
    said = statements(ledger)
    work()
    return sum("sum(tries" in each for each in said)


def open_windows(ledger: Ledger) -> int:
    with reading(ledger.engine) as connection:
        return connection.execute(
            select(func.count()).select_from(windows)
        ).scalar_one()


def make_read_only(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("PRAGMA query_only = ON")


def test_an_expert_that_was_never_asked_is_summed_at_the_first_look_only(
    ledger: Ledger,
) -> None:
    after(LONG, ledger)

    first = sums_in(ledger, lambda: ledger.rooms([NEVER_ASKED], opening=True))
    second = sums_in(ledger, lambda: ledger.rooms([NEVER_ASKED], opening=True))

    assert first > 0
    assert second == 0


def test_a_window_that_a_look_opened_counts_what_is_on_its_way_and_what_comes(
    ledger: Ledger,
) -> None:
    tries = after(LONG, ledger)

    ledger.rooms([TOTAL], opening=True)
    ledger.settle(tries[0], ANSWER, charge(CENT // 2), end=End(now_us=NOW))
    after(1, ledger)
    (room,) = ledger.rooms([TOTAL])

    assert (room.spent_nusd, room.reserved_nusd) == (CENT // 2, LONG * CENT)
    assert room.calls == LONG + 1
    assert check(ledger) == []


def test_a_short_sum_is_made_anew_and_opens_nothing(ledger: Ledger) -> None:
    after(3, ledger)

    (room,) = ledger.rooms([TOTAL], opening=True)

    assert room.calls == 3
    assert open_windows(ledger) == 0


def test_a_new_task_of_a_long_ledger_is_a_short_sum(ledger: Ledger) -> None:
    after(LONG, ledger)
    key = "project=/work\x1ftask=t_2\x1fuser=ada"

    ledger.rooms([cap(CENT, scope="task", key=key)], opening=True)

    assert open_windows(ledger) == 0


def test_a_reader_opens_nothing(ledger: Ledger) -> None:
    after(LONG, ledger)

    (room,) = ledger.rooms([TOTAL])

    assert room.calls == LONG
    assert open_windows(ledger) == 0


def test_a_question_that_is_denied_again_is_not_summed_again(ledger: Ledger) -> None:
    after(LONG, ledger)
    full: Cap = cap(CENT // 2, expert="flagship")

    def ask() -> None:
        wanted = request(CENT, [full])
        assert isinstance(ledger.reserve(question(), wanted, ceiling=tokens), Denied)

    assert sums_in(ledger, ask) > 0
    assert sums_in(ledger, ask) == 0


def test_several_that_look_at_once_open_a_window_once(ledger: Ledger) -> None:
    after(LONG, ledger)

    with ThreadPoolExecutor(4) as threads:
        looks = [threads.submit(ledger.rooms, [TOTAL], opening=True) for _ in range(8)]
        found = [each.result() for each in looks]

    assert {room.calls for (room,) in found} == {LONG}
    assert open_windows(ledger) == 1
    assert check(ledger) == []


def test_where_nothing_can_be_written_the_sum_is_still_told(where: Path | str) -> None:
    with closing(Ledger.open(where)) as ledger:
        after(LONG, ledger)
    if isinstance(where, str):
        address = f"{where}?options=-c%20default_transaction_read_only%3Don"
        shut = Ledger.open(address)
    else:
        shut = Ledger.open(where)
        shut.engine.dispose()
        event.listen(shut.engine, "connect", make_read_only)

    with closing(shut):
        (room,) = shut.rooms([TOTAL], opening=True)

        assert room.calls == LONG
        assert open_windows(shut) == 0
