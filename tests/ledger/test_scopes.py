"""Every scope that a budget can have binds, in each unit, in both kinds of database."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ask_expert.budget import Denied, caps, from_us
from ask_expert.ledger.check import check
from ask_expert.ledger.records import Granted
from ask_expert.ledger.store import Ledger
from ask_expert.policy.budgets import Budget
from tests.databases import emptied
from tests.ledger.support import CALLER, NOW, cap, question, request, tokens

ELSEWHERE: dict[str, dict[str, Any]] = {
    "task": {"task": "t_2"},
    "session": {"caller": replace(CALLER, session="s_2")},
    "thread": {"thread": "c_2"},
    "agent": {"caller": replace(CALLER, agent="other")},
    "user": {"caller": replace(CALLER, user="bob")},
    "project": {"caller": replace(CALLER, project="/elsewhere")},
    "expert": {"expert": "other"},
    "hour": {"later": timedelta(hours=1)},
    "day": {"later": timedelta(days=1)},
    "week": {"later": timedelta(weeks=1)},
    "month": {"later": timedelta(days=31)},
    "year": {"later": timedelta(days=366)},
}
"""What a question has to differ in to fall into another window of a scope."""

FULL: dict[str, int | str] = {"usd": "0.00001", "calls": 1, "tokens": 20}
"""A budget of each unit that one try of 10,000 nano-dollars and 20 tokens fills."""


def ask(
    ledger: Ledger,
    budget: Budget,
    *,
    expert: str = "flagship",
    later: timedelta = timedelta(),
    **of: Any,
) -> Granted | Denied:
    asked = question(**{"thread": "c_1", **of})
    now = from_us(NOW) + later
    limits = caps(
        [budget],
        caller=asked.caller,
        task=asked.task,
        thread=asked.thread,
        expert=expert,
        now=now,
    )
    sent_us = NOW + later // timedelta(microseconds=1)
    wanted = request(10_000, limits, expert=expert, sent_us=sent_us, lease_us=sent_us)
    verdict = ledger.reserve(asked, wanted, ceiling=tokens)
    assert isinstance(verdict, Granted | Denied)
    return verdict


@pytest.mark.parametrize("unit", [*FULL])
def test_a_full_window_refuses_and_its_neighbour_does_not(
    ledger: Ledger, unit: str
) -> None:
    for scope in [*ELSEWHERE, "total"]:
        emptied(ledger)
        budget = Budget.model_validate({"scope": scope, unit: FULL[unit]})

        first, second = ask(ledger, budget), ask(ledger, budget)
        other = ask(ledger, budget, **ELSEWHERE.get(scope, {}))

        assert isinstance(first, Granted), scope
        assert isinstance(second, Denied), scope
        assert second.unit == unit
        assert isinstance(other, Denied if scope == "total" else Granted), scope
        assert check(ledger) == []


def test_a_rolling_window_refuses_until_what_filled_it_is_old(ledger: Ledger) -> None:
    for scope in ("hour", "day", "week", "month", "year"):
        emptied(ledger)
        budget = Budget.model_validate({"scope": scope, "calls": 1, "rolling": True})
        period = ELSEWHERE[scope]["later"]

        verdicts = [ask(ledger, budget, later=period * part) for part in (0, 0.5, 1.1)]

        assert [type(each) for each in verdicts] == [Granted, Denied, Granted], scope
        assert check(ledger) == []


@pytest.mark.parametrize("unit", ["usd", "tokens"])
def test_a_budget_of_a_single_call_binds_each_one_anew(
    ledger: Ledger, unit: str
) -> None:
    fits = Budget.model_validate({"scope": "call", unit: FULL[unit]})
    tight = {"usd": "0.000009", "tokens": 9}[unit]
    too_small = Budget.model_validate({"scope": "call", unit: tight})

    verdicts = [ask(ledger, each) for each in (fits, fits, too_small)]

    assert [type(each) for each in verdicts] == [Granted, Granted, Denied]


def test_a_day_apart_for_each_owner_fills_for_one_and_not_for_another(
    ledger: Ledger,
) -> None:
    for per in ("task", "session", "thread", "agent", "user", "project", "expert"):
        emptied(ledger)
        budget = Budget.model_validate({"scope": "day", "calls": 1, "per": [per]})

        verdicts = [
            ask(ledger, budget),
            ask(ledger, budget),
            ask(ledger, budget, **ELSEWHERE[per]),
            ask(ledger, budget, later=timedelta(days=1)),
        ]

        assert [type(each) for each in verdicts] == [
            Granted,
            Denied,
            Granted,
            Granted,
        ], per


def test_a_soft_and_a_hard_budget_share_one_window(ledger: Ledger) -> None:
    soft, hard = cap(10_000, mode="soft"), cap(20_000)

    first = ledger.reserve(question(), request(10_000, [soft, hard]), ceiling=tokens)
    second = ledger.reserve(question(), request(10_000, [soft, hard]), ceiling=tokens)

    assert isinstance(first, Granted)
    assert isinstance(second, Denied)
    assert second.asks_person
    assert [room.calls for room in ledger.rooms([soft, hard])] == [1, 1]
    assert check(ledger) == []
