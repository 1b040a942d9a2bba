"""What a reply of status 200 becomes: an answer, a refusal, or an honest estimate."""

import httpx2
import pytest

from ask_expert.errors import UnknownPriceError
from ask_expert.experts.prices import charge, quote
from ask_expert.experts.registry import wire_for
from ask_expert.reply import Usage
from tests.contract.support import CEILING, MODELS, ask, at
from tests.experts.support import NOW, PROMPT, an_expert
from tests.fakes.provider import Provider
from tests.fakes.shapes import Behaviour, UsageShape, Wire
from tests.fakes.shapes import Finish as Ending

pytestmark = pytest.mark.anyio
WIRES = list(MODELS)


@pytest.mark.parametrize("wire", WIRES)
async def test_an_answer_comes_with_its_tokens_and_with_who_served_it(
    client: httpx2.AsyncClient, provider: Provider, wire: Wire
) -> None:
    provider.answer(
        "Use a lock.",
        cache_read_tokens=40,
        output_tokens=90,
        reasoning_tokens=60,
        model=f"{MODELS[wire]}-002",
    )

    answer = await ask(client, at(provider, wire))

    assert (answer.text, answer.finish) == ("Use a lock.", "stop")
    assert answer.usage == Usage(
        input_tokens=120, cache_read_tokens=40, output_tokens=90, reasoning_tokens=60
    )
    assert answer.provenance.asked_model == MODELS[wire]
    assert answer.provenance.served_model == f"{MODELS[wire]}-002"
    assert answer.provenance.request_id
    assert answer.provenance.service_tier
    assert answer.provenance.finish_reason
    assert len(provider.bill) == 1


ENDINGS: dict[Ending, dict[Wire, tuple[str, str]]] = {
    "length": {
        "openai_chat": ("length", "length"),
        "openai_responses": ("length", "max_output_tokens"),
        "anthropic": ("length", "max_tokens"),
        "gemini": ("length", "MAX_TOKENS"),
        "openrouter": ("length", "length:max_output_tokens"),
    },
    "refusal": {
        "openai_chat": ("refusal", "stop"),
        "openai_responses": ("refusal", "completed"),
        "anthropic": ("refusal", "refusal"),
        "gemini": ("content_filter", "PROHIBITED_CONTENT"),
        "openrouter": ("refusal", "stop:completed"),
    },
    "content_filter": {
        "openai_chat": ("content_filter", "content_filter"),
        "openai_responses": ("content_filter", "content_filter"),
        "anthropic": ("refusal", "refusal"),
        "gemini": ("content_filter", "SAFETY"),
        "openrouter": ("content_filter", "content_filter"),
    },
}


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("ending", ENDINGS)
async def test_an_answer_that_is_none_is_an_outcome_and_is_charged(
    client: httpx2.AsyncClient, provider: Provider, wire: Wire, ending: Ending
) -> None:
    provider.answer("I will not.", finish=ending, output_tokens=7)
    expert = at(provider, wire, price={"input_per_mtok": 1, "output_per_mtok": 10})

    answer = await ask(client, expert)

    assert (answer.finish, answer.provenance.finish_reason) == ENDINGS[ending][wire]
    assert answer.usage == Usage(input_tokens=120, output_tokens=7)
    # 120 × $1/M + 7 × $10/M; OpenRouter's own figure is the same
    assert charge(expert, answer, NOW).nusd == 190_000


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("ending", ["blocked", "continuation"])
async def test_gemini_s_own_endings_take_one_call(
    client: httpx2.AsyncClient, provider: Provider, ending: Ending, *, stream: bool
) -> None:
    provider.answer("Half of", finish=ending)

    answer = await ask(client, at(provider, "gemini", stream=stream))

    found = (answer.finish, answer.text, answer.provenance.finish_reason)
    assert found in {
        ("content_filter", "", "blocked:PROHIBITED_CONTENT"),
        ("length", "Half of", "CONTINUATION"),
    }
    assert len(provider.requests) == 1


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("usage", ["none", "negative", "absurd"])
async def test_usage_that_cannot_be_true_is_charged_at_the_worst_case(
    client: httpx2.AsyncClient,
    provider: Provider,
    wire: Wire,
    usage: UsageShape,
    *,
    stream: bool,
) -> None:
    provider.script(Behaviour(text="Use a lock.", usage=usage))
    price = {"input_per_mtok": 1, "output_per_mtok": 10}
    expert = at(provider, wire, price=price, stream=stream)
    request = wire_for(wire).encode(expert, PROMPT, max_output_tokens=CEILING)
    bound = quote(expert, request.body, NOW)

    answer = await ask(client, expert)
    cost = charge(
        expert,
        answer,
        NOW,
        assumed_input_tokens=bound.input_tokens,
        assumed_output_tokens=CEILING,
    )

    assert (answer.text, answer.usage.source) == ("Use a lock.", "estimated")
    # every input token at $1/M, every token of the ceiling at $10/M
    assert cost.nusd == bound.input_tokens * 1_000 + CEILING * 10_000
    assert cost.nusd <= bound.worst_case_nusd(CEILING)
    assert cost.detail["usage"] == "estimated"


@pytest.mark.parametrize("wire", WIRES)
def test_a_model_of_unknown_price_is_not_asked_and_says_what_to_set(wire: Wire) -> None:
    expert = an_expert(api=wire, model="nobody-knows-this-one")
    request = wire_for(wire).encode(expert, PROMPT, max_output_tokens=CEILING)

    with pytest.raises(UnknownPriceError, match="Give `price:`"):
        quote(expert, request.body, NOW)
