"""
A vLLM on loopback whose answers a test writes: 0.32's shapes, its strictness, its cache.

A token is a word with the white space before it. What it shall not be able to do is
taken away by name.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any

from tests.local.fake_model import FakeModel

Reply = Callable[[list[dict[str, str]], int], str]
"""Takes the conversation and the number of the sample, returns the answer."""

_WORD = re.compile(r"\s*\S+|\s+")
_MOST_TOP = 20


def words(text: str) -> list[str]:
    return _WORD.findall(text)


@dataclass(slots=True, kw_only=True)
class FakeVllm:
    """
    What it says, and what it lacks.

    Attributes:
        reply: The answers.
        alternatives: Likeliest tokens with log-probabilities, for a token.
        lacks: `logprobs`, `top_logprobs`, `prompt_logprobs`, `echo`, `n`, `seeds`,
            `guide`, `metrics`, `window`: it takes no notice of these.
        refuses: Of the same: it answers 400 to them.
        version: What `/version` says.
        status: Of every completion; 200 serves.
        finish: How every answer ends.
        hold: Nothing is answered before it is set.
        asked: Bodies of completions.
    """

    reply: Reply = lambda turns, number: "Answer: 4"
    alternatives: Callable[[str], list[tuple[str, Any]]] = lambda token: [
        (token, -0.1),
        ("other", -2.5),
    ]
    lacks: Iterable[str] = ()
    refuses: Iterable[str] = ()
    version: str = "0.32.0"
    status: int = 200
    finish: str = "stop"
    hold: Event | None = None
    asked: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    queries: int = 0
    hits: int = 0
    _seen: list[list[str]] = field(default_factory=list[list[str]])
    _lock: Lock = field(default_factory=Lock)
    _drawn: int = 0

    def model(self) -> FakeModel:
        """Return it as a server for `serving`."""
        return FakeModel(serve=self.serve)

    def serve(self, path: str, body: dict[str, Any] | None) -> tuple[int, bytes]:
        if body is None:
            return self._page(path)
        self.asked.append(body)
        if self.hold is not None:
            self.hold.wait(30)
        if self.status != 200:
            return self._no(self.status, "No slot is free.")
        wish = next((each for each in self.refuses if _wishes(body, each)), None)
        if wish:
            return self._no(400, f"{wish} is not allowed")
        with self._lock:
            made = self._echo(body) if "prompt" in body else self._chat(body)
        return (404, b"{}") if made is None else (200, json.dumps(made).encode())

    def _page(self, path: str) -> tuple[int, bytes]:
        pages: dict[str, object] = {
            "/version": {"version": self.version},
            "/v1/models": {
                "object": "list",
                "data": [
                    {
                        "id": "tiny",
                        "object": "model",
                        "owned_by": "vllm",
                        "max_model_len": None if "window" in self.lacks else 8192,
                    }
                ],
            },
        }
        if path == "/metrics" and "metrics" not in self.lacks:
            labels = '{engine="0",model_name="tiny"}'
            lines = [
                f"vllm:prefix_cache_queries_total{labels} {float(self.queries)}",
                f"vllm:prefix_cache_queries_created{labels} 1.7953310356112368e+09",
                f"vllm:prefix_cache_hits_total{labels} {float(self.hits)}",
                f"vllm:prefix_cache_hits_created{labels} 1.795331035611251e+09",
            ]
            return 200, "\n".join(lines).encode()
        if path in pages:
            return 200, json.dumps(pages[path]).encode()
        return 404, b'{"detail":"Not Found"}'

    def _no(self, status: int, message: str) -> tuple[int, bytes]:
        error = {"message": message, "type": "BadRequestError", "code": status}
        return status, json.dumps({"error": error}).encode()

    def _chat(self, body: dict[str, Any]) -> dict[str, Any]:
        turns: list[dict[str, str]] = body["messages"]
        prompt = self._prompt(turns)
        cached = self._look_up(prompt)
        count = 1 if "n" in self.lacks else int(body.get("n", 1))
        choices = [self._choice(body, turns, number) for number in range(count)]
        written = sum(len(words(each["message"]["content"])) for each in choices)
        wanted = "prompt_logprobs" in body and "prompt_logprobs" not in self.lacks
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "model": body["model"],
            "choices": choices,
            "system_fingerprint": "vllm-0.32.0-e2492251",
            "usage": {
                "prompt_tokens": len(prompt),
                "total_tokens": len(prompt) + written,
                "completion_tokens": written,
                "prompt_tokens_details": {"cached_tokens": cached},
            },
            "prompt_logprobs": self._prompted(prompt) if wanted else None,
        }

    def _prompt(self, turns: list[dict[str, str]]) -> list[str]:
        return [
            part
            for turn in turns
            for part in (f"<{turn['role']}>", *words(turn["content"]))
        ]

    def _look_up(self, prompt: list[str]) -> int:
        cached = max((_common(prompt, each) for each in self._seen), default=0)
        cached = min(cached, len(prompt) - 1)
        self._seen.append(prompt)
        self.queries += len(prompt)
        self.hits += cached
        return cached

    def _choice(
        self, body: dict[str, Any], turns: list[dict[str, str]], number: int
    ) -> dict[str, Any]:
        text = self.reply(turns, number + int(body.get("seed") or 0))
        if "seeds" in self.lacks:
            self._drawn += 1
            text = f"{text} {self._drawn}"
        allowed = body.get("structured_outputs", {}).get("choice")
        if allowed and "guide" not in self.lacks:
            text = text if text in allowed else allowed[0]
        kept = words(text)[: body["max_tokens"]]
        cut = len(kept) < len(words(text))
        return {
            "index": number,
            "message": {"role": "assistant", "content": "".join(kept)},
            "logprobs": self._logprobs(body, kept),
            "finish_reason": "length" if cut else self.finish,
        }

    def _logprobs(
        self, body: dict[str, Any], kept: list[str]
    ) -> dict[str, object] | None:
        if not body.get("logprobs") or "logprobs" in self.lacks:
            return None
        top = 0 if "top_logprobs" in self.lacks else body.get("top_logprobs", 0)
        content: list[dict[str, object]] = []
        for token in kept:
            found = self.alternatives(token)
            listed: list[dict[str, object]] = [
                {"token": text, "logprob": p, "bytes": None} for text, p in found
            ]
            content.append({**listed[0], "token": token, "top_logprobs": listed[:top]})
        return {"content": content}

    def _prompted(self, prompt: list[str]) -> list[dict[str, object] | None]:
        told: list[dict[str, object] | None] = [None]
        for number, token in enumerate(prompt[1:]):
            logprob = self.alternatives(token)[0][1]
            fact = {"logprob": logprob, "rank": 1, "decoded_token": token}
            told.append({str(number): fact})
        return told

    def _echo(self, body: dict[str, Any]) -> dict[str, Any] | None:
        if "echo" in self.lacks:
            return None
        prompt: str = body["prompt"]
        tokens = words(prompt)
        offsets = [len("".join(tokens[:place])) for place in range(len(tokens))]
        found = [self.alternatives(token)[0][1] for token in tokens]
        logprobs = {
            "tokens": [*tokens, " on"],
            "token_logprobs": [None, *found[1:], -0.5],
            "text_offset": [*offsets, len(prompt)],
        }
        usage = {"prompt_tokens": len(tokens), "completion_tokens": 1}
        choice = {"index": 0, "text": f"{prompt} on", "logprobs": logprobs}
        return {"object": "text_completion", "choices": [choice], "usage": usage}


def _wishes(body: dict[str, Any], name: str) -> bool:
    if name == "n":
        return body.get("n", 1) > 1
    if name == "guide":
        return any(
            key in body
            for key in ("structured_outputs", "guided_choice", "response_format")
        )
    return bool(body.get(name)) or name in body


def _common(one: list[str], two: list[str]) -> int:
    count = 0
    for first, second in zip(one, two, strict=False):
        if first != second:
            break
        count += 1
    return count
