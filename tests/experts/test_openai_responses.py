import json
from typing import Any

import pytest
from inline_snapshot import snapshot

from ask_expert.errors import (
    ExpertRejectedError,
    ExpertReplyError,
    ExpertUnavailableError,
)
from ask_expert.experts.openai_responses import OpenAIResponses
from ask_expert.reply import ExpertAnswer, Usage
from tests.experts.support import PROMPT, an_expert

WIRE = OpenAIResponses()


def message(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "reasoning", "summary": []},
        {"type": "message", "role": "assistant", "content": list(parts)},
    ]


def said(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": []}


def reply(**changes: Any) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": "gpt-6.1-sol-2026-10-01",
        "output": message(said("Hi.")),
        "service_tier": "default",
        "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
        **changes,
    }


def decode(body: object) -> ExpertAnswer:
    expert = an_expert(api="openai_responses")
    return WIRE.decode(expert, json.dumps(body).encode(), {"x-request-id": "req_1"})


def test_openai_itself_is_told_to_keep_nothing() -> None:
    expert = an_expert(api="openai_responses", effort="low", stream=False)

    request = WIRE.encode(expert, PROMPT, max_output_tokens=900)

    assert (request.path, request.body.decode()) == snapshot(
        (
            "/responses",
            '{"model":"gpt-6.1-sol","instructions":"Help.","input":[{"role":"user","content":"Why does it hang?"},{"role":"assistant","content":"A lock."},{"role":"user","content":"Which – «SECRET:token:1»?"}],"max_output_tokens":900,"store":false,"reasoning":{"effort":"low"},"prompt_cache_options":{"mode":"explicit"},"service_tier":"default"}',
        )
    )


def test_another_server_of_this_wire_is_told_to_keep_nothing_too() -> None:
    expert = an_expert(api="openai_responses", base_url="http://localhost:8000/v1")

    body = json.loads(WIRE.encode(expert, PROMPT, max_output_tokens=9).body)

    assert body["store"] is False
    assert "prompt_cache_options" not in body


def test_another_server_gets_earlier_answers_in_the_form_that_llama_cpp_reads() -> None:
    expert = an_expert(api="openai_responses", base_url="http://localhost:8000/v1")

    body = json.loads(WIRE.encode(expert, PROMPT, max_output_tokens=9).body)

    question, answer, follow_up = body["input"]
    assert answer == {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": PROMPT.turns[1].text}],
    }
    assert question == {"role": "user", "content": PROMPT.turns[0].text}
    assert follow_up == {"role": "user", "content": PROMPT.turns[2].text}


def test_all_texts_of_all_messages_are_the_answer() -> None:
    output = message(said("One "), said("two ")) + message(said("three."))

    answer = decode(reply(output=output))

    assert (answer.text, answer.finish) == ("One two three.", "stop")
    assert answer.provenance.served_model == "gpt-6.1-sol-2026-10-01"
    assert answer.provenance.request_id == "req_1"
    assert answer.provenance.finish_reason == "completed"


def test_usage_is_normalised_to_disjoint_buckets() -> None:
    counts = {
        "input_tokens": 1000,
        "input_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 50},
        "output_tokens": 70,
        "output_tokens_details": {"reasoning_tokens": 64},
        "total_tokens": 1070,
    }

    answer = decode(reply(usage=counts))

    assert answer.usage == Usage(
        input_tokens=850,
        cache_read_tokens=100,
        cache_write_tokens=50,
        output_tokens=70,
        reasoning_tokens=64,
    )


def test_a_budget_spent_on_reasoning_alone_ran_out_of_room() -> None:
    details = {"reason": "max_output_tokens"}

    answer = decode(reply(status="incomplete", incomplete_details=details, output=[]))

    assert (answer.text, answer.finish) == ("", "length")
    assert answer.usage.output_tokens == 5


def test_a_refusal_and_a_filter_are_told_apart() -> None:
    refusal = message({"type": "refusal", "refusal": "I will not."})
    filtered = {"reason": "content_filter"}

    refused = decode(reply(output=refusal))
    cut = decode(reply(status="incomplete", incomplete_details=filtered))

    assert (refused.text, refused.finish) == ("I will not.", "refusal")
    assert cut.finish == "content_filter"


def test_a_failure_inside_a_success_without_usage_was_not_billed() -> None:
    error = {"code": "server_error", "message": "Overloaded."}

    with pytest.raises(ExpertUnavailableError, match="Overloaded") as caught:
        decode(reply(status="failed", error=error, output=[], usage=None))

    assert caught.value.billed == "no"


def test_a_failure_inside_a_success_with_usage_may_be_billed() -> None:
    error = {"code": "server_error", "message": "Broke."}

    with pytest.raises(ExpertUnavailableError) as caught:
        decode(reply(status="failed", error=error))

    assert caught.value.billed == "unknown"


def test_a_prompt_refused_inside_a_success_is_not_tried_again() -> None:
    error = {"code": "invalid_prompt", "message": "No."}

    with pytest.raises(ExpertRejectedError) as caught:
        decode(reply(status="failed", error=error, usage=None))

    assert not caught.value.retryable


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        reply(output=[]),
        reply(output="x"),
        reply(output=[{"type": "message", "content": "x"}]),
        reply(output=message({"type": "output_text", "text": 5})),
        reply(status="in_progress", output=[]),
    ],
)
def test_a_reply_without_an_answer_may_have_been_billed(body: object) -> None:
    with pytest.raises(ExpertReplyError) as caught:
        decode(body)

    assert caught.value.billed == "unknown"


def test_missing_usage_is_estimated() -> None:
    body = reply()
    del body["usage"]

    assert decode(body).usage.source == "estimated"
