"""What a subscription pays for is named so wherever a cost is shown, and is no $0."""

from datetime import UTC, datetime
from typing import Any

import pytest

from ask_expert.ledger.store import Ledger
from ask_expert.money import show_paid, usd_text
from ask_expert.report import listing, price_table, threads
from ask_expert.report.json_form import as_json
from ask_expert.report.summary import summarize
from ask_expert.report.terminal import blocks
from ask_expert.settings import ExpertSettings
from tests.report.ledgers import NOON_US, Paid, answered

PLAN = Paid(expert="plan", cost_nusd=0, source="subscription", served=None)
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def costs(ledger: Ledger) -> list[tuple[str, ...]]:
    found = summarize(ledger, until_us=NOON_US + 1)
    return [
        row for title, rows in blocks(found) if title == "What it cost" for row in rows
    ]


def test_an_amount_is_shown_with_the_subscription_beside_it() -> None:
    assert show_paid(0, by_subscription=False) == "$0.00"
    assert show_paid(0, by_subscription=True) == "subscription"
    assert show_paid(4_000_000, by_subscription=True) == "$0.004 + subscription"
    assert usd_text(0, by_subscription=True) is None
    assert usd_text(4_000_000, by_subscription=True) == "0.004"


def test_a_report_of_a_subscription_alone_names_no_dollars(ledger: Ledger) -> None:
    answered(ledger, "q_1", PLAN)

    found = as_json(summarize(ledger, until_us=NOON_US + 1))

    rows = costs(ledger)
    assert rows[:2] == [("paid", "subscription"), ("  plan", "subscription")]
    assert "$" not in str(rows)
    assert found["cost_usd"] is None
    assert found["cost_usd_by_expert"] == {"plan": None}
    assert found["by_subscription"] == ["plan"]


def test_a_report_of_both_adds_the_subscription_to_the_dollars(ledger: Ledger) -> None:
    answered(ledger, "q_1", PLAN)
    answered(ledger, "q_2")

    assert costs(ledger)[:3] == [
        ("paid", "$0.004 + subscription"),
        ("  flagship", "$0.004"),
        ("  plan", "subscription"),
    ]


def test_the_list_of_questions_names_it(ledger: Ledger) -> None:
    answered(ledger, "q_1", PLAN)

    (line,) = listing.latest(ledger, 10)

    assert line.cells()[-1] == "subscription"
    assert line.as_json()["cost_usd"] is None
    assert line.as_json()["subscription"] is True


def test_threads_and_their_turns_name_it(ledger: Ledger) -> None:
    answered(ledger, "q_1", PLAN, fields={"thread": "c_1"})
    answered(ledger, "q_2", at_us=NOON_US + 1, fields={"thread": "c_1"})

    (line,) = threads.latest(ledger, 10)
    first, second = threads.in_full(ledger, "c_1").turns

    assert "$0.004 + subscription" in line.cells()
    assert line.as_json()["subscription"] is True
    assert first.headline().endswith("plan for subscription")
    assert first.as_json()["cost_usd"] is None
    assert second.headline().endswith("flagship for $0.004")
    assert second.as_json()["subscription"] is False


def priced(**facts: Any) -> price_table.Priced:
    expert = ExpertSettings.model_validate(
        {"name": "plan", "api": "command", "model": "opus", "command": ["cli"], **facts}
    )
    return price_table.priced(
        expert, NOW, price_table.Size(tokens_in=10, tokens_out=10)
    )


def test_the_price_of_a_command_is_its_subscription() -> None:
    table = priced()

    shown = [*price_table.cells(table), *price_table.sentences(table)]
    assert "$" not in str(shown)
    assert price_table.sentences(table) == [
        "A subscription pays; a call has no price, and counts as one call."
    ]
    form = price_table.as_json(table)
    assert (form["source"], form["tiers"], form["worst_case_usd"]) == (
        "subscription",
        [],
        None,
    )


@pytest.mark.parametrize(
    ("api", "model"),
    [
        ("bedrock", "us.anthropic.claude-opus-5-5"),
        ("vertex_anthropic", "claude-opus-5-5"),
        ("vertex_gemini", "gemini-4-argon"),
        ("command", "opus"),
    ],
)
def test_a_price_can_be_asked_for_before_an_expert_is_set_up(
    api: str, model: str
) -> None:
    (found,) = price_table.for_model(model, (), NOW, api=api)

    assert found.known
    assert not found.configured
