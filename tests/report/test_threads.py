import pytest

from ask_expert.errors import LedgerError
from ask_expert.ledger.records import Closed
from ask_expert.ledger.store import Ledger
from ask_expert.report import threads
from tests.report.ledgers import (
    HOUR_US,
    ME,
    NOON_US,
    Paid,
    answered,
    decided,
    record,
    repeated,
    sent,
)


def talk(ledger: Ledger, thread: str, *ids: str, at_us: int = NOON_US) -> None:
    """Ask several questions in one thread and have them answered."""
    for number, id_ in enumerate(ids):
        texts = {"question": f"{id_}?", "sent": f"## Question\n{id_}?"}
        answered(
            ledger,
            id_,
            Paid(text=f"Answer to {id_}."),
            at_us=at_us + number,
            fields={"thread": thread, "texts": texts},
        )


def test_threads_are_listed_with_turns_and_cost_last_used_first(
    ledger: Ledger,
) -> None:
    talk(ledger, "c_old", "q_1", "q_2")
    talk(ledger, "c_new", "q_3", at_us=NOON_US + HOUR_US)
    sent(ledger, "q_4", at_us=NOON_US + 2 * HOUR_US, fields={"thread": "c_old"})

    lines = threads.latest(ledger, 10)

    assert [line.cells() for line in lines] == [
        (
            "c_old",
            "flagship",
            "3",
            "$0.008 + up to $0.01",
            "2026-11-22T14:00:00Z",
            "open",
        ),
        ("c_new", "flagship", "1", "$0.004", "2026-11-22T13:00:00Z", "open"),
    ]


def test_a_thread_that_no_expert_was_asked_in_is_not_listed(ledger: Ledger) -> None:
    decided(ledger, "q_1", "stay_local")

    assert threads.latest(ledger, 10) == []


def test_the_list_ends_at_its_limit(ledger: Ledger) -> None:
    for number in range(3):
        talk(ledger, f"c_{number}", f"q_{number}", at_us=NOON_US + number * HOUR_US)

    assert [line.id for line in threads.latest(ledger, 2)] == ["c_2", "c_1"]


def test_a_thread_is_shown_as_it_was_said(ledger: Ledger) -> None:
    talk(ledger, "c_1", "q_1", "q_2")
    ledger.record(record("q_3", at_us=NOON_US + 9, thread="c_1", status="refused"))

    shown = threads.in_full(ledger, "c_1")

    assert [(each.question, each.answer) for each in shown.turns] == [
        ("## Question\nq_1?", "Answer to q_1."),
        ("## Question\nq_2?", "Answer to q_2."),
        (None, None),
    ]
    assert [each.headline() for each in shown.turns[1:]] == [
        "2026-11-22T12:00:00Z  q_2: answered, flagship for $0.004",
        "2026-11-22T12:00:00Z  q_3: refused",
    ]
    assert threads.ending(shown) == "c_1 is open."


def test_an_answer_given_again_is_marked_and_costs_nothing(ledger: Ledger) -> None:
    talk(ledger, "c_q_2", "q_1")
    repeated(ledger, "q_2", of="q_1", at_us=NOON_US + 1)

    shown = threads.in_full(ledger, "c_q_2")

    assert shown.turns[1].headline().endswith("q_2: answered (again from q_1)")
    assert shown.turns[1].cost_nusd == 0


def test_a_closed_thread_has_no_turns_to_continue(ledger: Ledger) -> None:
    talk(ledger, "c_1", "q_1")
    talk(ledger, "c_2", "q_2")

    said = threads.close(ledger, "c_1", now_us=NOON_US + HOUR_US)

    assert said == "c_1 is closed: a follow-up has to begin a new thread."
    assert ledger.thread_turns("c_1", ME) == Closed(at_us=NOON_US + HOUR_US)
    assert isinstance(ledger.thread_turns("c_2", ME), tuple)
    states = {line.id: line.cells()[-1] for line in threads.latest(ledger, 10)}
    assert states == {"c_1": "closed", "c_2": "open"}


def test_closing_twice_keeps_the_first_time(ledger: Ledger) -> None:
    talk(ledger, "c_1", "q_1")
    threads.close(ledger, "c_1", now_us=NOON_US)

    said = threads.close(ledger, "c_1", now_us=NOON_US + HOUR_US)

    assert said == "c_1 was closed at 2026-11-22T12:00:00Z already."
    assert threads.in_full(ledger, "c_1").closed_us == NOON_US


@pytest.mark.parametrize("thread", ["c_none", "", "x" * 10_000])
def test_an_unknown_thread_is_one_sentence(ledger: Ledger, thread: str) -> None:
    with pytest.raises(LedgerError, match="There is no thread") as shown:
        threads.in_full(ledger, thread)
    with pytest.raises(LedgerError, match="There is no thread"):
        threads.close(ledger, thread, now_us=NOON_US)

    assert len(str(shown.value)) < 200
