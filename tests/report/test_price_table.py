from datetime import UTC, datetime
from decimal import Decimal

import pytest
import yaml

from ask_expert.experts import prices
from ask_expert.experts.found import FLAGSHIPS
from ask_expert.report import price_table
from ask_expert.report.price_table import Priced, for_model
from ask_expert.settings import ExpertSettings, Settings

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def expert(**fields: object) -> ExpertSettings:
    return ExpertSettings.model_validate(
        {"name": "flagship", "api": "openai_chat", "model": "gpt-6.1-sol", **fields}
    )


def only(found: list[Priced]) -> Priced:
    (one,) = found
    return one


def test_prices_of_the_list_come_with_their_tiers() -> None:
    table = only(for_model("gpt-6.1-sol", [], NOW))

    assert price_table.cells(table) == [
        ("up to 272,000", "$2.00", "$0.10", "$2.50", "$2.50", "$10.00"),
        ("above 272,000", "$4.00", "$0.20", "$5.00", "$5.00", "$15.00"),
    ]
    assert price_table.heading(table) == "gpt-6.1-sol (in no settings, openai_chat)"
    assert "(openai:gpt-6.1-sol)" in price_table.sentences(table)[0]


@pytest.mark.parametrize(
    ("tokens_in", "worst_nusd"),
    [
        (0, 10_000_000),  # 1,000 x 10
        (272_000, 690_000_000),  # 272,000 x 2.5 + 1,000 x 10
        (272_001, 1_375_005_000),  # 272,001 x 5 + 1,000 x 15
    ],
)
def test_the_worst_case_is_at_the_tier_that_the_input_reaches(
    tokens_in: int, worst_nusd: int
) -> None:
    table = only(
        for_model("gpt-6.1-sol", [], NOW, tokens_in=tokens_in, tokens_out=1_000)
    )

    assert table.worst_case_nusd == worst_nusd


@pytest.mark.parametrize("flagship", FLAGSHIPS, ids=lambda each: each.name)
@pytest.mark.parametrize("size", [10, 3_000_000])
def test_the_worst_case_is_what_a_reservation_sets_aside(
    flagship: ExpertSettings, size: int
) -> None:
    quote = prices.quote(flagship, b"x" * size, NOW)

    table = only(
        for_model(
            flagship.model,
            [flagship],
            NOW,
            tokens_in=quote.input_tokens,
            tokens_out=flagship.max_output_tokens,
        )
    )

    assert table.worst_case_nusd == quote.worst_case_nusd(flagship.max_output_tokens)


def test_the_settings_own_price_comes_first_and_has_no_tiers() -> None:
    known = [expert(price={"input_per_mtok": "1", "output_per_mtok": "7"})]

    table = only(for_model("gpt-6.1-sol", known, NOW, tokens_in=1_000_000))

    assert price_table.cells(table) == [
        ("any", "$1.00", "$1.00", "$1.25", "$2.50", "$7.00")
    ]
    assert "by settings" in price_table.sentences(table)[0]
    assert table.size == price_table.Size(tokens_in=1_000_000, tokens_out=8192)
    assert table.worst_case_nusd == 1_250_000_000 + 8192 * 7_000


def test_a_faster_tier_that_the_settings_ask_for_is_in_the_price() -> None:
    plain, fast = expert(), expert(name="fast", extra_body={"service_tier": "priority"})

    first, second = for_model("gpt-6.1-sol", [plain, fast], NOW)

    assert second.tiers[0].prices.input > first.tiers[0].prices.input


def test_every_expert_that_asks_the_model_has_its_price() -> None:
    known = [
        expert(name="a"),
        expert(name="b", api="openai_responses"),
        expert(name="c", model="other"),
    ]

    assert [each.expert.name for each in for_model("gpt-6.1-sol", known, NOW)] == [
        "a",
        "b",
    ]
    of_api = for_model("gpt-6.1-sol", known, NOW, api="openai_responses")
    assert [each.expert.name for each in of_api] == ["b"]
    by_name = for_model("a", known, NOW)
    assert by_name[0].expert.model == "gpt-6.1-sol"


@pytest.mark.parametrize("model", ["made-up", "it's: #1"])
def test_without_a_price_the_settings_to_add_are_told(model: str) -> None:
    table = only(for_model(model, [], NOW, tokens_in=5))

    assert not table.known
    assert table.worst_case_nusd is None
    assert price_table.cells(table) == []
    lines = price_table.sentences(table)[-1].replace("…", "1.5")
    added = Settings.model_validate(yaml.safe_load(lines))
    assert added.experts[0].model == model
    assert added.experts[0].price is not None
    assert added.experts[0].price.output_per_mtok == Decimal("1.5")


def test_json_names_every_price_as_exact_text() -> None:
    table = only(for_model("claude-opus-5-5", [], NOW, api="anthropic", tokens_out=10))

    form = price_table.as_json(table)

    assert form["tiers"] == [
        {
            "above_input_tokens": 0,
            "input_usd_per_mtok": "4",
            "cache_read_usd_per_mtok": "0.2",
            "cache_write_usd_per_mtok": "5",
            "cache_write_long_usd_per_mtok": "8",
            "output_usd_per_mtok": "20",
            "reasoning_usd_per_mtok": "20",
            "call_usd": "0",
        }
    ]
    assert (form["expert"], form["tokens_in"], form["tokens_out"]) == (None, 0, 10)
    assert form["worst_case_usd"] == 0.0002
