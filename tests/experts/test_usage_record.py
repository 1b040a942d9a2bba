"""A provider is asked for what one request cost, and believed only where it says so."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from ask_expert.experts import http, usage_record
from ask_expert.experts.usage_record import NoRecord, UsageRecord
from ask_expert.reply import Usage
from ask_expert.settings import ExpertSettings, Price
from tests.fakes.provider import Provider
from tests.fakes.records import generation

pytestmark = pytest.mark.anyio

KEY = "sk-or-v1-0123456789abcdef"
ID = "gen-1763700000-abcDEF"
PRICE = Price(input_per_mtok=Decimal(1), output_per_mtok=Decimal(10))


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider(key=KEY) as running:
        yield running


def expert(url: str | None, api: str = "openrouter") -> ExpertSettings:
    return ExpertSettings(
        name="router", api=api, base_url=url, model="some/model", price=PRICE
    )


async def asked(
    provider: Provider, key: str | None = KEY, request_id: str = ID
) -> UsageRecord | NoRecord:
    async with http.new_client() as client:
        found = expert(provider.base("openrouter"))
        return await usage_record.ask(client, found, request_id, key=key)


async def test_the_record_tells_cost_counts_model_and_upstream(
    provider: Provider,
) -> None:
    provider.records[ID] = generation(ID, cost_usd=0.0015)

    found = await asked(provider)

    assert found == UsageRecord(
        cost_usd=Decimal("0.0015"),
        usage=Usage(
            input_tokens=100,
            cache_read_tokens=20,
            output_tokens=25,
            reasoning_tokens=5,
        ),
        served_model="anthropic/some-model",
        provider="Anthropic",
        finish_reason="end_turn",
    )


@pytest.mark.parametrize(
    ("cost_usd", "facts", "billed"),
    [
        (0, {"cancelled": True}, "0"),
        (0.0001, {"is_byok": True, "upstream_inference_cost": 0.02}, "0.0201"),
        (0.03, {"native_tokens_prompt": None}, "0.03"),
    ],
)
async def test_what_the_record_says_was_billed_counts(
    provider: Provider, cost_usd: float, facts: dict[str, Any], billed: str
) -> None:
    provider.records[ID] = generation(ID, cost_usd=cost_usd, **facts)

    found = await asked(provider)

    assert isinstance(found, UsageRecord)
    assert found.cost_usd == Decimal(billed)
    assert (found.usage is None) is ("native_tokens_prompt" in facts)


@pytest.mark.parametrize(
    ("record", "why", "unreachable"),
    [
        (404, "knows no such request", False),
        (generation(ID, cost_usd=None), "names no cost", False),
        (generation(ID, cost_usd=1, is_byok=True), "names no cost", False),
        (generation(ID, cost_usd=-1), "names no cost", False),
        (generation(ID, cost_usd=0, is_byok=1), "names no cost", False),
        (generation(ID, cost_usd=0, is_byok="true"), "names no cost", False),
        (generation(ID, cost_usd=0, id=None), "another request", True),
        (generation(ID, cost_usd=0, id=7), "another request", True),
        (b'{"data": {"total_cost": 0}}', "another request", True),
        (500, "HTTP 500", True),
        (302, "HTTP 302", True),
        (generation("gen-of-another", cost_usd=1), "another request", True),
        (b"<html>Bad gateway</html>", "unreadable", True),
        (b'{"data": []}', "unreadable", True),
        (b" " * 600_000, "larger than", True),
    ],
    ids=str,
)
async def test_what_is_no_record_frees_nothing(
    provider: Provider, record: Any, why: str, unreachable: bool
) -> None:
    provider.records[ID] = record

    found = await asked(provider)

    assert isinstance(found, NoRecord)
    assert why in found.why
    assert (found.unreachable, found.of_all) == (unreachable, False)


async def test_a_key_that_is_turned_down_is_no_word_on_the_cost(
    provider: Provider,
) -> None:
    provider.records[ID] = generation(ID, cost_usd=0)

    found = await asked(provider, key="sk-or-v1-another-key")

    why = "the provider answered HTTP 401"
    assert found == NoRecord(why=why, unreachable=True, of_all=True)


async def test_a_provider_that_is_not_there_may_say_more_later(
    provider: Provider,
) -> None:
    gone = expert(f"http://127.0.0.1:{_free(provider)}/api/v1")

    async with http.new_client() as client:
        found = await usage_record.ask(client, gone, ID, key=KEY)

    assert isinstance(found, NoRecord)
    assert (found.unreachable, found.of_all) == (True, True)
    assert "could not be reached" in found.why


def _free(provider: Provider) -> int:
    with Provider() as other:
        assert other.port != provider.port
        return other.port


@pytest.mark.parametrize(
    "name", ["", "req_1", "gen-../../credits", "gen-1&id=gen-2", "gen-ä", "gen-1\n"]
)
async def test_only_an_id_of_a_generation_is_asked_for(
    provider: Provider, name: str
) -> None:
    found = await asked(provider, request_id=name)

    assert isinstance(found, NoRecord)
    assert provider.looked_up == []


@pytest.mark.parametrize(
    "api", ["openai_chat", "openai_responses", "anthropic", "gemini", "bedrock"]
)
def test_most_providers_keep_no_record_that_can_be_asked_for(api: str) -> None:
    why = usage_record.cannot_ask(expert(None, api), ID)

    assert why == "its provider keeps no record that can be asked for"


def test_openrouter_is_asked_whichever_wire_it_is_spoken_to_by() -> None:
    found = expert("https://openrouter.ai/api/v1", "openai_chat")

    assert usage_record.cannot_ask(found, ID) is None


def test_of_two_ids_the_one_to_ask_by_is_kept_else_the_first() -> None:
    router, other = expert(None), expert(None, "anthropic")

    assert usage_record.better(router, None, "req_1") == "req_1"
    assert usage_record.better(router, "req_1", ID) == ID
    assert usage_record.better(router, ID, "req_1") == ID
    assert usage_record.better(other, "req_1", "msg_1") == "req_1"


def test_an_expert_that_is_gone_and_a_call_without_id_cannot_be_asked_about() -> None:
    assert "settings" in (usage_record.cannot_ask(None, ID) or "")
    assert "named it" in (usage_record.cannot_ask(expert(None), None) or "")


async def test_numbers_are_read_exactly(provider: Provider) -> None:
    told = json.dumps({"data": generation(ID, cost_usd=1)})
    exact = told.replace('"total_cost": 1', '"total_cost": 0.000000001')
    provider.records[ID] = exact.encode()

    found = await asked(provider)

    assert isinstance(found, UsageRecord)
    assert found.cost_usd == Decimal("0.000000001")
