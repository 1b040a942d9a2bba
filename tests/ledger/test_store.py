from dataclasses import replace
from typing import Any

import pytest
from dirty_equals import IsStr
from sqlalchemy import func, select

from ask_expert.budget import Denied
from ask_expert.errors import ExpertUnavailableError, LedgerError
from ask_expert.ledger.owner import this_process
from ask_expert.ledger.records import End, Granted, Joined, Outcome, new_id
from ask_expert.ledger.store import FINAL_AFTER_US, Ledger
from ask_expert.ledger.tables import movements, questions, tries, windows
from ask_expert.question import Caller, Turn
from tests.ledger.support import (
    ANSWER,
    CALLER,
    CENT,
    HOUR,
    NOW,
    cap,
    charge,
    question,
    request,
    tokens,
)


def reserved(ledger: Ledger, nusd: int = CENT, **more: Any) -> Granted:
    total = cap(100 * CENT)
    granted = ledger.reserve(question(), request(nusd, [total], **more), ceiling=tokens)
    assert isinstance(granted, Granted)
    return granted


def balance(ledger: Ledger) -> tuple[int, int, int]:
    (room,) = ledger.rooms([cap(100 * CENT)])
    return room.spent_nusd, room.reserved_nusd, room.calls


def test_a_reservation_is_on_record_as_sent_in_one_commit(ledger: Ledger) -> None:
    granted = reserved(ledger)

    with ledger.engine.connect() as connection:
        row = connection.execute(select(tries)).one()
        moved = connection.execute(select(movements)).one()
    assert (row.id, row.state, row.reserved_nusd) == (granted.try_id, "sent", CENT)
    assert row.output_ceiling_tokens == tokens(CENT)
    assert (moved.kind, moved.nusd) == ("reserve", CENT)
    assert balance(ledger) == (0, CENT, 1)


def test_settling_books_the_actual_cost_and_keeps_the_answer(ledger: Ledger) -> None:
    asked = question(texts={"question": "Why?", "sent": "Why?"})
    granted = ledger.reserve(asked, request(CENT, [cap(100 * CENT)]), ceiling=tokens)
    assert isinstance(granted, Granted)

    end = End(now_us=NOW + 1, status="answered", stored_answer="Hold the lock.")
    ledger.settle(granted.try_id, ANSWER, charge(CENT // 4), end=end)

    standing = ledger.standing(asked.id, CALLER)
    assert standing is not None
    assert (standing.status, standing.answer) == ("answered", "Hold the lock.")
    assert (standing.served, standing.cost_nusd) == ("some-model-1", CENT // 4)
    assert balance(ledger) == (CENT // 4, 0, 1)
    assert ledger.thread_turns(asked.thread or "", CALLER) == (
        Turn(role="user", text="Why?"),
        Turn(role="assistant", text="Hold the lock."),
    )


def test_a_settlement_above_the_reservation_is_booked_in_full(ledger: Ledger) -> None:
    granted = reserved(ledger)

    ledger.settle(granted.try_id, ANSWER, charge(3 * CENT), end=End(now_us=NOW))

    assert balance(ledger) == (3 * CENT, 0, 1)


def test_a_release_gives_money_and_call_back(ledger: Ledger) -> None:
    granted = reserved(ledger)
    error = ExpertUnavailableError("flagship", "HTTP 529", billed="no", http_status=529)

    ledger.release(granted.try_id, error, end=End(now_us=NOW))

    assert balance(ledger) == (0, 0, 0)
    with ledger.engine.connect() as connection:
        row = connection.execute(select(tries)).one()
    assert (row.state, row.http_status) == ("released", 529)


@pytest.mark.parametrize("first", ["settle", "release"])
@pytest.mark.parametrize("second", ["settle", "release"])
def test_a_try_ends_once(ledger: Ledger, first: str, second: str) -> None:
    granted = reserved(ledger)
    ends = {
        "settle": lambda: ledger.settle(
            granted.try_id, ANSWER, charge(CENT), end=End(now_us=NOW)
        ),
        "release": lambda: ledger.release(granted.try_id, None, end=End(now_us=NOW)),
    }
    ends[first]()
    before = balance(ledger)

    with pytest.raises(LedgerError, match="settled or released before"):
        ends[second]()

    assert balance(ledger) == before


def test_an_unresolved_try_stays_counted_and_may_settle_late(ledger: Ledger) -> None:
    granted = reserved(ledger)

    ledger.leave_unresolved(granted.try_id, None, end=End(now_us=NOW))
    held = balance(ledger)
    ledger.settle(granted.try_id, ANSWER, charge(CENT // 2), end=End(now_us=NOW + HOUR))

    assert held == (0, CENT, 1)
    assert balance(ledger) == (CENT // 2, 0, 1)


def test_a_denied_reservation_writes_nothing(ledger: Ledger) -> None:
    denied = ledger.reserve(question(), request(CENT, [cap(CENT - 1)]), ceiling=tokens)

    assert isinstance(denied, Denied)
    with ledger.engine.connect() as connection:
        counts = [
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (questions, tries, windows, movements)
        ]
    assert counts == [0, 0, 0, 0]


def test_every_budget_is_reserved_or_none(ledger: Ledger) -> None:
    wide, narrow = cap(100 * CENT), cap(CENT // 2, scope="session", key="session=s_1")

    denied = ledger.reserve(question(), request(CENT, [wide, narrow]), ceiling=tokens)

    assert isinstance(denied, Denied)
    assert denied.room.cap == narrow
    assert balance(ledger) == (0, 0, 0)


def test_a_budget_for_a_single_call_bounds_each_call_anew(ledger: Ledger) -> None:
    single = cap(CENT, scope="call")

    granted = [
        ledger.reserve(question(), request(5 * CENT, [single], least=1), ceiling=tokens)
        for _ in range(3)
    ]

    assert [each.nusd for each in granted if isinstance(each, Granted)] == [CENT] * 3


def test_a_reservation_takes_what_is_left_down_to_its_least(ledger: Ledger) -> None:
    total = cap(CENT)

    granted = ledger.reserve(
        question(), request(5 * CENT, [total], least=CENT), ceiling=tokens
    )

    assert isinstance(granted, Granted)
    assert granted.nusd == CENT


def test_a_window_opened_late_adopts_what_is_open_and_what_was_spent(
    ledger: Ledger,
) -> None:
    settled, held = reserved(ledger, 2 * CENT), reserved(ledger, 3 * CENT)
    ledger.settle(settled.try_id, ANSWER, charge(CENT), end=End(now_us=NOW))
    month = cap(100 * CENT, scope="month", start_us=NOW - HOUR, end_us=NOW + 700 * HOUR)
    ledger.reserve(question(), request(CENT, [month]), ceiling=tokens)
    (before,) = ledger.rooms([month])

    ledger.settle(held.try_id, ANSWER, charge(2 * CENT), end=End(now_us=NOW))

    (after,) = ledger.rooms([month])
    assert (before.spent_nusd, before.reserved_nusd, before.calls) == (
        CENT,
        4 * CENT,
        3,
    )
    assert (after.spent_nusd, after.reserved_nusd, after.calls) == (3 * CENT, CENT, 3)


def test_tasks_of_two_projects_have_two_windows(ledger: Ledger) -> None:
    here = cap(CENT, scope="task", key="project=/work\x1ftask=t_1\x1fuser=ada")
    there = cap(CENT, scope="task", key="project=/other\x1ftask=t_1\x1fuser=ada")
    ledger.reserve(question(), request(CENT, [here]), ceiling=tokens)
    other = replace(CALLER, project="/other")

    granted = ledger.reserve(
        question(caller=other), request(CENT, [there]), ceiling=tokens
    )

    assert isinstance(granted, Granted)


def test_the_same_question_in_flight_is_joined_and_not_paid_twice(
    ledger: Ledger,
) -> None:
    first = question("k")
    ledger.reserve(first, request(CENT, owner=this_process()), ceiling=tokens)

    second = ledger.reserve(question("k"), request(CENT), ceiling=tokens)

    assert second == Joined(question_id=first.id)


def test_an_answer_that_came_since_the_caller_looked_is_taken_and_an_old_one_not(
    ledger: Ledger,
) -> None:
    first = question("k")
    granted = ledger.reserve(first, request(CENT), ceiling=tokens)
    assert isinstance(granted, Granted)
    end = End(now_us=NOW - 1, status="answered", stored_answer="x")
    ledger.settle(granted.try_id, ANSWER, charge(1), end=end)

    unaware = ledger.reserve(question("k"), request(CENT), ceiling=tokens)
    aware = ledger.reserve(
        question("k"), request(CENT, too_old=first.id), ceiling=tokens
    )

    assert unaware == Joined(question_id=first.id)
    assert isinstance(aware, Granted)


def test_a_dead_process_is_not_waited_for(ledger: Ledger) -> None:
    boot = this_process().split(":")[0]
    dead = request(CENT, owner=f"{boot}:4194304:1")  # above the kernel's largest pid
    ledger.reserve(question("k"), dead, ceiling=tokens)

    again = ledger.reserve(question("k"), request(CENT), ceiling=tokens)
    swept = ledger.sweep(now_us=NOW)

    assert isinstance(again, Granted)
    assert len(swept) == 1
    with ledger.engine.connect() as connection:
        rows = connection.execute(select(tries.c.state, tries.c.owner)).all()
    assert ("unresolved", f"{boot}:4194304:1") in [tuple(row) for row in rows]


def test_a_lapsed_lease_is_swept_and_a_live_call_is_not(ledger: Ledger) -> None:
    lapsed = reserved(ledger, lease_us=NOW - 1)
    reserved(ledger, lease_us=NOW + 1)

    assert ledger.sweep(now_us=NOW) == [lapsed.try_id]
    assert ledger.sweep(now_us=NOW) == []


def test_a_task_goes_on_until_it_idles_or_is_solved(ledger: Ledger) -> None:
    asked = question(task="t_now", status="stay_local")
    ledger.record(asked)

    soon = ledger.current_task(CALLER, now_us=NOW + HOUR // 3)
    late = ledger.current_task(CALLER, now_us=NOW + HOUR)
    other = ledger.current_task(replace(CALLER, session="s_2"), now_us=NOW)
    ledger.add_outcome(outcome(asked.id))
    solved = ledger.current_task(CALLER, now_us=NOW + 1)

    assert (soon, late, other, solved) == ("t_now", None, None, None)


def outcome(question_id: str, at_us: int = NOW) -> Outcome:
    return Outcome(
        question_id=question_id,
        verdict="helped",
        solved=True,
        source="agent",
        evidence=None,
        at_us=at_us,
    )


def test_a_verdict_after_a_day_is_flagged_late(ledger: Ledger) -> None:
    asked = question(status="stay_local")
    ledger.record(asked)

    assert not ledger.add_outcome(outcome(asked.id, NOW + FINAL_AFTER_US))
    assert ledger.add_outcome(outcome(asked.id, NOW + FINAL_AFTER_US + 1))


def test_another_user_or_project_sees_neither_question_nor_thread(
    ledger: Ledger,
) -> None:
    asked = question(texts={"sent": "Why?"})
    granted = ledger.reserve(asked, request(CENT), ceiling=tokens)
    assert isinstance(granted, Granted)
    ledger.settle(
        granted.try_id, ANSWER, charge(1), end=End(now_us=NOW, stored_answer="x")
    )

    for stranger in (replace(CALLER, user="eve"), replace(CALLER, project="/x")):
        assert ledger.standing(asked.id, stranger) is None
        assert ledger.thread_turns(asked.thread or "", stranger) is None


def test_marks_of_a_thread_are_kept_and_numbered_on(ledger: Ledger) -> None:
    asked = question()
    first = {("aws_access_key", "d1"): 1}
    ledger.reserve(asked, request(1, marks=first), ceiling=tokens)
    more = {("aws_access_key", "d1"): 1, ("aws_access_key", "d2"): 2}
    follow_up = question(thread=asked.thread)

    ledger.reserve(follow_up, request(1, marks=more), ceiling=tokens)

    assert ledger.thread_marks(asked.thread or "") == more


def test_past_counts_by_task_and_key(ledger: Ledger) -> None:
    for task in ("t_1", "t_1", "t_2"):
        ledger.record(question("k", task=task, error_signature="e"))
    stranger = Caller(session="s", project="/x", user="eve")

    here = ledger.past(CALLER, task="t_1", key="k", error_signature="e", now_us=NOW)
    there = ledger.past(stranger, task="t_1", key="k", error_signature="e", now_us=NOW)

    assert (here.asked_before, here.same_error, here.same) == (2, 2, None)
    assert (there.asked_before, there.same_error) == (0, 0)


def test_an_approval_holds_for_the_same_question_only(ledger: Ledger) -> None:
    asked = question("k", status="needs_approval")
    ledger.record(asked)

    ledger.approve(asked.id, by="ada", at_us=NOW)

    def approved(key: str) -> bool:
        past = ledger.past(CALLER, task="t_9", key=key, now_us=NOW)
        return past.approval == "question"

    assert (approved("k"), approved("other")) == (True, False)


def test_ids_are_short_and_easy_to_copy() -> None:
    assert new_id("q") == IsStr(regex=r"q_[0-9a-hjkmnp-tv-z]{12}")
