"""Anthropic Messages."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from ask_expert.errors import ExpertError
from ask_expert.experts import body as bodies
from ask_expert.experts import failures, reading
from ask_expert.experts.reading import Lenient, Shape, Tokens, Word
from ask_expert.experts.streamed.anthropic import StreamedMessage
from ask_expert.experts.wire import StreamedReply, WireRequest
from ask_expert.question import Prompt
from ask_expert.reply import ExpertAnswer, Finish, Provenance, Usage
from ask_expert.settings import ExpertSettings

_KEY_NAME = "ANTHROPIC_API_KEY"
_VERSION = "2023-06-01"
_EFFORTS = {"minimal": "low"}
_FINISHES: dict[str, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
}
_BILLED_APART = frozenset({"advisor_message", "compaction"})


class _Stop(Shape):
    category: Word = None


class _Reply(Shape):
    content: list[dict[str, Any]] = Field(default_factory=list)
    error: object = None
    model: Word = None
    id: Word = None
    stop_reason: Word = None
    stop_details: Annotated[_Stop | None, Lenient] = None
    usage: object = None
    usage_is_early: object = None


class _Written(Shape):
    ephemeral_5m_input_tokens: Tokens | None = None
    ephemeral_1h_input_tokens: Tokens | None = None


class _OutputDetails(Shape):
    thinking_tokens: Tokens | None = None


class _Counts(Shape):
    type: str = "message"
    input_tokens: Tokens
    output_tokens: Tokens
    cache_read_input_tokens: Tokens | None = None
    cache_creation_input_tokens: Tokens | None = None
    cache_creation: _Written | None = None
    output_tokens_details: _OutputDetails | None = None


class _Usage(_Counts):
    iterations: list[_Counts] | None = None


class _Served(Shape):
    service_tier: Word = None
    speed: Word = None
    inference_geo: Word = None


class Anthropic:
    """See `Wire`."""

    default_base_url = "https://api.anthropic.com"
    own_credentials = False

    def encode(
        self, expert: ExpertSettings, prompt: Prompt, *, max_output_tokens: int
    ) -> WireRequest:
        """See `Wire.encode`."""
        body: dict[str, object] = {
            "model": expert.model,
            "max_tokens": max_output_tokens,
            "system": prompt.system,
            "messages": bodies.messages(prompt),
        }
        if expert.cache_threads:
            body |= _cached(prompt)
        if expert.effort is not None:
            effort = _EFFORTS.get(expert.effort, expert.effort)
            body["output_config"] = {"effort": effort}
        if expert.stream:
            body["stream"] = True
        base = bodies.base_url(expert, self.default_base_url)
        path = "/messages" if base.endswith("/v1") else "/v1/messages"
        return bodies.request(expert, path, body, {"anthropic-version": _VERSION})

    def auth(
        self,
        expert: ExpertSettings,  # noqa: ARG002
        key: str,
        *,
        url: str,  # noqa: ARG002
        body: bytes,  # noqa: ARG002
    ) -> dict[str, str]:
        """See `Wire.auth`."""
        return {"x-api-key": key}

    def decode(
        self, expert: ExpertSettings, body: bytes, headers: Mapping[str, str]
    ) -> ExpertAnswer:
        """See `Wire.decode`."""
        reply = reading.parse(expert, _Reply, body, headers)
        text = _text(expert, reply, headers)
        if reply.error and not text.strip():
            raise failures.within_success(expert, headers, body, key_name=_KEY_NAME)
        finish = _FINISHES.get(reply.stop_reason or "", "other")
        if not text.strip() and finish in {"stop", "other"}:
            raise reading.unusable(expert, "holds no text", headers)
        served = _served(reply.usage)
        return ExpertAnswer(
            text=text,
            usage=reading.usage_of(
                reply.usage,
                _Usage,
                _normalised,
                text=text,
                early=reply.usage_is_early,
            ),
            provenance=Provenance(
                asked_model=expert.model,
                served_model=reply.model,
                service_tier=served.service_tier,
                region=served.inference_geo,
                request_id=reading.request_id(headers) or reply.id,
                finish_reason=_reason(reply),
                rate_limits=reading.rate_limits(headers),
            ),
            finish=finish,
            speed=served.speed,
        )

    def failure(
        self,
        expert: ExpertSettings,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
    ) -> ExpertError:
        """See `Wire.failure`."""
        return failures.failure(expert, status, headers, body, key_name=_KEY_NAME)

    def gather(self) -> StreamedReply:
        """See `Wire.gather`."""
        return StreamedMessage()


def _cached(prompt: Prompt) -> dict[str, object]:
    """
    Return system text and turns with the two places up to which a cache is written.

    The next follow-up repeats all of it, so it is read from there.
    """
    turns = bodies.messages(prompt)
    asked = [number for number, turn in enumerate(turns) if turn["role"] == "user"]
    kept = [
        {**turn, "content": _kept(turn["content"])} if number in asked[-1:] else turn
        for number, turn in enumerate(turns)
    ]
    return {"system": _kept(prompt.system), "messages": kept}


def _kept(text: str) -> list[dict[str, object]]:
    return [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]


def _text(expert: ExpertSettings, reply: _Reply, headers: Mapping[str, str]) -> str:
    """Join the text blocks; thinking and kinds yet unknown are not for the agent."""
    texts: list[str] = []
    for block in reply.content:
        if block.get("type") != "text":
            continue
        if not isinstance(block.get("text"), str):
            raise reading.unusable(expert, "holds a text that is none", headers)
        texts.append(block["text"])
    return "".join(texts)


def _reason(reply: _Reply) -> str | None:
    category = reply.stop_details and reply.stop_details.category
    return f"{reply.stop_reason}:{category}" if category else reply.stop_reason


def _served(usage: object) -> _Served:
    return _Served.model_validate(dict(reading.as_mapping(usage)))


def _normalised(usage: _Usage) -> Usage:
    """Add up the reply and what is billed beside it; input never includes the cache."""
    extra = [each for each in usage.iterations or [] if each.type in _BILLED_APART]
    counts = [usage, *extra]
    splits = [each.cache_creation or _Written() for each in counts]
    long = sum(each.ephemeral_1h_input_tokens or 0 for each in splits)
    short = sum(each.ephemeral_5m_input_tokens or 0 for each in splits)
    written = sum(each.cache_creation_input_tokens or 0 for each in counts)
    thinking = [each.output_tokens_details or _OutputDetails() for each in counts]
    output = sum(each.output_tokens for each in counts)
    return Usage(
        input_tokens=sum(each.input_tokens for each in counts),
        cache_read_tokens=sum(each.cache_read_input_tokens or 0 for each in counts),
        cache_write_tokens=max(short, written - long),
        cache_write_long_tokens=long,
        output_tokens=output,
        reasoning_tokens=min(
            output, sum(each.thinking_tokens or 0 for each in thinking)
        ),
    )
