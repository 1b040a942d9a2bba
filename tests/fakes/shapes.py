"""
What the vendors' documents say replies look like, and the faults that befall them.

Standard library only: the fake provider runs as a process of its own.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Wire = Literal["openai_chat", "openai_responses", "anthropic"]
Fault = Literal[
    "cut",  # the connection ends in the middle of the body
    "reset",  # TCP reset before the first header
    "invalid_json",
    "html",  # an HTML page, as a proxy would send
    "empty",
    "empty_choices",
    "redirect",
    "gzip_bomb",  # 64 MB of zeros in 64 kB
    "huge",  # 9 MB of plain JSON
    "slow_loris",  # headers, then a byte now and then, for ever
]
Finish = Literal["stop", "length", "refusal", "content_filter", "failed"]
UsageShape = Literal["normal", "none", "absurd", "negative", "gemini"]

WIRES: dict[str, Wire] = {
    "/chat/completions": "openai_chat",
    "/responses": "openai_responses",
    "/messages": "anthropic",
}

_NEEDED: dict[Wire, tuple[str, ...]] = {
    "openai_chat": ("model", "messages"),
    "openai_responses": ("model", "input"),
    "anthropic": ("model", "messages", "max_tokens"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """
    What one request meets; token counts are disjoint, output includes reasoning.

    `status` other than 200 answers with the vendor's error shape, `code` inside;
    `raw_error` sends that body as it is. `delay_s` waits before the headers.
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
    advisor_tokens: tuple[int, int] | None = None
    status: int = 200
    code: str | None = None
    error_type: str | None = None
    message: str | None = None
    retry_after: str | None = None
    raw_error: str | None = None
    fault: Fault | None = None
    delay_s: float = 0.0


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


def complaint(
    wire: Wire | None, received: Received, key: str | None
) -> Behaviour | None:
    """Return the error a strict vendor gives for a request it does not take."""
    if wire is None:
        return Behaviour(status=404, message=f"Unknown path {received.path}")
    sent = received.headers.get(
        "x-api-key", received.headers.get("authorization", "").removeprefix("Bearer ")
    )
    if key is not None and sent != key:
        return Behaviour(status=401, code="invalid_api_key", message="Wrong API key.")
    message = _flaw(wire, received)
    return Behaviour(status=400, message=message) if message else None


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
    refused = [name for name in ("temperature", "top_p", "top_k") if name in body]
    return f"Unsupported parameter: {refused[0]}" if refused else None


def vendor_headers(wire: Wire, number: int) -> dict[str, str]:
    if wire == "anthropic":
        return {
            "request-id": f"req_{number:024d}",
            "anthropic-organization-id": "0b0e2d5c-0000-4000-8000-000000000000",
            "anthropic-ratelimit-requests-limit": "4000",
            "anthropic-ratelimit-requests-remaining": "3999",
            "anthropic-ratelimit-requests-reset": "2026-11-21T12:00:00Z",
            "anthropic-ratelimit-output-tokens-remaining": "399000",
        }
    return {
        "x-request-id": f"req_{number:032x}",
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
    kinds = {
        400: "invalid_request_error",
        401: "authentication_error",
        402: "billing_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        529: "overloaded_error",
    }
    kind = behaviour.error_type or kinds.get(behaviour.status, "api_error")
    message = behaviour.message or f"The provider says {behaviour.status}."
    if wire == "anthropic":
        error: dict[str, Any] = {"type": kind, "message": message}
        if behaviour.code:
            error["details"] = {"error_code": behaviour.code}
        request_id = f"req_{number:024d}"
        return {"type": "error", "error": error, "request_id": request_id}
    code = behaviour.code
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def answer(
    wire: Wire, request: Mapping[str, Any], number: int, behaviour: Behaviour
) -> dict[str, Any]:
    build = {
        "openai_chat": _chat,
        "openai_responses": _responses,
        "anthropic": _anthropic,
    }[wire]
    body = build(str(behaviour.model or request["model"]), number, behaviour)
    usage = body["usage"]
    if behaviour.usage == "none":
        del body["usage"]
    elif behaviour.usage in {"absurd", "negative"}:
        wrong = 10**15 if behaviour.usage == "absurd" else -5
        body["usage"] = {key: wrong for key in usage if key.endswith("_tokens")}
    elif behaviour.usage == "gemini":
        usage["completion_tokens"] -= behaviour.reasoning_tokens
        usage.pop("completion_tokens_details")
    if behaviour.cost_usd is not None:
        usage["cost"] = float(behaviour.cost_usd)
    return body


def _all_input(behaviour: Behaviour) -> int:
    return (
        behaviour.input_tokens
        + behaviour.cache_read_tokens
        + behaviour.cache_write_tokens
        + behaviour.cache_write_long_tokens
    )


def _chat(model: str, number: int, behaviour: Behaviour) -> dict[str, Any]:
    prompt = _all_input(behaviour)
    refused = behaviour.finish == "refusal"
    reason = "stop" if refused else behaviour.finish
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if refused else behaviour.text,
        "refusal": behaviour.text if refused else None,
        "annotations": [],
    }
    return {
        "id": f"chatcmpl-{number:029d}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": None,
                "finish_reason": reason,
            }
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": behaviour.output_tokens,
            "total_tokens": prompt + behaviour.output_tokens,
            "prompt_tokens_details": {
                "cached_tokens": behaviour.cache_read_tokens,
                "cache_write_tokens": behaviour.cache_write_tokens
                + behaviour.cache_write_long_tokens,
                "audio_tokens": 0,
            },
            "completion_tokens_details": {
                "reasoning_tokens": behaviour.reasoning_tokens,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        "service_tier": behaviour.service_tier or "default",
        "system_fingerprint": "fp_44709d6fcb",
    }


def _responses(model: str, number: int, behaviour: Behaviour) -> dict[str, Any]:
    prompt = _all_input(behaviour)
    part: dict[str, Any] = {
        "type": "output_text",
        "text": behaviour.text,
        "annotations": [],
        "logprobs": [],
    }
    if behaviour.finish == "refusal":
        part = {"type": "refusal", "refusal": behaviour.text}
    status = {"length": "incomplete", "content_filter": "incomplete"}.get(
        behaviour.finish, "failed" if behaviour.finish == "failed" else "completed"
    )
    why = "max_output_tokens" if behaviour.finish == "length" else "content_filter"
    failed = {
        "code": behaviour.code or "server_error",
        "message": behaviour.message or "The model failed.",
    }
    return {
        "id": f"resp_{number:048x}",
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "background": False,
        "error": failed if status == "failed" else None,
        "incomplete_details": {"reason": why} if status == "incomplete" else None,
        "model": model,
        "output": [
            {"id": f"rs_{number:048x}", "type": "reasoning", "summary": []},
            {
                "id": f"msg_{number:048x}",
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [part],
            },
        ],
        "parallel_tool_calls": True,
        "service_tier": behaviour.service_tier or "default",
        "store": False,
        "usage": {
            "input_tokens": prompt,
            "input_tokens_details": {
                "cached_tokens": behaviour.cache_read_tokens,
                "cache_write_tokens": behaviour.cache_write_tokens
                + behaviour.cache_write_long_tokens,
            },
            "output_tokens": behaviour.output_tokens,
            "output_tokens_details": {"reasoning_tokens": behaviour.reasoning_tokens},
            "total_tokens": prompt + behaviour.output_tokens,
        },
    }


def _anthropic(model: str, number: int, behaviour: Behaviour) -> dict[str, Any]:
    short, long = behaviour.cache_write_tokens, behaviour.cache_write_long_tokens
    usage: dict[str, Any] = {
        "input_tokens": behaviour.input_tokens,
        "cache_creation_input_tokens": short + long,
        "cache_read_input_tokens": behaviour.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": short,
            "ephemeral_1h_input_tokens": long,
        },
        "output_tokens": behaviour.output_tokens,
        "output_tokens_details": {"thinking_tokens": behaviour.reasoning_tokens},
        "service_tier": behaviour.service_tier or "standard",
        "inference_geo": "global",
    }
    if behaviour.speed is not None:
        usage["speed"] = behaviour.speed
    if behaviour.advisor_tokens is not None:
        read, written = behaviour.advisor_tokens
        usage["iterations"] = [
            {
                "type": "message",
                "input_tokens": behaviour.input_tokens,
                "output_tokens": behaviour.output_tokens,
            },
            {
                "type": "advisor_message",
                "model": "claude-opus-5-5",
                "input_tokens": read,
                "output_tokens": written,
            },
        ]
    stop = {"length": "max_tokens", "refusal": "refusal", "content_filter": "refusal"}
    return {
        "id": f"msg_{number:024d}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": behaviour.text, "citations": None}],
        "stop_reason": stop.get(behaviour.finish, "end_turn"),
        "stop_sequence": None,
        "usage": usage,
    }
