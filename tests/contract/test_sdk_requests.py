"""
Our requests are the ones that the vendors' own libraries send, field by field.

What differs on purpose is written down in each test, and nothing else differs.
"""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from google.genai import types
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
)
from openai.types.responses.response_create_params import (
    ResponseCreateParamsNonStreaming,
)
from pydantic import TypeAdapter

from ask_expert.experts.body import base_url
from ask_expert.experts.registry import wire_for
from tests.contract.sdks import anthropic_at, google_at, openai_at
from tests.contract.support import MODELS
from tests.experts.support import KEY, PROMPT, an_expert
from tests.fakes.provider import Provider
from tests.fakes.shapes import Wire

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
"""What we ask OpenAI for beyond the question: keep nothing, cache nothing, no surprise."""


def ours(wire: Wire, **facts: Any) -> tuple[str, dict[str, str], dict[str, Any]]:
    """Return address, headers and body of our request, in one piece unless told."""
    spoken = wire_for(wire)
    expert = an_expert(
        **{
            "api": wire,
            "model": MODELS[wire],
            "effort": "high",
            "stream": False,
            **facts,
        }
    )
    request = spoken.encode(expert, PROMPT, max_output_tokens=900)
    address = base_url(expert, spoken.default_base_url) + request.path
    headers = {**request.headers, **spoken.auth(expert, KEY, url="", body=b"")}
    return address, headers, json.loads(request.body)


def theirs(provider: Provider) -> tuple[str, Mapping[str, str], dict[str, Any]]:
    """Return path, headers and body of the library's request."""
    (received,) = provider.requests
    return received.path, received.headers, received.json


def test_chat_completions_is_what_openai_s_library_sends(provider: Provider) -> None:
    openai_at(provider, "openai_chat").chat.completions.create(
        model=MODELS["openai_chat"],
        messages=[SYSTEM, *TURNS],
        max_completion_tokens=900,
        reasoning_effort="high",
    )

    address, headers, body = ours("openai_chat")
    path, reference, wanted = theirs(provider)

    assert address == f"https://api.openai.com{path}"
    assert headers.items() <= reference.items()
    assert body == {**wanted, **PRIVATE}


def test_responses_is_what_openai_s_library_sends(provider: Provider) -> None:
    openai_at(provider, "openai_responses").responses.create(
        model=MODELS["openai_responses"],
        instructions="Help.",
        input=TURNS,
        max_output_tokens=900,
        reasoning={"effort": "high"},
    )

    address, headers, body = ours("openai_responses")
    path, reference, wanted = theirs(provider)

    assert address == f"https://api.openai.com{path}"
    assert headers.items() <= reference.items()
    assert body == {**wanted, **PRIVATE}


def test_messages_is_what_anthropic_s_library_sends(provider: Provider) -> None:
    anthropic_at(provider).messages.create(
        model=MODELS["anthropic"],
        max_tokens=900,
        system="Help.",
        messages=TURNS,
        output_config={"effort": "high"},
    )

    address, headers, body = ours("anthropic")
    path, reference, wanted = theirs(provider)

    # The older version still takes every parameter; the key's header is its own.
    apart = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
    assert address == f"https://api.anthropic.com{path}"
    assert dict(headers.items() - reference.items()) == apart
    assert body == wanted


def test_generate_content_is_what_google_s_library_sends(provider: Provider) -> None:
    with google_at(provider) as google:
        google.models.generate_content(  # pyright: ignore[reportUnknownMemberType]  # it may take images
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

    address, headers, body = ours("gemini")
    path, reference, wanted = theirs(provider)

    # The library names a role for the instruction, which has none, spells one key as
    # Python does, and accepts anything.
    del wanted["systemInstruction"]["role"]
    thinking = wanted["generationConfig"]["thinkingConfig"]
    thinking["thinkingLevel"] = thinking.pop("thinking_level")
    assert address == f"https://generativelanguage.googleapis.com{path}"
    assert dict(headers.items() - reference.items()) == {"accept": "application/json"}
    assert body == wanted


def test_openrouter_is_what_openai_s_library_sends_with_its_routing(
    provider: Provider,
) -> None:
    openai_at(provider, "openrouter").chat.completions.create(
        model=MODELS["openrouter"],
        messages=[SYSTEM, *TURNS],
        max_tokens=900,
        extra_body={"reasoning": {"effort": "high"}},
    )

    address, headers, body = ours("openrouter")
    path, reference, wanted = theirs(provider)

    routing = {
        "data_collection": "deny",
        "allow_fallbacks": False,
        "require_parameters": True,
    }
    assert address == f"https://openrouter.ai{path}"
    assert headers.items() <= reference.items()
    assert body == {**wanted, "provider": routing}


SHAPES: dict[Wire, Any] = {
    "openai_chat": CompletionCreateParamsNonStreaming,
    "openai_responses": ResponseCreateParamsNonStreaming,
    "anthropic": MessageCreateParamsNonStreaming,
}


@pytest.mark.parametrize("wire", SHAPES)
@pytest.mark.parametrize("effort", [None, "minimal", "low", "medium", "high", "max"])
def test_every_effort_fits_the_shape_that_the_library_declares(
    wire: Wire, effort: str | None
) -> None:
    _, _, body = ours(wire, effort=effort)

    TypeAdapter[Any](SHAPES[wire]).validate_python(body)
    assert set(body) <= set(SHAPES[wire].__annotations__)


@pytest.mark.parametrize("effort", [None, "minimal", "low", "medium", "high", "max"])
@pytest.mark.parametrize("model", ["gemini-4-argon", "gemini-3.8-flash"])
def test_every_effort_is_a_level_that_google_s_library_knows(
    effort: str | None, model: str
) -> None:
    _, _, body = ours("gemini", effort=effort, model=model)

    config = types.GenerationConfig.model_validate(body["generationConfig"])
    for content in body["contents"]:
        types.Content.model_validate(content)
    thinking = config.thinking_config
    assert (thinking is None) == (effort is None)
    assert thinking is None or thinking.thinking_level in set(types.ThinkingLevel)


@pytest.mark.parametrize("wire", MODELS)
def test_none_of_the_libraries_parameters_of_sampling_is_ever_ours(wire: Wire) -> None:
    _, _, body = ours(wire)

    keys = {*body, *body.get("generationConfig", {})}
    sampling = {"temperature", "top_p", "topP", "top_k", "topK", "seed", "models"}
    assert sampling & keys == set()
