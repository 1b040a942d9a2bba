from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.errors import UnknownPriceError
from ask_expert.experts.prices import Quote, charge, quote
from ask_expert.reply import ExpertAnswer, Provenance, Usage
from ask_expert.settings import ExpertSettings
from tests.experts.support import NOW, an_expert

SOL = an_expert(api="openai_responses", model="gpt-6.1-sol")
OPUS = an_expert(api="anthropic", model="claude-opus-5-5")
HAIKU = an_expert(api="anthropic", model="claude-haiku-5-5")
ARGON = an_expert(
    model="gemini-4-argon",
    base_url="https://generativelanguage.googleapis.com/v1beta/openai",
)
OWN = an_expert(
    base_url="http://127.0.0.1:9/v1",
    model="local",
    price={"input_per_mtok": Decimal("1.25"), "output_per_mtok": 10},
)
CENTS = st.decimals(min_value=0, max_value=1000, places=4, allow_nan=False)
BODY = b'{"messages":[{"role":"user","content":"hello world"}]}'


def answered(
    tokens: dict[str, Any],
    *,
    served: str | None = None,
    tier: str | None = None,
    **facts: Any,
) -> ExpertAnswer:
    provenance = Provenance(asked_model="x", served_model=served, service_tier=tier)
    return ExpertAnswer(
        text="Hi.", usage=Usage(**tokens), provenance=provenance, **facts
    )


def tokens(read: int, written: int, **more: Any) -> dict[str, Any]:
    return {"input_tokens": read, "output_tokens": written, **more}


def nusd(expert: ExpertSettings, answer: ExpertAnswer, now: datetime = NOW) -> int:
    return charge(expert, answer, now).nusd


def test_plain_tokens_cost_the_list_price() -> None:
    # 1,000 × $2/M + 500 × $10/M
    assert nusd(SOL, answered(tokens(1000, 500))) == 7_000_000


def test_cached_tokens_have_their_own_prices() -> None:
    used = tokens(100, 50, cache_read_tokens=600, cache_write_tokens=300)

    # 100 × $2/M + 600 × $0.10/M + 300 × $2.50/M + 50 × $10/M
    assert nusd(SOL, answered(used)) == 200_000 + 60_000 + 750_000 + 500_000


def test_reasoning_is_part_of_the_output_and_not_billed_twice() -> None:
    used = tokens(1000, 500, reasoning_tokens=400)

    assert nusd(SOL, answered(used)) == 7_000_000


def test_one_token_over_a_tier_reprices_every_token() -> None:
    at_tier, over = tokens(272_000, 100), tokens(272_001, 100)

    # 272,000 × $2/M + 100 × $10/M, then 272,001 × $4/M + 100 × $15/M
    assert nusd(SOL, answered(at_tier)) == 545_000_000
    assert nusd(SOL, answered(over)) == 1_089_504_000


def test_cached_input_counts_towards_the_tier() -> None:
    used = tokens(1, 0, cache_read_tokens=272_000)

    # 1 × $4/M + 272,000 × $0.20/M
    assert nusd(SOL, answered(used)) == 4_000 + 54_400_000


@pytest.mark.parametrize(
    ("tier", "expected"),
    [
        ("default", 7_000_000),
        ("priority", 14_000_000),  # × 2
        ("fast", 14_000_000),
        ("flex", 3_500_000),  # × 0.5
        ("ultrafast", 42_000_000),  # unknown to the list: × 6
    ],
)
def test_the_tier_that_served_decides_the_price(tier: str, expected: int) -> None:
    assert nusd(SOL, answered(tokens(1000, 500), tier=tier)) == expected


def test_anthropic_s_cache_writes_cost_by_how_long_they_live() -> None:
    used = tokens(
        100,
        90,
        cache_read_tokens=2000,
        cache_write_tokens=200,
        cache_write_long_tokens=300,
    )

    # 100 × $4/M + 2,000 × $0.20/M + 200 × $5/M + 300 × $8/M + 90 × $20/M
    assert nusd(OPUS, answered(used)) == 6_000_000


def test_anthropic_s_fast_mode_costs_twice() -> None:
    # 100 × $8/M + 90 × $40/M
    assert nusd(OPUS, answered(tokens(100, 90), speed="fast")) == 4_400_000


def test_anthropic_s_priority_is_accounted_at_list_price() -> None:
    # 100 × $4/M + 90 × $20/M
    assert nusd(OPUS, answered(tokens(100, 90), tier="priority")) == 2_200_000


def test_a_long_prompt_makes_the_small_model_dear() -> None:
    # 100,001 × $0.50/M + 1,000 × $2.50/M
    assert nusd(HAIKU, answered(tokens(100_001, 1000))) == 52_500_500


def test_a_price_that_changes_on_a_date_follows_the_date() -> None:
    used = answered(tokens(1000, 1000))

    # $2 and $10 per M in November, $4 and $20 from December on
    assert nusd(ARGON, used) == 12_000_000
    assert nusd(ARGON, used, datetime(2026, 12, 1, tzinfo=UTC)) == 24_000_000


def test_a_dated_snapshot_costs_what_its_model_costs() -> None:
    used = answered(tokens(1000, 500), served="gpt-6.1-sol-2026-10-01")

    assert nusd(SOL, used) == 7_000_000


def test_another_model_than_asked_is_charged_as_served() -> None:
    used = answered(tokens(1000, 500), served="gpt-6-astra")

    # 1,000 × $10/M + 500 × $50/M
    assert nusd(SOL, used) == 35_000_000


def test_a_served_name_nobody_knows_is_charged_as_asked() -> None:
    assert nusd(SOL, answered(tokens(1000, 500), served="/m/x.gguf")) == 7_000_000


def test_the_user_s_own_price_comes_before_the_list() -> None:
    found = charge(OWN, answered(tokens(7, 3), served="gpt-6-astra"), NOW)

    # 7 × $1.25/M + 3 × $10/M
    assert (found.nusd, found.source) == (8_750 + 30_000, "settings")


def test_the_user_s_own_cache_prices_are_taken_as_given() -> None:
    price = {
        "input_per_mtok": 2,
        "output_per_mtok": 10,
        "cache_read_per_mtok": "0.2",
        "cache_write_per_mtok": 3,
    }
    used = tokens(0, 0, cache_read_tokens=1000, cache_write_tokens=1000)

    # 1,000 × $0.20/M + 1,000 × $3/M
    assert nusd(an_expert(price=price), answered(used)) == 3_200_000


def test_the_user_s_missing_cache_prices_are_never_cheaper_than_input() -> None:
    price = {"input_per_mtok": 2, "output_per_mtok": 10}
    used = tokens(0, 0, cache_read_tokens=1000, cache_write_tokens=1000)

    # 1,000 × $2/M + 1,000 × $2.50/M
    assert nusd(an_expert(price=price), answered(used)) == 4_500_000


def test_every_line_is_rounded_up() -> None:
    price = {"input_per_mtok": "0.0001", "output_per_mtok": "0.0001"}
    expert = an_expert(model="local", price=price)

    # a tenth of a nano-dollar each
    assert nusd(expert, answered(tokens(1, 1))) == 2


def test_the_provider_s_own_figure_comes_first() -> None:
    cost = Decimal("0.0012345678901")

    found = charge(OWN, answered(tokens(7, 3), reported_cost_usd=cost), NOW)

    assert (found.nusd, found.source) == (1_234_568, "provider")


def test_unknown_usage_is_charged_at_what_is_assumed_and_says_so() -> None:
    used = answered(tokens(0, 3, source="estimated"))

    found = charge(OWN, used, NOW, assumed_input_tokens=100, assumed_output_tokens=1000)

    # 100 × $1.25/M + 1,000 × $10/M
    assert found.nusd == 125_000 + 10_000_000
    assert found.detail["usage"] == "estimated"


def broken(used: dict[str, Any], **facts: Any) -> ExpertAnswer:
    return answered({**used, "source": "partial"}, finish="partial", **facts)


def test_a_reply_that_broke_off_is_charged_with_its_input_and_the_whole_ceiling() -> (
    None
):
    used = tokens(1000, 5, cache_read_tokens=600)

    cost = charge(
        SOL, broken(used), NOW, assumed_input_tokens=9000, assumed_output_tokens=500
    )

    # 1,000 × $2/M + 600 × $0.10/M + 500 × $10/M
    assert cost.nusd == 2_000_000 + 60_000 + 5_000_000
    assert cost.detail["usage"] == "partial"


def test_a_reply_that_broke_off_never_costs_less_than_it_told() -> None:
    cost = charge(SOL, broken(tokens(0, 700)), NOW, assumed_output_tokens=500)

    assert cost.nusd == 7_000_000


@pytest.mark.parametrize(("reported", "expected"), [("0.001", 5), ("0.02", 20)])
@pytest.mark.parametrize("source", ["partial", "estimated"])
def test_a_provider_s_own_figure_does_not_lower_the_cost_of_a_broken_stream(
    source: str, reported: str, expected: int
) -> None:
    answer = answered(
        {**tokens(0, 5), "source": source},
        finish="partial",
        reported_cost_usd=Decimal(reported),
    )

    cost = charge(SOL, answer, NOW, assumed_output_tokens=500)

    assert cost.nusd == expected * 1_000_000
    assert cost.detail["reported_cost_usd"] == reported


@given(
    read=st.integers(0, 900),
    told=st.integers(0, 600),
    thought=st.integers(0, 600),
    billed=st.integers(0, 500),
    expert=st.sampled_from([SOL, OPUS, HAIKU, ARGON, OWN]),
)
def test_no_broken_stream_is_charged_below_what_may_be_billed(
    read: int, told: int, thought: int, billed: int, expert: ExpertSettings
) -> None:
    answer = broken(tokens(read, told, reasoning_tokens=thought))

    cost = charge(expert, answer, NOW, assumed_output_tokens=500)

    assert cost.nusd >= nusd(expert, answered(tokens(read, billed)))


@pytest.mark.parametrize(
    ("source", "output"), [("provider", 3), ("partial", 500), ("estimated", 500)]
)
def test_an_input_of_nothing_is_taken_at_its_most(source: str, output: int) -> None:
    used = answered(tokens(0, 3, source=source))

    found = charge(OWN, used, NOW, assumed_input_tokens=100, assumed_output_tokens=500)

    # 100 × $1.25/M
    assert found.nusd == 125_000 + output * 10_000


def test_an_input_that_was_all_cached_is_told() -> None:
    used = answered(tokens(0, 3, cache_read_tokens=10))

    found = charge(OWN, used, NOW, assumed_input_tokens=100)

    assert found.nusd == 10 * 1_250 + 3 * 10_000


def test_a_text_longer_than_the_ceiling_is_charged_as_long_as_it_may_be() -> None:
    used = replace(broken(tokens(1000, 1)), text="9" * 700)

    cost = charge(SOL, used, NOW, assumed_output_tokens=500)

    assert cost.nusd == 2_000_000 + 7_000_000


def test_a_cost_beside_an_output_that_is_not_believed_does_not_lower_ours() -> None:
    used = answered(tokens(1000, 3, source="partial"), reported_cost_usd=Decimal(0))

    cost = charge(SOL, used, NOW, assumed_output_tokens=500)

    assert cost.nusd == 2_000_000 + 5_000_000


def test_usage_that_the_provider_named_is_not_replaced_by_an_assumption() -> None:
    found = charge(OWN, answered(tokens(7, 3)), NOW, assumed_input_tokens=100)

    assert found.nusd == 38_750


def test_a_charge_can_be_recomputed_from_its_detail() -> None:
    detail = charge(SOL, answered(tokens(1000, 500), tier="flex"), NOW).detail

    assert detail["source"].startswith("genai-prices 0.2")
    assert detail["model"] == "openai:gpt-6.1-sol"
    assert (detail["input"], detail["output"], detail["service_tier"]) == (
        "1",
        "5",
        "flex",
    )


@pytest.mark.parametrize(
    "model", ["gpt-6.2-sol", "some-model", "text-embedding-3-small"]
)
def test_a_model_without_a_price_is_never_free(model: str) -> None:
    expert = an_expert(model=model)

    with pytest.raises(UnknownPriceError):
        quote(expert, BODY, NOW)
    with pytest.raises(UnknownPriceError):
        charge(expert, answered(tokens(1, 1)), NOW)


def test_a_quote_takes_the_input_as_written_to_a_cache() -> None:
    found = quote(SOL, BODY, NOW)

    assert found.input_nusd == found.input_tokens * 2_500
    assert found.output_usd_per_mtok == 10


def test_a_quote_takes_a_requested_lasting_cache_into_account() -> None:
    body = BODY[:-1] + b',"cache_control":{"type":"ephemeral","ttl":"1h"}}'

    found = quote(OPUS, body, NOW)

    assert found.input_nusd == found.input_tokens * 8_000


def test_a_quote_takes_a_requested_tier_into_account() -> None:
    expert = an_expert(extra_body={"service_tier": "priority"})

    assert quote(expert, BODY, NOW).output_usd_per_mtok == 20


def test_a_tier_that_is_asked_for_in_google_s_spelling_counts_as_well() -> None:
    expert = an_expert(
        api="gemini", model="gemini-4-argon", extra_body={"serviceTier": "priority"}
    )

    # $2 and $10 per M, at most twice
    assert quote(expert, BODY, NOW).output_usd_per_mtok == 20


@pytest.mark.parametrize(
    ("api", "model", "output"),
    [("gemini", "gemini-4-argon", 10), ("openrouter", "anthropic/claude-opus-5.5", 20)],
)
def test_behind_a_proxy_the_wire_s_vendor_has_the_price(
    api: str, model: str, output: int
) -> None:
    expert = an_expert(api=api, model=model, base_url="https://proxy.example/v1")

    assert quote(expert, BODY, NOW).output_usd_per_mtok == output


def test_a_quote_over_the_tier_is_at_the_tier_s_prices() -> None:
    found = quote(SOL, b"9" * 300_000, NOW)

    assert found.input_nusd == found.input_tokens * 5_000
    assert found.output_usd_per_mtok == 15


@given(
    input_tokens=st.integers(0, 2_000_000),
    price=CENTS,
    out=CENTS,
    room=st.integers(0, 10**12),
)
def test_the_ceiling_is_the_most_that_fits(
    input_tokens: int, price: Decimal, out: Decimal, room: int
) -> None:
    expert = an_expert(price={"input_per_mtok": price, "output_per_mtok": out})
    own = quote(expert, b"x" * min(input_tokens, 5000), NOW)

    ceiling = own.ceiling_within(room)

    if room < own.input_nusd:
        assert ceiling == 0
    elif out > 0:
        assert own.worst_case_nusd(ceiling) <= room < own.worst_case_nusd(ceiling + 1)


@given(
    read=st.integers(0, 900),
    cached=st.integers(0, 50),
    written=st.integers(0, 50),
    output=st.integers(0, 4096),
    tier=st.sampled_from([None, "default", "flex"]),
    expert=st.sampled_from([SOL, OPUS, HAIKU, ARGON, OWN]),
)
def test_no_charge_within_the_bounds_exceeds_its_quote(
    read: int,
    cached: int,
    written: int,
    output: int,
    tier: str | None,
    expert: ExpertSettings,
) -> None:
    bound = quote(expert, b"x" * 1000, NOW)
    used = tokens(read, output, cache_read_tokens=cached, cache_write_tokens=written)

    cost = charge(expert, answered(used, tier=tier), NOW).nusd

    assert read + cached + written <= bound.input_tokens
    # each of four lines may round up by less than one nano-dollar
    assert cost <= bound.worst_case_nusd(output) + 3


def test_a_free_expert_has_no_ceiling_of_its_own() -> None:
    free = Quote(
        input_tokens=1, input_nusd=0, output_usd_per_mtok=Decimal(0), source="settings"
    )

    assert free.ceiling_within(0) > 10**9
