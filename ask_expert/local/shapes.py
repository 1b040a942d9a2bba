"""
The shapes of an OpenAI-compatible server's replies, and what they become.

What a server may leave out, or say in its own way, ends here: a log-probability that
is null, infinite or a stand-in for minus infinity is None.
"""

import json
import math
from collections.abc import Sequence

from pydantic import BaseModel, Field

from ask_expert.local.answered import Guide, Sample, Token

_MINUS_INFINITY = -9999.0
"""What vLLM writes where JSON has no word for minus infinity."""


class _Top(BaseModel):
    token: str = ""
    logprob: float | None = None


class _Token(_Top):
    top_logprobs: list[_Top] | None = None


class _Logprobs(BaseModel):
    content: list[_Token] | None = None


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None


class _Details(BaseModel):
    cached_tokens: int | None = None


class Usage(BaseModel):
    """How many tokens a request took."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _Details | None = None


class _Prompted(BaseModel):
    logprob: float | None = None
    decoded_token: str | None = None


class Chat(BaseModel):
    """A reply of `/chat/completions`; `prompt_logprobs` is vLLM's."""

    choices: list[_Choice] = Field(min_length=1)
    usage: Usage | None = None
    system_fingerprint: str | None = None
    prompt_logprobs: list[dict[str, _Prompted] | None] | None = None


class _EchoLogprobs(BaseModel):
    tokens: list[str]
    token_logprobs: list[float | None]
    text_offset: list[int]


class _EchoChoice(BaseModel):
    text: str
    logprobs: _EchoLogprobs | None = None


class Echo(BaseModel):
    """A reply of `/completions` that holds the prompt."""

    choices: list[_EchoChoice] = Field(min_length=1)
    usage: Usage | None = None


def guided(choices: Sequence[str], guide: Guide) -> dict[str, object]:
    """Return the keys of a body that allow these answers alone."""
    words = list(choices)
    match guide:
        case "structured_outputs":
            return {"structured_outputs": {"choice": words}}
        case "guided_choice":
            return {"guided_choice": words}
        case "json_schema":
            schema = {"name": "choice", "schema": {"enum": words}}
            return {"response_format": {"type": "json_schema", "json_schema": schema}}


def sample(choice: _Choice, *, quoted: bool) -> Sample:
    """Return one answer; `quoted` when it came as a JSON text."""
    text = choice.message.content or ""
    if quoted:
        text = _unquoted(text)
    listed = choice.logprobs.content if choice.logprobs else None
    tokens = None if listed is None else tuple(map(_token, listed))
    finished = choice.finish_reason != "length"
    return Sample(text=text, finished=finished, tokens=tokens)


def _unquoted(text: str) -> str:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, str) else text


def _token(told: _Token) -> Token:
    top = [(each.token, finite(each.logprob)) for each in told.top_logprobs or ()]
    return Token(
        text=told.token,
        logprob=finite(told.logprob),
        top=tuple((text, logprob) for text, logprob in top if logprob is not None),
    )


def prompt_tokens(
    told: list[dict[str, _Prompted] | None] | None,
) -> tuple[Token, ...] | None:
    """Return the prompt's tokens; the first one has nothing to depend on."""
    if told is None:
        return None
    first = [next(iter(each.values()), _Prompted()) for each in told if each]
    return (Token(text="", logprob=None),) * (len(told) - len(first)) + tuple(
        Token(text=each.decoded_token or "", logprob=finite(each.logprob))
        for each in first
    )


def finite(logprob: float | None) -> float | None:
    """Return a log-probability as it can be reckoned with; None when it cannot."""
    if logprob is None or not math.isfinite(logprob) or logprob <= _MINUS_INFINITY:
        return None
    return min(logprob, 0.0)


def cached(usage: Usage) -> int:
    """Return how many prompt tokens the server took from its cache."""
    details = usage.prompt_tokens_details
    told = details.cached_tokens if details else None
    return min(told or 0, usage.prompt_tokens)
