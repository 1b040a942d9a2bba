import json
from decimal import Decimal

import pytest

from ask_expert.errors import ConfigError
from ask_expert.experts.registry import wire_for
from ask_expert.experts.wire import WireRequest
from ask_expert.question import Prompt, Turn
from tests.experts.support import PROMPT, an_expert

WIRES = ("openai_chat", "openai_responses", "anthropic", "gemini", "openrouter")


def encode(
    api: str = "openai_chat", prompt: Prompt = PROMPT, **f: object
) -> WireRequest:
    return wire_for(api).encode(an_expert(api=api, **f), prompt, max_output_tokens=64)


@pytest.mark.parametrize("api", WIRES)
@pytest.mark.parametrize(
    "key",
    [
        "max_tokens",
        "max_output_tokens",
        "max_completion_tokens",
        "stream",
        "n",
        "model",
        "messages",
        "input",
        "system",
        "tools",
        "models",
        "background",
        "contents",
        "systemInstruction",
        "cachedContent",
    ],
)
def test_no_extra_can_break_the_cap(api: str, key: str) -> None:
    with pytest.raises(ConfigError, match=f"extra_body cannot set '{key}'"):
        encode(api, extra_body={key: 5})


@pytest.mark.parametrize(
    ("extra", "key"),
    [
        ({"generationConfig": {"maxOutputTokens": 9}}, "generationConfig.maxOutput"),
        ({"generationConfig": {"candidateCount": 9}}, "generationConfig.candidate"),
        ({"generationConfig": {"max_output_tokens": 9}}, "generationConfig.max_out"),
        ({"generationConfig": 5}, "generationConfig"),
        ({"generation_config": {"maxOutputTokens": 9}}, "generation_config"),
    ],
)
def test_no_extra_can_break_gemini_s_cap_one_level_down(
    extra: dict[str, object], key: str
) -> None:
    with pytest.raises(ConfigError, match=f"extra_body cannot set '{key}"):
        encode("gemini", extra_body=extra)


@pytest.mark.parametrize("api", WIRES)
@pytest.mark.parametrize(
    "name", ["Authorization", "X-Api-Key", "api-key", "Host", "Content-Length"]
)
def test_no_extra_header_can_take_the_key_s_place(api: str, name: str) -> None:
    with pytest.raises(ConfigError, match="extra_headers cannot set"):
        encode(api, extra_headers={name: "x"})


@pytest.mark.parametrize("value", ["a\r\nHost: evil", "ü"])
def test_no_extra_header_can_smuggle_another(value: str) -> None:
    with pytest.raises(ConfigError, match="extra_headers cannot set 'x-title'"):
        encode(extra_headers={"X-Title": value})


def test_extras_come_last_and_merge_into_what_is_there() -> None:
    extra = {"reasoning": {"summary": "auto"}, "store": True, "top_p": Decimal("0.5")}

    body = json.loads(encode("openai_responses", effort="low", extra_body=extra).body)

    assert body["reasoning"] == {"effort": "low", "summary": "auto"}
    assert (body["store"], body["top_p"]) == (True, 0.5)


def test_extra_headers_are_sent_in_lower_case() -> None:
    request = encode(extra_headers={"X-Title": "ask-expert"})

    assert request.headers["x-title"] == "ask-expert"


@pytest.mark.parametrize("api", WIRES)
def test_no_sampling_parameter_is_ever_sent(api: str) -> None:
    body = json.loads(encode(api, effort="high").body)

    keys = set(body) | set(body.get("generationConfig", {}))
    assert not {"temperature", "top_p", "topP", "top_k", "topK", "seed"} & keys


@pytest.mark.parametrize("api", WIRES)
def test_a_stream_is_asked_for_unless_the_settings_say_no(api: str) -> None:
    pieces = encode(api)
    whole = encode(api, stream=False)

    assert (pieces.streams, whole.streams) == (True, False)
    assert pieces.headers["accept"] == "text/event-stream, application/json"
    assert whole.headers["accept"] == "application/json"
    assert "stream" not in f"{whole.path} {json.loads(whole.body)}"
    asked = json.loads(pieces.body).get("stream") or "alt=sse" in pieces.path
    assert asked is True


@pytest.mark.parametrize("api", WIRES)
def test_text_that_is_no_unicode_still_leaves_as_utf_8(api: str) -> None:
    wild = Prompt(system="s", turns=(Turn(role="user", text="\ud800 \x00 é 🧠"),))

    body = encode(api, wild).body

    assert "? \\u0000 é 🧠" in body.decode("utf-8")
