"""
The vendors' own libraries read our loopback provider's streams as they read theirs.

They also ask for a stream as we do; what differs on purpose is written down in each
test, and nothing else differs.
"""

import json
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from anthropic.types import RawMessageStreamEvent
from google.genai import types
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from ask_expert.experts.registry import wire_for
from ask_expert.reply import Usage
from tests.contract.sdks import anthropic_at, google_at, openai_at
from tests.contract.support import MODELS, ask, at
from tests.experts.support import PROMPT
from tests.fakes.provider import Provider
from tests.fakes.shapes import Behaviour, Wire

pytestmark = pytest.mark.anyio

TEXT = "Use a lock around the counter – 🧠."
THOUGHTFUL = Behaviour(
    text=TEXT,
    input_tokens=1000,
    cache_read_tokens=400,
    output_tokens=90,
    reasoning_tokens=60,
)
TURNS: Any = [
    {"role": "user", "content": "Why does it hang?"},
    {"role": "assistant", "content": "A lock."},
    {"role": "user", "content": "Which – «SECRET:token:1»?"},
]
SYSTEM: Any = {"role": "system", "content": "Help."}
PRIVATE = {
    "store": False,
    "prompt_cache_options": {"mode": "explicit"},
    "service_tier": "default",
}


def ours(provider: Provider, wire: Wire) -> tuple[str, dict[str, Any]]:
    """Return path and body of our request, spelt as for the vendor itself."""
    expert = at(provider, wire, effort="high")
    vendor = expert.model_copy(update={"base_url": None})
    request = wire_for(wire).encode(vendor, PROMPT, max_output_tokens=900)
    return request.path, json.loads(request.body)


def theirs(provider: Provider) -> tuple[str, dict[str, Any]]:
    """Return path and body of the library's request."""
    (received,) = provider.requests
    return received.path, received.json


def thoughtful(cached: int = 400) -> Usage:
    return Usage(
        input_tokens=1000,
        cache_read_tokens=cached,
        output_tokens=90,
        reasoning_tokens=60,
    )


async def test_openai_s_library_asks_for_and_reads_our_chat_in_pieces(
    client: httpx2.AsyncClient, provider: Provider
) -> None:
    provider.default = THOUGHTFUL
    with openai_at(provider, "openai_chat").chat.completions.stream(
        model=MODELS["openai_chat"],
        messages=[SYSTEM, *TURNS],
        max_completion_tokens=900,
        reasoning_effort="high",
        stream_options={"include_usage": True},
    ) as stream:
        found = stream.get_final_completion()
    path, wanted = theirs(provider)

    answer = await ask(client, at(provider, "openai_chat"))
    our_path, body = ours(provider, "openai_chat")

    assert (path, {**wanted, **PRIVATE}) == (f"/v1{our_path}", body)
    choice, usage = found.choices[0], found.usage
    assert (choice.message.content, choice.finish_reason) == (TEXT, "stop")
    assert usage is not None
    assert usage.completion_tokens == answer.usage.output_tokens
    assert usage.prompt_tokens == answer.usage.all_input_tokens
    assert (answer.text, answer.usage) == (TEXT, thoughtful())


async def test_openai_s_library_reads_openrouter_s_stream_as_we_do(
    client: httpx2.AsyncClient, provider: Provider
) -> None:
    provider.default = THOUGHTFUL
    chunks = list(
        openai_at(provider, "openrouter").chat.completions.create(
            model=MODELS["openrouter"],
            messages=[SYSTEM, *TURNS],
            max_tokens=900,
            stream=True,
            extra_body={"reasoning": {"effort": "high"}},
        )
    )
    path, wanted = theirs(provider)

    answer = await ask(client, at(provider, "openrouter"))
    our_path, body = ours(provider, "openrouter")

    routing = {
        "data_collection": "deny",
        "allow_fallbacks": False,
        "require_parameters": True,
    }
    assert path == f"/api/v1{our_path}"
    assert body == {**wanted, "provider": routing}
    deltas = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    last = chunks[-1].usage
    assert "".join(delta or "" for delta in deltas) == answer.text == TEXT
    assert last is not None
    assert last.completion_tokens == answer.usage.output_tokens
    told = last.model_dump()["cost"]
    assert float(answer.reported_cost_usd or 0) == told
    assert chunks[0].model_dump()["provider"] == answer.provenance.provider


async def test_openai_s_library_asks_for_and_reads_our_responses_in_pieces(
    client: httpx2.AsyncClient, provider: Provider
) -> None:
    provider.default = THOUGHTFUL
    with openai_at(provider, "openai_responses").responses.stream(
        model=MODELS["openai_responses"],
        instructions="Help.",
        input=TURNS,
        max_output_tokens=900,
        reasoning={"effort": "high"},
    ) as stream:
        kinds = [event.type for event in stream]
        found = stream.get_final_response()
    path, wanted = theirs(provider)

    answer = await ask(client, at(provider, "openai_responses"))
    our_path, body = ours(provider, "openai_responses")

    assert (path, {**wanted, **PRIVATE}) == (f"/v1{our_path}", body)
    Response.model_validate_json(found.model_dump_json(exclude_unset=True))
    assert (found.output_text, found.status) == (answer.text, "completed")
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    assert kinds.count("response.output_text.delta") > 3
    assert answer.usage == thoughtful()


async def test_anthropic_s_library_asks_for_and_reads_our_stream(
    client: httpx2.AsyncClient, provider: Provider
) -> None:
    provider.default = THOUGHTFUL
    with anthropic_at(provider).messages.stream(
        model=MODELS["anthropic"],
        max_tokens=900,
        system="Help.",
        messages=TURNS,
        output_config={"effort": "high"},
    ) as stream:
        pieces = list(stream.text_stream)
        found = stream.get_final_message()
    path, wanted = theirs(provider)

    answer = await ask(client, at(provider, "anthropic"))
    our_path, body = ours(provider, "anthropic")

    assert (path, wanted) == (our_path, body)
    assert "".join(pieces) == answer.text == TEXT
    assert found.stop_reason == answer.provenance.finish_reason
    assert [block.type for block in found.content] == ["thinking", "text"]
    assert found.usage.output_tokens == answer.usage.output_tokens
    assert found.usage.input_tokens == answer.usage.input_tokens
    assert answer.usage == thoughtful()


async def test_anthropic_s_library_caches_a_thread_as_we_do(
    provider: Provider,
) -> None:
    kept: Any = {"cache_control": {"type": "ephemeral"}}
    last: Any = {"type": "text", "text": TURNS[-1]["content"], **kept}
    system: Any = [{"type": "text", "text": "Help.", **kept}]
    turns: Any = [*TURNS[:-1], {"role": "user", "content": [last]}]
    anthropic_at(provider).messages.create(
        model=MODELS["anthropic"],
        max_tokens=900,
        system=system,
        messages=turns,
    )
    _, wanted = theirs(provider)

    expert = at(provider, "anthropic", cache_threads=True, stream=False)
    request = wire_for("anthropic").encode(expert, PROMPT, max_output_tokens=900)

    assert json.loads(request.body) == wanted


async def test_google_s_library_asks_for_and_reads_our_stream(
    client: httpx2.AsyncClient, provider: Provider
) -> None:
    provider.default = THOUGHTFUL
    with google_at(provider) as google:
        chunks = list(
            google.models.generate_content_stream(  # pyright: ignore[reportUnknownMemberType]  # it may take images
                model=MODELS["gemini"],
                contents=[
                    types.Content(
                        role="user" if turn["role"] == "user" else "model",
                        parts=[types.Part(text=turn["content"])],
                    )
                    for turn in TURNS
                ],
                config=types.GenerateContentConfig(
                    system_instruction="Help.",
                    max_output_tokens=900,
                    thinking_config=types.ThinkingConfig(
                        thinking_level=types.ThinkingLevel.HIGH
                    ),
                ),
            )
        )
    path, wanted = theirs(provider)

    answer = await ask(client, at(provider, "gemini"))
    our_path, body = ours(provider, "gemini")

    # The same three differences as without a stream.
    del wanted["systemInstruction"]["role"]
    thinking = wanted["generationConfig"]["thinkingConfig"]
    thinking["thinkingLevel"] = thinking.pop("thinking_level")
    assert (path, wanted) == (our_path, body)
    texts = [chunk.text or "" for chunk in chunks]
    last = chunks[-1]
    assert "".join(texts) == answer.text == TEXT
    assert last.candidates is not None
    assert last.candidates[0].finish_reason == types.FinishReason.STOP
    assert last.usage_metadata is not None
    assert last.usage_metadata.thoughts_token_count == answer.usage.reasoning_tokens
    assert answer.usage == thoughtful()


EVENTS: dict[Wire, Any] = {
    "openai_responses": ResponseStreamEvent,
    "anthropic": RawMessageStreamEvent,
    "openai_chat": ChatCompletionChunk,
}


@pytest.mark.parametrize("wire", EVENTS)
@pytest.mark.parametrize("finish", ["stop", "length", "refusal"])
def test_every_event_has_the_shape_that_the_library_declares(
    provider: Provider, wire: Wire, finish: Any
) -> None:
    provider.default = Behaviour(text=TEXT, finish=finish, output_tokens=40)
    request = wire_for(wire).encode(at(provider, wire), PROMPT, max_output_tokens=9)
    url = provider.base(wire) + request.path

    reply = httpx2.post(url, content=request.body, headers=dict(request.headers))

    lines = [line for line in reply.text.splitlines() if line.startswith("data: ")]
    data = [line.removeprefix("data: ") for line in lines]
    events = [each for each in data if "ping" not in each and each != "[DONE]"]
    adapter = TypeAdapter[Any](EVENTS[wire])
    for event in events:
        adapter.validate_json(event)
    assert len(events) > 5


def test_the_libraries_know_an_error_within_a_stream(provider: Provider) -> None:
    provider.default = Behaviour(fault="stream_error_after", code="529")

    with (
        pytest.raises(anthropic.APIStatusError, match="The provider says 529"),
        anthropic_at(provider).messages.stream(
            model=MODELS["anthropic"], max_tokens=9, messages=TURNS
        ) as stream,
    ):
        stream.until_done()
    with pytest.raises(openai.APIError, match="The provider says 529"):
        list(
            openai_at(provider, "openrouter").chat.completions.create(
                model=MODELS["openrouter"], messages=TURNS, stream=True
            )
        )
