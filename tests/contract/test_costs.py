"""
Nano-dollars from a vendor's own usage, against the price worked out by hand.

`pytest tests/contract/test_costs.py -s` prints the table. Each price is written out:
tokens times USD per million tokens, times 1,000, is nano-dollars. The prices are the
vendors' list prices of November 2026.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal as D  # noqa: N817  # the arithmetic is to be read
from typing import Any

import pytest

from ask_expert.experts.prices import charge
from ask_expert.experts.registry import wire_for
from ask_expert.reply import Charge
from ask_expert.settings import ExpertSettings
from tests.experts.support import NOW, an_expert

DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A reply, and its price in nano-dollars by hand."""

    says: str
    expert: ExpertSettings
    body: dict[str, Any]
    nano: D
    tier: str = "standard"
    now: datetime = NOW


def responses(model: str, tier: str = "default", **usage: Any) -> dict[str, Any]:
    part = {"type": "output_text", "text": "Hi."}
    item = {"type": "message", "content": [part]}
    return {
        "status": "completed",
        "model": model,
        "output": [item],
        "service_tier": tier,
        "usage": {
            **usage,
            "total_tokens": usage["input_tokens"] + usage["output_tokens"],
        },
    }


def chat(model: str, **usage: Any) -> dict[str, Any]:
    choice = {"message": {"content": "Hi."}, "finish_reason": "stop"}
    return {"model": model, "choices": [choice], "usage": usage}


def messages(model: str, **usage: Any) -> dict[str, Any]:
    block = {"type": "text", "text": "Hi."}
    return {
        "model": model,
        "content": [block],
        "stop_reason": "end_turn",
        "usage": usage,
    }


def content(model: str, **counts: int) -> dict[str, Any]:
    candidate = {"content": {"parts": [{"text": "Hi."}]}, "finishReason": "STOP"}
    usage = {f"{name}TokenCount": count for name, count in counts.items()}
    return {"modelVersion": model, "candidates": [candidate], "usageMetadata": usage}


SOL = an_expert(api="openai_responses", model="gpt-6.1-sol")
LUNA = an_expert(api="openai_chat", model="gpt-6-luna")
OPUS = an_expert(api="anthropic", model="claude-opus-5-5")
HAIKU = an_expert(api="anthropic", model="claude-haiku-5-5")
ARGON = an_expert(api="gemini", model="gemini-4-argon")
PRO = an_expert(api="gemini", model="gemini-3.1-pro-preview")
ROUTER = an_expert(api="openrouter", model="anthropic/claude-opus-5.5")
OWN = an_expert(
    base_url="http://127.0.0.1:9/v1",
    model="own",
    price={
        "input_per_mtok": "1.1",
        "output_per_mtok": "7.3",
        "cache_read_per_mtok": "0.11",
    },
)

ROWS = (
    Row(
        says="plain input and output",
        expert=SOL,
        body=responses("gpt-6.1-sol", input_tokens=1000, output_tokens=500),
        nano=1000 * (1000 * D(2) + 500 * D(10)),
    ),
    Row(
        says="cached input, read and written",
        expert=SOL,
        body=responses(
            "gpt-6.1-sol",
            input_tokens=1000,
            input_tokens_details={"cached_tokens": 600, "cache_write_tokens": 300},
            output_tokens=50,
        ),
        nano=1000 * (100 * D(2) + 600 * D("0.10") + 300 * D("2.50") + 50 * D(10)),
    ),
    Row(
        says="reasoning is part of the output",
        expert=SOL,
        body=responses(
            "gpt-6.1-sol-2026-10-01",
            input_tokens=777,
            output_tokens=4321,
            output_tokens_details={"reasoning_tokens": 4000},
        ),
        nano=1000 * (777 * D(2) + 4321 * D(10)),
    ),
    Row(
        says="at 272,000 tokens of input",
        expert=SOL,
        body=responses("gpt-6.1-sol", input_tokens=272_000, output_tokens=100),
        nano=1000 * (272_000 * D(2) + 100 * D(10)),
    ),
    Row(
        says="over 272,000: every token is dearer",
        expert=SOL,
        body=responses("gpt-6.1-sol", input_tokens=272_001, output_tokens=100),
        nano=1000 * (272_001 * D(4) + 100 * D(15)),
    ),
    Row(
        says="over 272,000 by what was cached",
        expert=SOL,
        body=responses(
            "gpt-6.1-sol",
            input_tokens=300_000,
            input_tokens_details={"cached_tokens": 290_000},
            output_tokens=10,
        ),
        nano=1000 * (10_000 * D(4) + 290_000 * D("0.20") + 10 * D(15)),
    ),
    Row(
        says="served at priority",
        expert=SOL,
        body=responses("gpt-6.1-sol", "priority", input_tokens=1000, output_tokens=500),
        nano=2 * 1000 * (1000 * D(2) + 500 * D(10)),
    ),
    Row(
        says="served at flex",
        expert=SOL,
        body=responses("gpt-6.1-sol", "flex", input_tokens=1000, output_tokens=500),
        nano=1000 * (1000 * D(2) + 500 * D(10)) / 2,
    ),
    Row(
        says="another model than was asked",
        expert=SOL,
        body=responses("gpt-6-astra", input_tokens=1000, output_tokens=500),
        nano=1000 * (1000 * D(10) + 500 * D(50)),
    ),
    Row(
        says="the cheapest tokens, cached",
        expert=LUNA,
        body=chat(
            "gpt-6-luna",
            prompt_tokens=1003,
            prompt_tokens_details={"cached_tokens": 1001},
            completion_tokens=3,
            total_tokens=1006,
        ),
        nano=1000 * (2 * D("0.1") + 1001 * D("0.01") + 3 * D("0.5")),
    ),
    Row(
        says="Gemini's thoughts, hidden in OpenAI's shape",
        expert=an_expert(
            base_url="https://generativelanguage.googleapis.com/v1beta/openai",
            model="gemini-4-argon",
        ),
        body=chat(
            "gemini-4-argon",
            prompt_tokens=100,
            completion_tokens=200,
            total_tokens=800,
        ),
        nano=1000 * (100 * D(2) + 700 * D(10)),
    ),
    Row(
        says="caches of five minutes and of one hour",
        expert=OPUS,
        body=messages(
            "claude-opus-5-5",
            input_tokens=100,
            cache_read_input_tokens=2000,
            cache_creation_input_tokens=500,
            cache_creation={
                "ephemeral_5m_input_tokens": 200,
                "ephemeral_1h_input_tokens": 300,
            },
            output_tokens=90,
        ),
        nano=1000
        * (100 * D(4) + 2000 * D("0.20") + 200 * D(5) + 300 * D(8) + 90 * D(20)),
    ),
    Row(
        says="a cache of unsaid life is one of five minutes",
        expert=OPUS,
        body=messages(
            "claude-opus-5-5",
            input_tokens=1,
            cache_creation_input_tokens=1000,
            output_tokens=1,
        ),
        nano=1000 * (1 * D(4) + 1000 * D(5) + 1 * D(20)),
    ),
    Row(
        says="fast mode",
        expert=OPUS,
        body=messages(
            "claude-opus-5-5", input_tokens=100, output_tokens=90, speed="fast"
        ),
        nano=1000 * (100 * D(8) + 90 * D(40)),
    ),
    Row(
        says="Anthropic's priority was paid before",
        expert=OPUS,
        body=messages(
            "claude-opus-5-5",
            input_tokens=100,
            output_tokens=90,
            service_tier="priority",
        ),
        nano=1000 * (100 * D(4) + 90 * D(20)),
    ),
    Row(
        says="an advisor's and a compaction's tokens beside the total",
        expert=OPUS,
        body=messages(
            "claude-opus-5-5",
            input_tokens=1000,
            output_tokens=100,
            iterations=[
                {"type": "message", "input_tokens": 1000, "output_tokens": 100},
                {"type": "advisor_message", "input_tokens": 1500, "output_tokens": 700},
                {"type": "compaction", "input_tokens": 30, "output_tokens": 20},
            ],
        ),
        nano=1000 * ((1000 + 1500 + 30) * D(4) + (100 + 700 + 20) * D(20)),
    ),
    Row(
        says="a prompt over 100,000 tokens",
        expert=HAIKU,
        body=messages("claude-haiku-5-5", input_tokens=100_001, output_tokens=1000),
        nano=1000 * (100_001 * D("0.50") + 1000 * D("2.50")),
    ),
    Row(
        says="Gemini's thoughts, tools and cache",
        expert=ARGON,
        body=content(
            "gemini-4-argon-001",
            prompt=1000,
            cachedContent=600,
            toolUsePrompt=70,
            candidates=50,
            thoughts=500,
            total=1620,
        ),
        nano=1000 * ((400 + 70) * D(2) + 600 * D("0.10") + 550 * D(10)),
    ),
    Row(
        says="the same model from December on",
        expert=ARGON,
        body=content("gemini-4-argon", prompt=1000, candidates=500, total=1500),
        nano=1000 * (1000 * D(4) + 500 * D(20)),
        now=DECEMBER,
    ),
    Row(
        says="Gemini's priority, told in a header: at most twice",
        expert=ARGON,
        body=content("gemini-4-argon", prompt=1000, candidates=500, total=1500),
        nano=2 * 1000 * (1000 * D(2) + 500 * D(10)),
        tier="priority",
    ),
    Row(
        says="at 200,000 tokens of input",
        expert=PRO,
        body=content(
            "gemini-3.1-pro-preview", prompt=200_000, candidates=100, total=200_100
        ),
        nano=1000 * (200_000 * D(2) + 100 * D(12)),
    ),
    Row(
        says="over 200,000, with cache and thoughts",
        expert=PRO,
        body=content(
            "gemini-3.1-pro-preview",
            prompt=200_001,
            cachedContent=100_000,
            candidates=100,
            thoughts=900,
            total=201_001,
        ),
        nano=1000 * (100_001 * D(4) + 100_000 * D("0.40") + 1000 * D(18)),
    ),
    Row(
        says="OpenRouter's own figure, rounded up to a whole nano-dollar",
        expert=ROUTER,
        body=chat(
            "anthropic/claude-opus-5.5",
            prompt_tokens=1000,
            completion_tokens=500,
            total_tokens=1500,
            cost=0.0141234567,
        ),
        nano=D(14_123_457),
    ),
    Row(
        says="OpenRouter's fee and the upstream's bill",
        expert=ROUTER,
        body=chat(
            "anthropic/claude-opus-5.5",
            prompt_tokens=1000,
            completion_tokens=500,
            total_tokens=1500,
            cost=0.0007,
            is_byok=True,
            cost_details={"upstream_inference_cost": 0.014},
        ),
        nano=(D("0.0007") + D("0.014")) * 10**9,
    ),
    Row(
        says="OpenRouter without a figure",
        expert=ROUTER,
        body=chat(
            "anthropic/claude-opus-5.5",
            prompt_tokens=1000,
            prompt_tokens_details={"cached_tokens": 400, "cache_write_tokens": 100},
            completion_tokens=500,
            total_tokens=1500,
        ),
        nano=1000 * (500 * D(4) + 400 * D("0.20") + 100 * D(5) + 500 * D(20)),
    ),
    Row(
        says="the settings' own price; a write is 1.25 times input",
        expert=OWN,
        body=chat(
            "gpt-6-astra",
            prompt_tokens=1000,
            prompt_tokens_details={"cached_tokens": 300, "cache_write_tokens": 200},
            completion_tokens=77,
            total_tokens=1077,
        ),
        nano=1000
        * (
            500 * D("1.1")
            + 300 * D("0.11")
            + 200 * D("1.1") * D("1.25")
            + 77 * D("7.3")
        ),
    ),
)


def charged(row: Row) -> Charge:
    wire = wire_for(row.expert.api)
    headers = {"x-gemini-service-tier": row.tier}
    answer = wire.decode(row.expert, json.dumps(row.body).encode(), headers)
    return charge(row.expert, answer, row.now)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.says.replace(" ", "-"))
def test_a_reply_costs_what_it_costs_by_hand(row: Row) -> None:
    assert charged(row).nusd == row.nano


def test_the_table_has_more_than_twenty_rows_and_all_are_equal() -> None:
    lines = [(row, charged(row)) for row in ROWS]

    print(f"\n{'usage':58} {'model':26} {'ours, nUSD':>14} {'by hand':>14}  source")
    for row, found in lines:
        by_hand, model = int(row.nano), row.expert.model
        print(
            f"{row.says:58} {model:26} {found.nusd:14,} {by_hand:14,}  {found.source}"
        )
    assert len(lines) > 20
    assert [row.says for row, found in lines if found.nusd != row.nano] == []
