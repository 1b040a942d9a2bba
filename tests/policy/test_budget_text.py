import json
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.budget import caps
from ask_expert.policy import budget_text
from ask_expert.policy.budgets import Budget
from ask_expert.question import Caller

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("5/day", Budget(scope="day", usd=Decimal(5))),
        ("0.25usd/task", Budget(scope="task", usd=Decimal("0.25"))),
        ("100calls/hour", Budget(scope="hour", calls=100)),
        ("100.0calls/hour", Budget(scope="hour", calls=100)),
        (" 2000000tokens/total ", Budget(scope="total", tokens=2_000_000)),
        ("20/month:rolling", Budget(scope="month", usd=Decimal(20), rolling=True)),
        ("0/day", Budget(scope="day", usd=Decimal(0))),
    ],
)
def test_a_budget_is_read_as_it_is_typed(text: str, budget: Budget) -> None:
    assert budget_text.parse(text) == budget


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("", r"'' is no budget; give AMOUNT\[usd\|calls\|tokens\]/SCOPE\[:rolling\]"),
        ("5", "is no budget"),
        ("/day", "is no budget"),
        ("-5/day", "is no budget"),
        ("5eur/day", "is no budget"),
        ("5/day:monthly", "is no budget"),
        ("1e3/day", "is no budget"),
        ("5/dya", "'5/dya': unknown scope; did you mean 'day'"),
        ("1.5calls/day", "'1.5calls/day': calls are whole"),
        ("5/task:rolling", "no period that could be rolling"),
        ("5calls/call", "takes usd and tokens, not calls"),
        ("1000000000/day", "less than 1000000000"),
        ("9" * 15 + "calls/day", "less than or equal to 1000000000"),
    ],
)
def test_what_is_no_budget_is_refused_with_what_would_be(
    text: str, trouble: str
) -> None:
    with pytest.raises(ValueError, match=trouble):
        budget_text.parse(text)


@given(st.text(max_size=30) | st.from_regex(r"[0-9.]{1,12}(usd|calls)?/day"))
def test_no_text_crashes_it_and_a_budget_limits_something(text: str) -> None:
    with suppress(ValueError):
        budget = budget_text.parse(text)
        assert (budget.usd, budget.calls, budget.tokens) != (None, None, None)


@pytest.mark.parametrize(
    ("text", "per"),
    [
        ("5/day", ("session",)),
        ("5/total", ("session",)),
        ("5/project", ("session",)),
        ("5/expert", ("session",)),
        ("5/task", ("session",)),
        ("5/thread", ("session",)),
        ("5/session", ()),
        ("5/call", ()),
    ],
)
def test_a_budget_of_a_token_has_windows_of_that_tokens_session(
    text: str, per: tuple[str, ...]
) -> None:
    assert budget_text.of_one_session(budget_text.parse(text)).per == per


SCOPES = (
    "task", "session", "thread", "agent", "user", "project", "expert",
    "hour", "day", "week", "month", "year", "total",
)  # fmt: skip


@pytest.mark.parametrize("scope", SCOPES)
def test_two_tokens_of_one_user_never_share_a_window(scope: str) -> None:
    budget = budget_text.of_one_session(budget_text.parse(f"5/{scope}"))

    first, second = (
        caps(
            (budget,),
            caller=Caller(session=session, project="/x", user="ada", agent="a"),
            task="t_1",
            thread="c_1",
            expert="flagship",
            now=NOON,
        )
        for session in ("k_1", "k_2")
    )

    assert {each.key for each in first}.isdisjoint(each.key for each in second)


def test_a_budget_for_one_session_already_stays_as_it_is() -> None:
    budget = Budget(scope="day", calls=1, per=("session", "expert"))

    assert budget_text.of_one_session(budget) is budget


@given(
    scope=st.sampled_from(SCOPES),
    usd=st.decimals(0, 999_999, places=9),
    mode=st.sampled_from(["hard", "soft", "degrade"]),
)
def test_a_budget_comes_back_from_json_as_it_was(
    scope: str, usd: Decimal, mode: str
) -> None:
    budget = budget_text.of_one_session(
        Budget.model_validate({"scope": scope, "usd": usd, "calls": 3, "mode": mode})
    )

    written = json.loads(json.dumps(budget_text.as_json(budget)))

    assert Budget.model_validate(written) == budget
    assert ("per" in written) == bool(budget.per)
