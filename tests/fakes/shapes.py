"""
What a request meets: the vendors' headers and errors, and the faults that befall it.

Standard library only: the fake provider runs as a process of its own.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tests.fakes.ids import hexadecimal, letters

Wire = Literal["openai_chat", "openai_responses", "anthropic", "gemini", "openrouter"]
Fault = Literal[
    "cut",  # the connection ends in the middle of the body
    "reset",  # TCP reset before the first header
    "invalid_json",
    "html",  # an HTML page, as a proxy would send
    "empty",
    "empty_choices",
    "redirect",
    "error_in_success",  # status 200, and an error in the body
    "error_in_choice",  # status 200, and an error in the choice, after some text
    "gzip_bomb",  # 64 MB of zeros in 64 kB
    "huge",  # 9 MB of plain JSON
    "slow_loris",  # headers, then a byte now and then, for ever
    # From here on, what befalls a stream; a reply in one piece is spared.
    "ignores_stream",  # the reply comes in one piece all the same
    "stream_gzip",  # a good stream, compressed
    "stream_gzip_bomb",
    "stream_comments",  # signs of life and nothing else, for ever
    "stream_cut_first",  # the connection ends before the first text
    "stream_cut",  # the connection ends in the middle of the text
    "stream_cut_before_counts",  # the text is whole, its usage never comes
    "stream_ends_early",  # a proper end of the body in the middle of the text
    "stream_reset",  # TCP reset in the middle of the text
    "stream_stall",  # nothing more comes in the middle of the text
    "stream_stays_open",  # whole, and the connection is held open
    "stream_error_first",  # the provider reports an error before the first text
    "stream_error_after",  # the same in the middle of the text
    "stream_garbage_first",  # an event that is no JSON before the first text
    "stream_garbage",  # the same in the middle of the text
]
Finish = Literal[
    "stop", "length", "refusal", "content_filter", "failed", "blocked", "continuation"
]
UsageShape = Literal["normal", "none", "absurd", "negative", "gemini"]

WIRES: dict[str, Wire] = {
    ":generateContent": "gemini",
    ":streamGenerateContent?alt=sse": "gemini",
    "/api/v1/chat/completions": "openrouter",
    "/chat/completions": "openai_chat",
    "/responses": "openai_responses",
    "/messages": "anthropic",
}

_NEEDED: dict[Wire, tuple[str, ...]] = {
    "openai_chat": ("model", "messages"),
    "openai_responses": ("model", "input"),
    "anthropic": ("model", "messages", "max_tokens"),
    "gemini": ("contents",),
    "openrouter": ("model", "messages"),
}
BASES: dict[Wire, str] = {
    "openai_chat": "/v1",
    "openai_responses": "/v1",
    "anthropic": "",
    "gemini": "",
    "openrouter": "/api/v1",
}
"""What follows the host in the base address of each wire."""

_GOOGLE = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """
    What one request meets; token counts are disjoint, output includes reasoning.

    `status` other than 200 answers with the vendor's error shape, `code` inside;
    `raw_error` sends that body as it is. `delay_s` waits before the headers. A
    redirect leads to `location`, or elsewhere on the same server. `date` is what the
    provider's clock says, as a `Date` header.
    """

    text: str = "Use a lock around the counter, then run the test again."
    input_tokens: int = 120
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_long_tokens: int = 0
    output_tokens: int = 30
    reasoning_tokens: int = 0
    model: str | None = None
    finish: Finish = "stop"
    usage: UsageShape = "normal"
    service_tier: str | None = None
    speed: str | None = None
    cost_usd: str | None = None
    upstream_usd: str | None = None
    advisor_tokens: tuple[int, int] | None = None
    tool_use_tokens: int = 0
    status: int = 200
    code: str | None = None
    error_type: str | None = None
    message: str | None = None
    retry_after: str | None = None
    raw_error: str | None = None
    fault: Fault | None = None
    location: str | None = None
    delay_s: float = 0.0
    date: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request as it came; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def model(self) -> str:
        """The model asked for; Gemini's stands in the path."""
        found = re.search(r"/models/([^/:]+):", self.path)
        return found.group(1) if found else str(self.json.get("model"))


def complaint(
    wire: Wire | None, received: Received, key: str | None
) -> Behaviour | None:
    """Return the error a strict vendor gives for a request it does not take."""
    if wire is None:
        return Behaviour(status=404, message=f"Unknown path {received.path}")
    headers = received.headers
    bearer = headers.get("authorization", "").removeprefix("Bearer ")
    sent = headers.get(_KEY_HEADERS.get(wire, "authorization"), bearer)
    if key is not None and sent.removeprefix("Bearer ") != key:
        return _wrong_key(wire)
    message = _flaw(wire, received)
    return Behaviour(status=400, message=message) if message else None


_KEY_HEADERS: dict[Wire, str] = {"anthropic": "x-api-key", "gemini": "x-goog-api-key"}


def _wrong_key(wire: Wire) -> Behaviour:
    if wire == "gemini":
        message = "API key not valid. Please pass a valid API key."
        return Behaviour(status=400, code="API_KEY_INVALID", message=message)
    return Behaviour(status=401, code="invalid_api_key", message="Wrong API key.")


def _flaw(wire: Wire, received: Received) -> str | None:
    try:
        body = received.json
    except ValueError:
        return "The body is no JSON."
    if wire == "anthropic" and "anthropic-version" not in received.headers:
        return "anthropic-version: header is required"
    missing = [name for name in _NEEDED[wire] if name not in body]
    if missing:
        return f"{missing[0]}: Field required"
    body = {**body, **body.get("generationConfig", {})}
    refused = [name for name in _SAMPLING if name in body]
    return f"Unsupported parameter: {refused[0]}" if refused else None


_SAMPLING = ("temperature", "top_p", "top_k", "topP", "topK")


def vendor_headers(wire: Wire, number: int) -> dict[str, str]:
    match wire:
        case "anthropic":
            return {
                "request-id": f"req_01{letters(number, 22)}",
                "anthropic-organization-id": "0b0e2d5c-0000-4000-8000-000000000000",
                "anthropic-ratelimit-requests-limit": "4000",
                "anthropic-ratelimit-requests-remaining": "3999",
                "anthropic-ratelimit-requests-reset": "2026-11-21T12:00:00Z",
                "anthropic-ratelimit-output-tokens-remaining": "399000",
            }
        case "gemini":
            return {
                "content-type": "application/json; charset=UTF-8",
                "vary": "Origin, X-Origin, Referer",
                "server-timing": "gfet4t7; dur=1234",
                "x-gemini-service-tier": "standard",
            }
        case "openrouter":
            return {"cf-ray": f"{number:016x}-FRA", "x-clerk-auth-status": "signed-out"}
        case _:
            return {
                "x-request-id": f"req_{hexadecimal(number, 32)}",
                "openai-version": "2020-10-01",
                "openai-processing-ms": "1234",
                "x-ratelimit-limit-requests": "10000",
                "x-ratelimit-remaining-requests": "9999",
                "x-ratelimit-reset-requests": "6ms",
                "x-ratelimit-limit-tokens": "30000000",
                "x-ratelimit-remaining-tokens": "29999000",
                "x-ratelimit-reset-tokens": "2ms",
            }


def error_body(wire: Wire, number: int, behaviour: Behaviour) -> dict[str, Any]:
    kind = behaviour.error_type or _KINDS.get(behaviour.status, "api_error")
    message = behaviour.message or f"The provider says {behaviour.status}."
    code = behaviour.code
    error: dict[str, Any] = {"message": message}
    match wire:
        case "anthropic":
            error["type"] = kind
            if code:
                error["details"] = {"error_code": code}
            request_id = f"req_01{letters(number, 22)}"
            return {"type": "error", "error": error, "request_id": request_id}
        case "gemini":
            return {"error": _google_error(behaviour, message)}
        case "openrouter":
            error["code"] = behaviour.status
            if code or behaviour.error_type:
                told = {"error_type": behaviour.error_type, "limit_source": code}
                error["metadata"] = {name: word for name, word in told.items() if word}
            return {"error": error, "user_id": "user_2abc"}
        case _:
            return {"error": {**error, "type": kind, "param": None, "code": code}}


def _google_error(behaviour: Behaviour, message: str) -> dict[str, Any]:
    details: list[dict[str, Any]] = []
    if behaviour.code == "daily_quota":
        quota = {
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_requests",
            "quotaId": "GenerateRequestsPerDayPerProjectPerModel",
            "quotaDimensions": {"location": "global", "model": "gemini-4-argon"},
            "quotaValue": "100",
        }
        violations = {"@type": f"{_RPC}.QuotaFailure", "violations": [quota]}
        details.append(violations)
    elif behaviour.code:
        details.append(
            {
                "@type": f"{_RPC}.ErrorInfo",
                "reason": behaviour.code,
                "domain": "googleapis.com",
                "metadata": {"service": "generativelanguage.googleapis.com"},
            }
        )
    if behaviour.retry_after is not None and behaviour.retry_after.isdecimal():
        delay = f"{behaviour.retry_after}s"
        details.append({"@type": f"{_RPC}.RetryInfo", "retryDelay": delay})
    return {
        "code": behaviour.status,
        "message": message,
        "status": _GOOGLE.get(behaviour.status, "UNKNOWN"),
        **({"details": details} if details else {}),
    }


_RPC = "type.googleapis.com/google.rpc"
