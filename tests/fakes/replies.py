"""
What the vendors' documents say that answers look like.

Standard library only: the fake provider runs as a process of its own.

Source:
    The vendors' API references and type files of their SDKs, read 2026-11-22.
"""

import time
from dataclasses import replace
from decimal import Decimal
from typing import Any

from tests.fakes.ids import generation_id, hexadecimal, letters
from tests.fakes.shapes import Behaviour, Received, Wire, error_body


def answer(
    wire: Wire, received: Received, number: int, behaviour: Behaviour
) -> dict[str, Any]:
    """Return a reply of status 200, as the vendor's documents show it."""
    build = {
        "openai_chat": _chat,
        "openai_responses": _responses,
        "anthropic": _anthropic,
        "gemini": _gemini,
        "openrouter": _openrouter,
    }[wire]
    body = build(behaviour.model or received.model, number, behaviour)
    name = "usageMetadata" if wire == "gemini" else "usage"
    usage = body[name]
    if behaviour.usage == "none":
        del body[name]
    elif behaviour.usage in {"absurd", "negative"}:
        wrong = 10**12 if behaviour.usage == "absurd" else -5
        counts = ("_tokens", "TokenCount")
        body[name] = {key: wrong for key in usage if key.endswith(counts)}
    elif behaviour.usage == "gemini":
        usage["completion_tokens"] -= behaviour.reasoning_tokens
        usage.pop("completion_tokens_details")
    if behaviour.cost_usd is not None:
        usage["cost"] = float(behaviour.cost_usd)
    return body


def error_in_success(
    wire: Wire, received: Received, number: int, behaviour: Behaviour
) -> dict[str, Any]:
    """Return a reply of status 200 that holds an error, whole or in its choice."""
    failed = replace(behaviour, status=int(behaviour.code or 502), code=None)
    whole = error_body(wire, number, failed)
    if behaviour.fault == "error_in_success":
        return whole
    body = answer(wire, received, number, behaviour)
    body["choices"][0] |= {"finish_reason": "error", "error": whole["error"]}
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
        "id": f"chatcmpl-{letters(number, 29)}",
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
        "id": f"resp_{hexadecimal(number, 48)}",
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "background": False,
        "error": failed if status == "failed" else None,
        "incomplete_details": {"reason": why} if status == "incomplete" else None,
        "model": model,
        "output": [
            {"id": f"rs_{hexadecimal(number, 48)}", "type": "reasoning", "summary": []},
            {
                "id": f"msg_{hexadecimal(number, 48)}",
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [part],
            },
        ],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
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
        "id": f"msg_01{letters(number, 22)}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": behaviour.text, "citations": None}],
        "stop_reason": stop.get(behaviour.finish, "end_turn"),
        "stop_sequence": None,
        "usage": usage,
    }


def _openrouter(model: str, number: int, behaviour: Behaviour) -> dict[str, Any]:
    body = _chat(model, number, behaviour)
    choice = body["choices"][0]
    message = choice["message"]
    message.pop("annotations")
    native = {"stop": "completed", "length": "max_output_tokens"}
    reason = choice["finish_reason"]
    choice["native_finish_reason"] = native.get(reason, reason)
    body["usage"]["prompt_tokens_details"].pop("audio_tokens")
    upstream = None if behaviour.upstream_usd is None else float(behaviour.upstream_usd)
    list_price = Decimal(_all_input(behaviour)) + 10 * behaviour.output_tokens
    return {
        **body,
        "id": generation_id(number),
        "provider": "Anthropic",
        "system_fingerprint": None,
        "choices": [{**choice, "message": {**message, "reasoning": None}}],
        "usage": {
            **body["usage"],
            "completion_tokens_details": {
                "reasoning_tokens": behaviour.reasoning_tokens
            },
            "cost": float(list_price / 1_000_000),
            "is_byok": upstream is not None,
            "cost_details": {
                "upstream_inference_cost": upstream,
                "upstream_inference_prompt_cost": 0,
                "upstream_inference_completions_cost": 0,
            },
        },
    }


_GEMINI_FINISHES = {
    "length": "MAX_TOKENS",
    "refusal": "PROHIBITED_CONTENT",
    "content_filter": "SAFETY",
    "failed": "OTHER",
    "continuation": "CONTINUATION",
}


def _gemini(model: str, number: int, behaviour: Behaviour) -> dict[str, Any]:
    """Google leaves out what is zero or empty."""
    prompt = _all_input(behaviour)
    counts = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": behaviour.output_tokens - behaviour.reasoning_tokens,
        "thoughtsTokenCount": behaviour.reasoning_tokens,
        "toolUsePromptTokenCount": behaviour.tool_use_tokens,
        "cachedContentTokenCount": behaviour.cache_read_tokens,
        "totalTokenCount": prompt + behaviour.output_tokens + behaviour.tool_use_tokens,
    }
    modality = {"modality": "TEXT", "tokenCount": prompt}
    usage: dict[str, Any] = {name: count for name, count in counts.items() if count}
    body: dict[str, Any] = {
        "usageMetadata": {**usage, "promptTokensDetails": [modality]},
        "modelVersion": model,
        "responseId": f"r{letters(number, 21)}",
    }
    if behaviour.finish == "blocked":
        body["usageMetadata"].pop("candidatesTokenCount")
        body["usageMetadata"]["totalTokenCount"] = prompt
        return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, **body}
    candidate: dict[str, Any] = {
        "content": {
            "parts": [{"text": behaviour.text, "thoughtSignature": "c2lnbmF0dXJl"}],
            "role": "model",
        },
        "finishReason": _GEMINI_FINISHES.get(behaviour.finish, "STOP"),
        "index": 0,
    }
    if behaviour.finish in {"refusal", "content_filter"}:
        candidate.pop("content")
        candidate["safetyRatings"] = [
            {
                "category": "HARM_CATEGORY_DANGEROUS_CONTENT",
                "probability": "HIGH",
                "blocked": True,
            }
        ]
    if behaviour.finish == "continuation":
        candidate["continuationToken"] = "dG9rZW4="
    return {"candidates": [candidate], **body}
