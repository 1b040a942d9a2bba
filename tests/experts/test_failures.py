import json
from typing import Any

import pytest
from inline_snapshot import snapshot

from ask_expert.errors import (
    ExpertError,
    ExpertRejectedError,
    ExpertReplyError,
    ExpertUnavailableError,
)
from ask_expert.experts.cleaning import masked_error
from ask_expert.experts.registry import wire_for
from ask_expert.redaction import Masker
from tests.experts.support import an_expert
from tests.fakes.ids import hexadecimal, letters
from tests.fakes.shapes import Behaviour, Wire, error_body, vendor_headers

WIRES: list[Wire] = [
    "openai_chat",
    "openai_responses",
    "anthropic",
    "gemini",
    "openrouter",
]


def failed(status: int, *, wire: Wire = "openai_chat", **facts: Any) -> ExpertError:
    body = error_body(wire, 7, Behaviour(status=status, **facts))
    headers = vendor_headers(wire, 7)
    if "retry_after" in facts:
        headers["retry-after"] = facts["retry_after"]
    return from_bytes(status, json.dumps(body).encode(), headers, wire=wire)


def from_bytes(
    status: int,
    body: bytes,
    headers: dict[str, str] | None = None,
    *,
    wire: Wire = "openai_chat",
) -> ExpertError:
    expert = an_expert(api=wire)
    return wire_for(wire).failure(expert, status, headers or {}, body)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422, 451])
def test_a_request_turned_down_is_neither_billed_nor_tried_again(
    wire: Wire, status: int
) -> None:
    error = failed(status, wire=wire)

    assert isinstance(error, ExpertRejectedError)
    assert (error.billed, error.retryable, error.http_status) == ("no", False, status)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_a_fault_that_the_provider_reports_itself_can_be_tried_again(
    wire: Wire, status: int
) -> None:
    error = failed(status, wire=wire)

    assert isinstance(error, ExpertUnavailableError)
    assert (error.billed, error.retryable) == ("no", True)


@pytest.mark.parametrize("status", [500, 502, 504, 520])
@pytest.mark.parametrize(
    "body", [b"", b"<html>Bad gateway</html>", b'{"detail":"x"}', b'{"error":"x"}']
)
def test_a_page_from_in_between_may_hide_a_bill(status: int, body: bytes) -> None:
    assert from_bytes(status, body).billed == "unknown"


@pytest.mark.parametrize(
    "code",
    [
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
    ],
)
def test_an_account_without_money_is_not_asked_again(code: str) -> None:
    error = failed(429, code=code, retry_after="1")

    assert isinstance(error, ExpertRejectedError)
    assert "no credit left" in str(error)


def test_the_quota_may_stand_in_the_type_or_in_the_details() -> None:
    by_type = failed(429, error_type="insufficient_quota")
    by_detail = failed(429, wire="anthropic", code="enforced_spend_limit_reached")

    assert isinstance(by_type, ExpertRejectedError)
    assert isinstance(by_detail, ExpertRejectedError)


def test_money_in_flight_at_openrouter_is_waited_for() -> None:
    error = failed(402, error_type="payment_required", retry_after="3")

    assert isinstance(error, ExpertUnavailableError)
    assert (error.billed, error.retry_after_s) == ("no", 3.0)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.25"}, 0.25),
        (
            {
                "retry-after": "Sat, 21 Nov 2026 12:00:30 GMT",
                "date": "Sat, 21 Nov 2026 12:00:00 GMT",
            },
            30.0,
        ),
        (
            {
                "retry-after": "Sat, 21 Nov 2026 11:00:00 GMT",
                "date": "Sat, 21 Nov 2026 12:00:00 GMT",
            },
            0.0,
        ),
        ({"retry-after": "Sat, 21 Nov 2026 12:00:30 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "inf"}, None),
        ({}, None),
    ],
)
def test_the_wait_asked_for_is_read_in_every_form(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert from_bytes(429, b"", headers).retry_after_s == seconds


def test_google_s_delay_and_daily_quota_are_read_from_its_details() -> None:
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "31s"}
    daily = {"violations": [{"quotaId": "GenerateRequestsPerDayPerProject"}]}
    minute = [{"error": {"code": 429, "message": "Slow.", "details": [retry]}}]
    day = [{"error": {"code": 429, "message": "Done.", "details": [daily]}}]

    again = from_bytes(429, json.dumps(minute).encode())
    never = from_bytes(429, json.dumps(day).encode())

    assert again.retry_after_s == 31.0
    assert isinstance(never, ExpertRejectedError)
    assert "Today's quota is used up" in str(never)


def test_a_daily_quota_is_not_waited_for_even_if_a_delay_is_named() -> None:
    error = failed(429, wire="gemini", code="daily_quota", retry_after="40")

    assert isinstance(error, ExpertRejectedError)
    assert (error.billed, error.retryable) == ("no", False)


def test_google_s_wrong_key_is_named_although_its_status_says_otherwise() -> None:
    error = failed(400, wire="gemini", code="API_KEY_INVALID")

    assert "Check the key in GEMINI_API_KEY." in str(error)


def test_money_in_flight_is_waited_for_even_if_no_time_is_named() -> None:
    error = failed(402, wire="openrouter", code="openrouter_in_flight_budget")

    assert isinstance(error, ExpertUnavailableError)
    assert (error.billed, error.retry_after_s) == ("no", None)


@pytest.mark.parametrize(
    ("status", "source"),
    [
        (402, "openrouter_credits"),
        (402, "openrouter_key_limit"),
        (403, "openrouter_guardrail_budget"),
        (403, "openrouter_workspace_budget"),
    ],
)
def test_a_spent_limit_at_openrouter_is_not_tried_again(
    status: int, source: str
) -> None:
    error = failed(status, wire="openrouter", code=source, retry_after="9")

    assert isinstance(error, ExpertRejectedError)
    assert "no credit left" in str(error)


def test_the_sentence_says_what_to_do() -> None:
    statuses = (401, 403, 404, 413, 429, 503)

    assert [str(failed(status)) for status in statuses] == snapshot(
        [
            "flagship: HTTP 401: The provider says 401. Check the key in OPENAI_API_KEY.",
            "flagship: HTTP 403: The provider says 403. The key in OPENAI_API_KEY may not use model 'gpt-6.1-sol'.",
            "flagship: HTTP 404: The provider says 404. Check `model: gpt-6.1-sol` and `base_url` in settings.yaml.",
            "flagship: HTTP 413: The provider says 413. Ask again with fewer files or less context.",
            "flagship: HTTP 429: The provider says 429. Too many requests at the moment.",
            "flagship: HTTP 503: The provider says 503. The fault is the provider's; ask again later.",
        ]
    )


def test_the_variable_named_is_the_one_in_the_settings() -> None:
    expert = an_expert(key_env="MY_KEY")

    error = wire_for("openai_chat").failure(expert, 401, {}, b"")

    assert str(error) == "flagship: HTTP 401. Check the key in MY_KEY."


def test_a_long_or_wild_message_becomes_one_short_line() -> None:
    wild = masked_error(
        failed(400, message="a\nb\x1b[31m" + "x" * 5000), Masker(known={})
    )

    assert str(wild).startswith("flagship: HTTP 400: a bxxx")
    assert "\n" not in str(wild)
    assert len(str(wild)) < 400


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"5", b'{"error":[]}', b'{"error":{"code":{}}}', b"[" * 50_000],
)
def test_any_body_gives_an_error_and_no_crash(body: bytes) -> None:
    error = from_bytes(400, body)

    assert isinstance(error, ExpertRejectedError)
    assert not isinstance(error, ExpertReplyError)


def test_the_request_id_is_kept_for_the_provider_s_support() -> None:
    assert failed(400, wire="anthropic").request_id == f"req_01{letters(7, 22)}"
    assert failed(400).request_id == f"req_{hexadecimal(7, 32)}"
