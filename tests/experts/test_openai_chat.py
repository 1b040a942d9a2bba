import json
from decimal import Decimal
from typing import Any

import pytest
from inline_snapshot import snapshot

from ask_expert.errors import (
    ExpertRejectedError,
    ExpertReplyError,
    ExpertUnavailableError,
)
from ask_expert.experts.openai_chat import OpenAIChat
from ask_expert.reply import ExpertAnswer, Usage
from tests.experts.support import PROMPT, an_expert

WIRE = OpenAIChat()
ROUTER = an_expert(base_url="https://openrouter.ai/api/v1")


def reply(**changes: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "model": "gpt-6.1-sol-2026-10-01",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi.", "refusal": None},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        **changes,
    }


def choice(content: Any, finish: str | None, refusal: str | None = None) -> list[Any]:
    message = {"role": "assistant", "content": content, "refusal": refusal}
    return [{"index": 0, "message": message, "finish_reason": finish}]


def decode(body: object, **facts: Any) -> ExpertAnswer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return WIRE.decode(an_expert(**facts), data, {})


def usage(**counts: Any) -> Usage:
    return decode(reply(usage=counts)).usage


def test_openai_itself_is_asked_privately_and_with_its_newest_keys() -> None:
    expert = an_expert(effort="high", stream=False)

    request = WIRE.encode(expert, PROMPT, max_output_tokens=900)

    assert (request.path, dict(request.headers), request.body.decode()) == snapshot(
        (
            "/chat/completions",
            {"content-type": "application/json", "accept": "application/json"},
            '{"model":"gpt-6.1-sol","messages":[{"role":"system","content":"Help."},{"role":"user","content":"Why does it hang?"},{"role":"assistant","content":"A lock."},{"role":"user","content":"Which – «SECRET:token:1»?"}],"max_completion_tokens":900,"reasoning_effort":"high","store":false,"prompt_cache_options":{"mode":"explicit"},"service_tier":"default"}',
        )
    )


def test_a_compatible_server_is_sent_only_what_all_of_them_know() -> None:
    expert = an_expert(base_url="http://127.0.0.1:9/v1", model="qwen", stream=False)

    request = WIRE.encode(expert, PROMPT, max_output_tokens=900)

    assert request.body.decode() == snapshot(
        '{"model":"qwen","messages":[{"role":"system","content":"Help."},{"role":"user","content":"Why does it hang?"},{"role":"assistant","content":"A lock."},{"role":"user","content":"Which – «SECRET:token:1»?"}],"max_tokens":900}'
    )


def test_azure_takes_the_new_ceiling_but_not_openai_s_own_keys() -> None:
    expert = an_expert(base_url="https://me.openai.azure.com/openai/v1")

    body = json.loads(WIRE.encode(expert, PROMPT, max_output_tokens=7).body)

    assert sorted(body) == [
        "max_completion_tokens",
        "messages",
        "model",
        "stream",
        "stream_options",
    ]


def test_a_stream_is_asked_for_with_its_usage() -> None:
    request = WIRE.encode(an_expert(), PROMPT, max_output_tokens=7)

    body = json.loads(request.body)
    assert request.streams
    assert request.headers["accept"] == "text/event-stream, application/json"
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})


def test_an_answer_keeps_who_served_it() -> None:
    headers = {"x-request-id": "req_9", "x-ratelimit-remaining-requests": "3"}
    body = reply(service_tier="priority", system_fingerprint="fp_1", provider="Groq")

    answer = WIRE.decode(an_expert(), json.dumps(body).encode(), headers)

    assert answer.text == "Hi."
    assert answer.provenance.served_model == "gpt-6.1-sol-2026-10-01"
    assert answer.provenance.fingerprint == "fp_1"
    assert answer.provenance.service_tier == "priority"
    assert answer.provenance.provider == "Groq"
    assert answer.provenance.request_id == "req_9"
    assert answer.provenance.rate_limits == {"x-ratelimit-remaining-requests": "3"}


def test_cached_input_is_taken_out_of_the_prompt() -> None:
    found = usage(
        prompt_tokens=1000,
        completion_tokens=50,
        total_tokens=1050,
        prompt_tokens_details={"cached_tokens": 600, "cache_write_tokens": 300},
        completion_tokens_details={"reasoning_tokens": 20},
    )

    assert found == Usage(
        input_tokens=100,
        cache_read_tokens=600,
        cache_write_tokens=300,
        output_tokens=50,
        reasoning_tokens=20,
    )


def test_cached_input_that_exceeds_the_prompt_was_reported_apart() -> None:
    found = usage(
        prompt_tokens=10,
        completion_tokens=5,
        total_tokens=515,
        prompt_tokens_details={"cached_tokens": 500},
    )

    assert found == Usage(input_tokens=10, cache_read_tokens=500, output_tokens=5)


def test_gemini_s_thoughts_outside_the_completion_are_output() -> None:
    found = usage(prompt_tokens=100, completion_tokens=200, total_tokens=800)

    assert found == Usage(input_tokens=100, output_tokens=700)


def test_reasoning_beyond_the_output_was_counted_apart() -> None:
    found = usage(
        prompt_tokens=100,
        completion_tokens=20,
        completion_tokens_details={"reasoning_tokens": 500},
    )

    assert found == Usage(input_tokens=100, output_tokens=520, reasoning_tokens=500)


@pytest.mark.parametrize(
    "counts",
    [
        None,
        {},
        {"prompt_tokens": 10},
        {"prompt_tokens": -1, "completion_tokens": 5},
        {"prompt_tokens": 10, "completion_tokens": 10**9 + 1},
        {"prompt_tokens": "10", "completion_tokens": 5},
        {"prompt_tokens": True, "completion_tokens": 5},
        {"prompt_tokens": 1.5, "completion_tokens": 5},
        "lots",
    ],
)
def test_usage_that_cannot_be_true_leaves_the_answer_and_an_estimate(
    counts: object,
) -> None:
    answer = decode(reply(usage=counts))

    assert answer.text == "Hi."
    assert answer.usage.source == "estimated"
    assert answer.usage.input_tokens == 0
    assert 2 <= answer.usage.output_tokens <= len("Hi.")


@pytest.mark.parametrize(
    ("choices", "finish", "text"),
    [
        (choice("Hi.", "stop"), "stop", "Hi."),
        (choice([{"type": "text", "text": "Hi."}], "stop"), "stop", "Hi."),
        (choice(None, "stop", "No."), "refusal", "No."),
        (choice("", "length"), "length", ""),
        (choice(None, "length"), "length", ""),
        (choice("Hal", "content_filter"), "content_filter", "Hal"),
        (choice("Hi.", "tool_calls"), "other", "Hi."),
        (choice("Hi.", None), "other", "Hi."),
    ],
)
def test_every_reason_to_stop_has_a_word(
    choices: list[Any], finish: str, text: str
) -> None:
    answer = decode(reply(choices=choices))

    assert (answer.finish, answer.text) == (finish, text)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b"[]",
        b"null",
        {},
        reply(choices=[]),
        reply(choices="none"),
        reply(choices=[{}]),
        reply(choices=choice(None, "stop")),
        reply(choices=choice("  ", "stop")),
        reply(choices=choice(5, "stop")),
    ],
)
def test_a_reply_that_makes_no_sense_may_have_been_billed(body: object) -> None:
    with pytest.raises(ExpertReplyError) as caught:
        decode(body)

    assert caught.value.billed == "unknown"
    assert len(str(caught.value)) < 200


def test_a_gateway_s_error_inside_a_success_keeps_its_meaning() -> None:
    with pytest.raises(ExpertRejectedError, match="moderation"):
        decode({"error": {"code": 403, "message": "moderation"}})
    with pytest.raises(ExpertUnavailableError) as caught:
        decode({"error": {"code": 502, "message": "upstream"}})

    assert caught.value.billed == "unknown"


def test_openrouter_s_own_figure_is_exact() -> None:
    counts = {**reply()["usage"], "cost": 0.00123}

    answer = decode(reply(usage=counts), base_url=ROUTER.base_url)

    assert answer.reported_cost_usd == Decimal("0.00123")


def test_with_the_user_s_own_upstream_key_both_bills_are_added() -> None:
    counts = {
        **reply()["usage"],
        "cost": 0.001,
        "is_byok": True,
        "cost_details": {"upstream_inference_cost": 0.02},
    }

    answer = decode(reply(usage=counts), base_url=ROUTER.base_url)

    assert answer.reported_cost_usd == Decimal("0.021")


@pytest.mark.parametrize("wrong", [5, True, [], {"a": 1}])
def test_a_fact_of_the_wrong_type_is_as_good_as_not_told(wrong: Any) -> None:
    named = dict.fromkeys(
        ("id", "model", "provider", "service_tier", "system_fingerprint"), wrong
    )

    odd = decode(reply(**named, choices=choice("Hi.", wrong, wrong)))

    assert (odd.text, odd.finish) == ("Hi.", "other")
    assert odd.provenance.served_model is None
    assert odd.provenance.service_tier is None


@pytest.mark.parametrize("read", [0, 7])
def test_an_output_of_nothing_beside_a_text_is_not_believed(read: int) -> None:
    found = decode(reply(usage={"prompt_tokens": read, "completion_tokens": 0})).usage

    assert found.source == "partial"
    assert found.input_tokens == read
    assert found.output_tokens > 0


def test_an_exponent_beyond_all_numbers_spoils_no_answer() -> None:
    body = json.dumps(reply()).replace("{", '{"x": 1e9999999999999999999, ', 1)

    assert decode(body.encode()).text == decode(reply()).text


@pytest.mark.parametrize(
    "cost", [-1, True, "0", None, {"total": 1}, 1e30, 1e308, 10**30, 10_000.01]
)
def test_a_cost_that_is_no_amount_is_not_believed(cost: object) -> None:
    counts = {**reply()["usage"], "cost": cost}

    answer = decode(reply(usage=counts), base_url=ROUTER.base_url)

    assert answer.reported_cost_usd is None


def test_the_cost_that_another_server_names_is_not_believed() -> None:
    counts = {**reply()["usage"], "cost": 0}

    answer = decode(reply(usage=counts), base_url="https://openrouter.ai.example/v1")

    assert answer.reported_cost_usd is None
