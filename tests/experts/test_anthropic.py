import json
from typing import Any

import pytest
from inline_snapshot import snapshot

from ask_expert.errors import ExpertReplyError
from ask_expert.experts.anthropic import Anthropic
from ask_expert.reply import ExpertAnswer, Usage
from tests.experts.support import PROMPT, an_expert

WIRE = Anthropic()


def claude(**facts: Any) -> Any:
    return an_expert(api="anthropic", model="claude-opus-5-5", **facts)


def reply(**changes: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-5-5-20261001",
        "content": [{"type": "text", "text": "Hi."}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 10, "output_tokens": 5},
        **changes,
    }


def decode(body: object) -> ExpertAnswer:
    return WIRE.decode(claude(), json.dumps(body).encode(), {"request-id": "req_1"})


def test_the_request_names_version_ceiling_and_system() -> None:
    expert = claude(effort="minimal", stream=False)

    request = WIRE.encode(expert, PROMPT, max_output_tokens=900)

    assert (request.path, dict(request.headers), request.body.decode()) == snapshot(
        (
            "/v1/messages",
            {
                "content-type": "application/json",
                "accept": "application/json",
                "anthropic-version": "2023-06-01",
            },
            '{"model":"claude-opus-5-5","max_tokens":900,"system":"Help.","messages":[{"role":"user","content":"Why does it hang?"},{"role":"assistant","content":"A lock."},{"role":"user","content":"Which – «SECRET:token:1»?"}],"output_config":{"effort":"low"}}',
        )
    )


@pytest.mark.parametrize(
    ("base_url", "path"),
    [
        ("http://localhost:8080", "/v1/messages"),
        ("http://localhost:8080/v1", "/messages"),
        ("http://localhost:8080/v1/", "/messages"),
        ("https://gateway.example/anthropic", "/v1/messages"),
    ],
)
def test_a_base_url_may_or_may_not_end_in_v1(base_url: str, path: str) -> None:
    request = WIRE.encode(claude(base_url=base_url), PROMPT, max_output_tokens=9)

    assert request.path == path


def test_a_thread_is_cached_up_to_its_last_question_only_where_asked() -> None:
    kept = {"cache_control": {"type": "ephemeral"}}

    plain = json.loads(WIRE.encode(claude(), PROMPT, max_output_tokens=9).body)
    cached = json.loads(
        WIRE.encode(claude(cache_threads=True), PROMPT, max_output_tokens=9).body
    )

    question = plain["messages"][-1]
    assert "cache_control" not in str(plain)
    assert cached["system"] == [{"type": "text", "text": "Help.", **kept}]
    assert cached["messages"][:-1] == plain["messages"][:-1]
    assert cached["messages"][-1] == {
        "role": "user",
        "content": [{"type": "text", "text": question["content"], **kept}],
    }


def test_the_key_goes_into_its_own_header() -> None:
    assert WIRE.auth(an_expert(), "k", url="", body=b"") == {"x-api-key": "k"}


def test_input_never_includes_what_was_cached() -> None:
    counts = {
        "input_tokens": 100,
        "cache_read_input_tokens": 2000,
        "cache_creation_input_tokens": 500,
        "cache_creation": {
            "ephemeral_5m_input_tokens": 200,
            "ephemeral_1h_input_tokens": 300,
        },
        "output_tokens": 90,
        "output_tokens_details": {"thinking_tokens": 60},
    }

    answer = decode(reply(usage=counts))

    assert answer.usage == Usage(
        input_tokens=100,
        cache_read_tokens=2000,
        cache_write_tokens=200,
        cache_write_long_tokens=300,
        output_tokens=90,
        reasoning_tokens=60,
    )


def test_counts_that_contradict_each_other_are_never_read_as_less() -> None:
    counts = {
        "input_tokens": 1,
        "cache_creation": {"ephemeral_5m_input_tokens": 200},
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 60},
    }

    answer = decode(reply(usage=counts))

    assert answer.usage == Usage(
        input_tokens=1, cache_write_tokens=200, output_tokens=9, reasoning_tokens=9
    )


def test_what_an_advisor_and_a_compaction_used_is_added_and_messages_are_not() -> None:
    counts = {
        "input_tokens": 100,
        "output_tokens": 50,
        "iterations": [
            {"type": "message", "input_tokens": 100, "output_tokens": 50},
            {"type": "advisor_message", "input_tokens": 700, "output_tokens": 40},
            {"type": "compaction", "input_tokens": 30, "output_tokens": 3},
            {"type": "fallback_message", "input_tokens": 9, "output_tokens": 9},
        ],
    }

    answer = decode(reply(usage=counts))

    assert answer.usage == Usage(input_tokens=830, output_tokens=93)


def test_tier_speed_and_region_are_the_served_ones() -> None:
    counts = {
        "input_tokens": 1,
        "output_tokens": 1,
        "service_tier": "priority",
        "speed": "fast",
        "inference_geo": "eu",
    }

    answer = decode(reply(usage=counts))

    assert answer.speed == "fast"
    assert answer.provenance.service_tier == "priority"
    assert answer.provenance.region == "eu"
    assert answer.provenance.served_model == "claude-opus-5-5-20261001"
    assert answer.provenance.request_id == "req_1"


def test_thinking_is_not_for_the_agent() -> None:
    content = [
        {"type": "thinking", "thinking": "Hm.", "signature": "x"},
        {"type": "text", "text": "Use "},
        {"type": "text", "text": "a lock."},
    ]

    assert decode(reply(content=content)).text == "Use a lock."


@pytest.mark.parametrize(
    ("stop_reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "refusal"),
        ("pause_turn", "other"),
        (None, "other"),
    ],
)
def test_every_reason_to_stop_has_a_word(stop_reason: str | None, finish: str) -> None:
    assert decode(reply(stop_reason=stop_reason)).finish == finish


def test_a_refusal_may_be_silent_and_names_its_category() -> None:
    details = {"category": "cyber"}

    answer = decode(reply(content=[], stop_reason="refusal", stop_details=details))

    assert (answer.text, answer.finish) == ("", "refusal")
    assert answer.provenance.finish_reason == "refusal:cyber"


def test_thinking_that_used_up_the_room_leaves_an_empty_answer() -> None:
    answer = decode(reply(content=[], stop_reason="max_tokens"))

    assert (answer.text, answer.finish, answer.usage.output_tokens) == ("", "length", 5)


@pytest.mark.parametrize(
    "body",
    [
        {},
        reply(content=[]),
        reply(content="Hi."),
        reply(content=[{"type": "text", "text": 5}]),
        reply(content=[{"type": "text"}]),
    ],
)
def test_a_reply_without_an_answer_may_have_been_billed(body: object) -> None:
    with pytest.raises(ExpertReplyError) as caught:
        decode(body)

    assert caught.value.billed == "unknown"


@pytest.mark.parametrize("wrong", [5, True, "x", [], {"category": 5}])
def test_a_fact_of_the_wrong_type_is_as_good_as_not_told(wrong: object) -> None:
    named = dict.fromkeys(("id", "model"), wrong if wrong != "x" else 5)

    answer = decode(reply(**named, stop_details=wrong))

    assert (answer.text, answer.provenance.finish_reason) == ("Hi.", "end_turn")
    assert answer.provenance.served_model is None


def test_an_end_of_the_wrong_type_leaves_the_text() -> None:
    answer = decode(reply(stop_reason=5))

    assert (answer.text, answer.finish) == ("Hi.", "other")


@pytest.mark.parametrize(
    "counts", [None, {"input_tokens": -5, "output_tokens": 5}, {"input_tokens": 10**12}]
)
def test_usage_that_cannot_be_true_is_estimated(counts: object) -> None:
    answer = decode(reply(usage=counts))

    assert (answer.text, answer.usage.source) == ("Hi.", "estimated")
