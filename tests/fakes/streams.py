"""
What the vendors' documents say that streams look like.

Each wire's pieces are made from its whole reply, so that both say the same.
Standard library only: the fake provider runs as a process of its own.

Source:
    The vendors' API references and type files of their SDKs, read 2026-11-22.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from tests.fakes.replies import answer
from tests.fakes.shapes import Behaviour, Received, Wire, error_body

_THOUGHT = "The counter is read twice."


@dataclass(slots=True, kw_only=True)
class Script:
    """
    One stream, in its four parts.

    Attributes:
        opening: Up to the first text: who answers, thoughts, signs of life.
        text: The deltas of the answer.
        ending: What says that the answer is at its end.
        counts: The usage, where it comes after the end.
        closing: What only says that no more comes.
    """

    opening: list[bytes] = field(default_factory=list[bytes])
    text: list[bytes] = field(default_factory=list[bytes])
    ending: list[bytes] = field(default_factory=list[bytes])
    counts: list[bytes] = field(default_factory=list[bytes])
    closing: list[bytes] = field(default_factory=list[bytes])

    def whole(self) -> list[bytes]:
        """Return all of it."""
        return [
            *self.opening,
            *self.text,
            *self.ending,
            *self.counts,
            *self.closing,
        ]


def wants_stream(wire: Wire, received: Received) -> bool:
    """Return whether a request asks for its reply in pieces."""
    if wire == "gemini":
        return ":streamGenerateContent" in received.path
    return received.json.get("stream") is True


def script(wire: Wire, received: Received, number: int, behaviour: Behaviour) -> Script:
    """Return the stream that a request gets."""
    whole = answer(wire, received, number, behaviour)
    match wire:
        case "openai_chat":
            options: Any = received.json.get("stream_options")
            return _chat(whole, counted=options == {"include_usage": True})
        case "openrouter":
            return _openrouter(whole)
        case "openai_responses":
            return _responses(whole)
        case "anthropic":
            return _anthropic(whole)
        case "gemini":
            return _gemini(whole)


def error_frame(wire: Wire, number: int, behaviour: Behaviour) -> bytes:
    """Return the event by which a stream says that it failed."""
    told = error_body(wire, number, behaviour)
    error = told["error"]
    match wire:
        case "anthropic":
            return _named({"type": "error", "error": error})
        case "openai_responses":
            flat = {key: error[key] for key in ("code", "message", "param")}
            return _named({"type": "error", **flat, "sequence_number": 9})
        case "openrouter":
            delta = {"role": "assistant", "content": ""}
            choice = {"index": 0, "delta": delta, "finish_reason": "error"}
            failed = {"object": "chat.completion.chunk", "choices": [choice]}
            return _data({**failed, "error": error})
        case "gemini":
            return _data(told, end="\r\n\r\n")
        case "openai_chat":
            return _data(told)


def _data(body: object, *, end: str = "\n\n") -> bytes:
    return f"data: {json.dumps(body)}{end}".encode()


def _named(body: dict[str, Any]) -> bytes:
    return f"event: {body['type']}\n".encode() + _data(body)


def _words(text: str) -> list[str]:
    """Cut a text into deltas, long words into several."""
    return re.findall(r"\s*\S{1,8}|\s+$", text)


def _chunks(
    whole: dict[str, Any], thought: dict[str, Any] | None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any]]:
    """Return the chunks before the text, those of the text, and the last choice."""
    choice = whole["choices"][0]
    message = choice["message"]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if thought is not None:
        deltas.append({"role": "assistant", "content": "", **thought})
    said = [
        {name: word}
        for name in ("content", "refusal")
        for word in _words(message[name] or "")
    ]
    last: dict[str, Any] = {**choice, "delta": {}}
    del last["message"]
    return deltas, said, last


def _chat(whole: dict[str, Any], *, counted: bool) -> Script:
    head = {key: whole[key] for key in whole if key not in {"choices", "usage"}}
    head["object"] = "chat.completion.chunk"
    if counted:
        head["usage"] = None
    opening, said, last = _chunks(whole, None)

    def chunk(delta: dict[str, Any]) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
        return _data({**head, "choices": [choice], "obfuscation": "hV3"})

    last_chunk = {**head, "choices": [last]}
    usage: dict[str, Any] = {**head, "choices": [], "usage": whole.get("usage")}
    return Script(
        opening=[chunk(delta) for delta in opening],
        text=[chunk(delta) for delta in said],
        ending=[_data(last_chunk)],
        counts=[_data(usage)] if counted and "usage" in whole else [],
        closing=[b"data: [DONE]\n\n"],
    )


def _openrouter(whole: dict[str, Any]) -> Script:
    """Its comments keep the connection alive while the upstream thinks."""
    head = {key: whole[key] for key in whole if key not in {"choices", "usage"}}
    head["object"] = "chat.completion.chunk"
    detail = {"type": "reasoning.text", "text": _THOUGHT, "format": None, "index": 0}
    thought = {"reasoning": _THOUGHT, "reasoning_details": [detail]}
    opening, said, last = _chunks(whole, thought)

    def chunk(delta: dict[str, Any]) -> bytes:
        ends = {"finish_reason": None, "native_finish_reason": None, "logprobs": None}
        return _data({**head, "choices": [{"index": 0, "delta": delta, **ends}]})

    waiting = b": OPENROUTER PROCESSING\n\n"
    usage: dict[str, Any] = {**head, "choices": [], "usage": whole.get("usage")}
    return Script(
        opening=[waiting, waiting, *(chunk(delta) for delta in opening)],
        text=[chunk({"role": "assistant", **delta}) for delta in said],
        ending=[_data({**head, "choices": [last]})],
        counts=[_data(usage)] if "usage" in whole else [],
        closing=[b"data: [DONE]\n\n"],
    )


def _responses(whole: dict[str, Any]) -> Script:
    reasoning, message = whole["output"]
    part = message["content"][0]
    name = "text" if part["type"] == "output_text" else "refusal"
    kind = f"response.{part['type']}"
    numbers = iter(range(1_000_000))
    begun: dict[str, Any] = {**whole, "status": "in_progress", "output": []}
    begun |= {"error": None, "incomplete_details": None, "usage": None}
    at = {"item_id": message["id"], "output_index": 1, "content_index": 0}

    def event(type_: str, **facts: Any) -> bytes:
        return _named({"type": type_, **facts, "sequence_number": next(numbers)})

    opening = [
        event("response.created", response=begun),
        event("response.in_progress", response=begun),
        event("response.output_item.added", output_index=0, item=reasoning),
        event("response.output_item.done", output_index=0, item=reasoning),
        event(
            "response.output_item.added",
            output_index=1,
            item={**message, "status": "in_progress", "content": []},
        ),
        event("response.content_part.added", **at, part={**part, name: ""}),
    ]
    more: dict[str, Any] = {"logprobs": []} if name == "text" else {}
    text = [
        event(f"{kind}.delta", **at, delta=word, **more) for word in _words(part[name])
    ]
    last = {"completed": "completed", "incomplete": "incomplete"}
    ending = [
        event(f"{kind}.done", **at, **{name: part[name]}, **more),
        event("response.content_part.done", **at, part=part),
        event("response.output_item.done", output_index=1, item=message),
        event(f"response.{last.get(whole['status'], 'failed')}", response=whole),
    ]
    if whole["status"] == "failed":
        return Script(opening=opening, ending=ending[-1:])
    return Script(opening=opening, text=text, ending=ending)


def _anthropic(whole: dict[str, Any]) -> Script:
    usage = whole.get("usage", {})
    later = {"output_tokens", "output_tokens_details", "iterations"}
    first = {key: usage[key] for key in usage if key not in later}
    if usage:
        first["output_tokens"] = min(1, usage.get("output_tokens", 1))
    begun: dict[str, Any] = {**whole, "content": [], "stop_reason": None}
    begun["usage"] = first
    text = whole["content"][0]["text"]

    def delta(index: int, **facts: Any) -> bytes:
        return _named({"type": "content_block_delta", "index": index, "delta": facts})

    def start(index: int, **block: Any) -> bytes:
        begins = {"type": "content_block_start", "index": index}
        return _named({**begins, "content_block": block})

    def stop(index: int) -> bytes:
        return _named({"type": "content_block_stop", "index": index})

    told = {key: usage[key] for key in usage if key in later}
    told |= {key: usage[key] for key in usage if key.endswith("input_tokens")}
    end = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    return Script(
        opening=[
            _named({"type": "message_start", "message": begun}),
            start(0, type="thinking", thinking="", signature=""),
            _named({"type": "ping"}),
            delta(0, type="thinking_delta", thinking=_THOUGHT),
            delta(0, type="signature_delta", signature="c2lnbmF0dXJl"),
            stop(0),
            start(1, type="text", text=""),
        ],
        text=[delta(1, type="text_delta", text=word) for word in _words(text)],
        ending=[
            stop(1),
            _named({"type": "message_delta", "delta": end, "usage": told}),
        ],
        closing=[_named({"type": "message_stop"})],
    )


def _gemini(whole: dict[str, Any]) -> Script:
    """Each piece is a whole reply of its own kind, with the counts so far."""
    facts = {key: whole[key] for key in whole if key != "candidates"}
    if "candidates" not in whole:
        return Script(ending=[_data(whole, end="\r\n\r\n")])
    candidate = whole["candidates"][0]
    counts = facts.get("usageMetadata", {})
    so_far = {
        key: counts[key]
        for key in counts
        if key not in {"candidatesTokenCount", "totalTokenCount"}
    }
    if counts:
        known = ("promptTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount")
        so_far["totalTokenCount"] = sum(counts.get(key, 0) for key in known)
        facts["usageMetadata"] = so_far

    def piece(**part: Any) -> bytes:
        content = {"parts": [part], "role": "model"}
        body = {"candidates": [{"content": content, "index": 0}], **facts}
        return _data(body, end="\r\n\r\n")

    parts = candidate.get("content", {}).get("parts", [])
    words = _words(parts[0]["text"]) if parts else []
    tail = {**candidate}
    if parts:
        tail["content"] = {"parts": [{**parts[0], "text": ""}], "role": "model"}
    last = {"candidates": [tail], **{key: whole[key] for key in facts}}
    return Script(
        opening=[piece(text=_THOUGHT, thought=True)],
        text=[piece(text=word) for word in words],
        ending=[_data(last, end="\r\n\r\n")],
    )


def frames(
    wire: Wire, received: Received, number: int, behaviour: Behaviour
) -> Iterator[bytes]:
    """Yield what a stream holds, up to where its fault stops it."""
    parts = script(wire, received, number, behaviour)
    half = parts.text[: max(1, len(parts.text) // 2)]
    status = int(behaviour.code or 502)
    failed = error_frame(wire, number, replace(behaviour, status=status, code=None))
    garbage = b"data: {no json\n\n"
    match behaviour.fault:
        case "stream_comments":
            yield from parts.opening[:1]
        case "stream_cut_first":
            yield from parts.opening
        case "stream_error_first":
            yield from [*parts.opening, failed]
        case "stream_garbage_first":
            yield from [*parts.opening, garbage]
        case "stream_error_after":
            yield from [*parts.opening, *half, failed]
        case "stream_garbage":
            yield from [*parts.opening, *half, garbage, *parts.text]
        case "stream_ends_early" | "stream_cut" | "stream_reset" | "stream_stall":
            yield from [*parts.opening, *half]
        case "stream_cut_before_counts":
            yield from [*parts.opening, *parts.text, *parts.ending]
        case _:
            yield from parts.whole()
