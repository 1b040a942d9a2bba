import json
from typing import Any

import pytest
from inline_snapshot import snapshot

from ask_expert.errors import (
    ConfigError,
    ExpertRejectedError,
    ExpertReplyError,
    ExpertUnavailableError,
)
from ask_expert.experts.gemini import Gemini
from ask_expert.reply import ExpertAnswer, Provenance, Usage
from tests.experts.support import PROMPT, an_expert

WIRE = Gemini()


def asked(**facts: Any) -> Any:
    return an_expert(**{"api": "gemini", "model": "gemini-4-argon", **facts})


def candidate(*parts: dict[str, Any], reason: str | None = "STOP") -> dict[str, Any]:
    content = {"role": "model", "parts": list(parts)}
    return {"content": content, "finishReason": reason, "index": 0}


def reply(**changes: Any) -> dict[str, Any]:
    return {
        "candidates": [candidate({"text": "Hi."})],
        "usageMetadata": {
            "promptTokenCount": 10,
            "candidatesTokenCount": 5,
            "totalTokenCount": 15,
        },
        "modelVersion": "gemini-4-argon-001",
        "responseId": "r-1",
        **changes,
    }


def decode(body: object, **facts: Any) -> ExpertAnswer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return WIRE.decode(asked(**facts), data, {"x-gemini-service-tier": "standard"})


def usage(**counts: Any) -> Usage:
    return decode(reply(usageMetadata=counts)).usage


def test_a_question_is_spelt_in_google_s_words() -> None:
    expert = asked(effort="high", stream=False)

    request = WIRE.encode(expert, PROMPT, max_output_tokens=900)

    assert (request.path, dict(request.headers), request.body.decode()) == snapshot(
        (
            "/v1/models/gemini-4-argon:generateContent",
            {"content-type": "application/json", "accept": "application/json"},
            '{"systemInstruction":{"parts":[{"text":"Help."}]},"contents":[{"role":"user","parts":[{"text":"Why does it hang?"}]},{"role":"model","parts":[{"text":"A lock."}]},{"role":"user","parts":[{"text":"Which – «SECRET:token:1»?"}]}],"generationConfig":{"maxOutputTokens":900,"thinkingConfig":{"thinkingLevel":"HIGH"}}}',
        )
    )


def test_the_key_travels_in_google_s_own_header() -> None:
    assert WIRE.auth(an_expert(), "k", url="", body=b"") == {"x-goog-api-key": "k"}


@pytest.mark.parametrize(
    ("base", "path"),
    [
        (None, "/v1/models/m:generateContent"),
        ("https://proxy.example", "/v1/models/m:generateContent"),
        ("https://proxy.example/google", "/v1/models/m:generateContent"),
        ("https://proxy.example/v1beta", "/models/m:generateContent"),
        ("https://proxy.example/google/v1", "/models/m:generateContent"),
    ],
)
def test_a_version_in_the_address_is_not_doubled(base: str | None, path: str) -> None:
    expert = asked(model="m", base_url=base, stream=False)
    streamed = asked(model="m", base_url=base)

    found = WIRE.encode(expert, PROMPT, max_output_tokens=9).path
    pieces = WIRE.encode(streamed, PROMPT, max_output_tokens=9).path

    verb = "streamGenerateContent?alt=sse"
    assert (found, pieces) == (path, path.replace("generateContent", verb))


@pytest.mark.parametrize(
    ("model", "quoted"),
    [
        ("models/gemini-4-argon", "gemini-4-argon"),
        ("gemini-4-argon@001", "gemini-4-argon%40001"),
        ("a+b", "a%2Bb"),
    ],
)
def test_a_model_s_name_is_quoted_for_its_path(model: str, quoted: str) -> None:
    expert = asked(model=model, stream=False)

    path = WIRE.encode(expert, PROMPT, max_output_tokens=9).path

    assert path == f"/v1/models/{quoted}:generateContent"


@pytest.mark.parametrize(
    "model",
    [
        "../../v1beta/files",
        "a/b",
        "a:streamGenerateContent",
        "a?key=b",
        "a#b",
        "a%2Fb",
        "a b",
        "a\r\nb",
        "..",
        "models/",
        "größe",
        "x" * 201,
    ],
)
def test_a_model_s_name_cannot_lead_to_another_path(model: str) -> None:
    with pytest.raises(ConfigError, match="is no name of a Gemini model"):
        WIRE.encode(asked(model=model), PROMPT, max_output_tokens=9)


@pytest.mark.parametrize(
    ("model", "effort", "level"),
    [
        ("gemini-4-argon", "minimal", "LOW"),
        ("gemini-4-argon-001", "low", "LOW"),
        ("gemini-4-argon", "medium", "MEDIUM"),
        ("models/gemini-4-argon", "max", "HIGH"),
        ("gemini-3.8-flash", "minimal", "MINIMAL"),
        ("gemini-3.8-flash", "high", "HIGH"),
        ("gemini-3.8-flash", "max", "XHIGH"),
    ],
)
def test_effort_becomes_a_level_that_the_model_takes(
    model: str, effort: str, level: str
) -> None:
    expert = asked(model=model, effort=effort)

    body = json.loads(WIRE.encode(expert, PROMPT, max_output_tokens=9).body)

    assert body["generationConfig"]["thinkingConfig"] == {"thinkingLevel": level}


def test_extras_are_merged_into_the_configuration() -> None:
    extra = {"generationConfig": {"thinkingConfig": {"includeThoughts": False}}}

    request = WIRE.encode(
        asked(effort="low", extra_body=extra), PROMPT, max_output_tokens=9
    )

    assert json.loads(request.body)["generationConfig"] == {
        "maxOutputTokens": 9,
        "thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": False},
    }


def test_an_answer_keeps_who_served_it() -> None:
    assert decode(reply()) == ExpertAnswer(
        text="Hi.",
        usage=Usage(input_tokens=10, output_tokens=5),
        provenance=Provenance(
            asked_model="gemini-4-argon",
            served_model="gemini-4-argon-001",
            service_tier="standard",
            request_id="r-1",
            finish_reason="STOP",
        ),
    )


def test_thoughts_and_other_kinds_of_parts_are_not_for_the_agent() -> None:
    parts = (
        {"text": "Hm.", "thought": True},
        {"text": "Use "},
        {"inlineData": {"mimeType": "image/png", "data": ""}},
        {"text": "a lock."},
    )

    assert decode(reply(candidates=[candidate(*parts)])).text == "Use a lock."


def test_thoughts_are_output_and_what_tools_fed_back_is_input() -> None:
    found = usage(
        promptTokenCount=1000,
        cachedContentTokenCount=600,
        toolUsePromptTokenCount=70,
        candidatesTokenCount=50,
        thoughtsTokenCount=500,
        totalTokenCount=1620,
    )

    assert found == Usage(
        input_tokens=470,
        cache_read_tokens=600,
        output_tokens=550,
        reasoning_tokens=500,
    )


def test_a_total_that_leaves_the_thoughts_out_is_not_believed() -> None:
    found = usage(
        promptTokenCount=100,
        candidatesTokenCount=600,
        thoughtsTokenCount=500,
        totalTokenCount=700,
    )

    assert (found.output_tokens, found.reasoning_tokens) == (1100, 500)


def test_what_only_the_total_shows_is_output() -> None:
    found = usage(promptTokenCount=100, candidatesTokenCount=20, totalTokenCount=800)

    assert found == Usage(input_tokens=100, output_tokens=700)


@pytest.mark.parametrize(
    "counts",
    [
        None,
        {},
        "lots",
        {"promptTokenCount": 10},
        {"promptTokenCount": -1, "totalTokenCount": 5},
        {"promptTokenCount": 10, "totalTokenCount": 10**12},
        {"promptTokenCount": "10", "totalTokenCount": 15},
        {"promptTokenCount": 10, "totalTokenCount": 15, "thoughtsTokenCount": -5},
    ],
)
def test_usage_that_cannot_be_true_leaves_the_answer_and_an_estimate(
    counts: object,
) -> None:
    answer = decode(reply(usageMetadata=counts))

    assert (answer.text, answer.usage.source) == ("Hi.", "estimated")
    assert 2 <= answer.usage.output_tokens <= len("Hi.")


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("CONTINUATION", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SPII", "content_filter"),
        ("MALFORMED_RESPONSE", "other"),
        ("SOMETHING_NEW", "other"),
        (None, "other"),
    ],
)
def test_every_reason_to_stop_has_a_word(reason: str | None, finish: str) -> None:
    answer = decode(reply(candidates=[candidate({"text": "Hal"}, reason=reason)]))

    assert (answer.finish, answer.text) == (finish, "Hal")
    assert answer.provenance.finish_reason == reason


@pytest.mark.parametrize("reason", ["MAX_TOKENS", "SAFETY"])
def test_an_answer_may_end_before_its_first_word(reason: str) -> None:
    answer = decode(reply(candidates=[{"finishReason": reason, "index": 0}]))

    assert answer.text == ""
    assert answer.usage.source == "provider"


def test_a_blocked_prompt_is_an_outcome_and_no_error() -> None:
    body = reply(
        promptFeedback={"blockReason": "PROHIBITED_CONTENT"},
        usageMetadata={"promptTokenCount": 10, "totalTokenCount": 10},
    )
    del body["candidates"]

    answer = decode(body)

    assert (answer.text, answer.finish) == ("", "content_filter")
    assert answer.provenance.finish_reason == "blocked:PROHIBITED_CONTENT"
    assert answer.usage == Usage(input_tokens=10)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[" * 100_000,
        b"[]",
        b"null",
        {},
        reply(candidates=[]),
        reply(candidates="none"),
        reply(candidates=[candidate()]),
        reply(candidates=[candidate({"text": "  "})]),
        reply(candidates=[candidate({"text": 5})]),
        reply(candidates=[{"content": {"parts": "Hi."}}]),
        reply(candidates=[candidate(reason="MALFORMED_RESPONSE")]),
    ],
)
def test_a_reply_that_makes_no_sense_may_have_been_billed(body: object) -> None:
    with pytest.raises(ExpertReplyError) as caught:
        decode(body)

    assert caught.value.billed == "unknown"
    assert len(str(caught.value)) < 200


def test_an_error_inside_a_success_keeps_its_meaning() -> None:
    with pytest.raises(ExpertRejectedError, match="Bad"):
        decode({"error": {"code": 400, "message": "Bad.", "status": "X"}})
    with pytest.raises(ExpertUnavailableError) as caught:
        decode({"error": {"code": 503, "message": "Later.", "status": "UNAVAILABLE"}})

    assert caught.value.billed == "unknown"


@pytest.mark.parametrize("wrong", [5, True, [], {"blockReason": 5}])
def test_a_fact_of_the_wrong_type_is_as_good_as_not_told(wrong: Any) -> None:
    facts = dict.fromkeys(("modelVersion", "responseId", "promptFeedback"), wrong)
    said = [candidate({"text": "Hi."}, reason=wrong)]

    answer = decode(reply(**facts, candidates=said))

    assert (answer.text, answer.finish) == ("Hi.", "other")
    assert answer.provenance.served_model is None
