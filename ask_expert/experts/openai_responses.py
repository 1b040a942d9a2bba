"""OpenAI Responses."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from ask_expert.errors import ExpertError
from ask_expert.experts import azure, failures, reading
from ask_expert.experts import body as bodies
from ask_expert.experts.reading import Lenient, Shape, Tokens, Word
from ask_expert.experts.streamed.responses import StreamedResponse
from ask_expert.experts.wire import StreamedReply, WireRequest
from ask_expert.question import Prompt
from ask_expert.reply import ExpertAnswer, Finish, Provenance, Usage
from ask_expert.settings import ExpertSettings

_KEY_NAME = "OPENAI_API_KEY"


class _Part(Shape):
    type: Word = None
    text: object = None
    refusal: Word = None


class _Item(Shape):
    type: str
    content: list[_Part] | None = None


class _Incomplete(Shape):
    reason: Word = None


class _Reply(Shape):
    status: Word = None
    output: list[dict[str, Any]] = Field(default_factory=list)
    error: object = None
    incomplete_details: Annotated[_Incomplete | None, Lenient] = None
    model: Word = None
    id: Word = None
    service_tier: Word = None
    usage: object = None
    usage_is_early: object = None


class _InputDetails(Shape):
    cached_tokens: Tokens | None = None
    cache_write_tokens: Tokens | None = None


class _OutputDetails(Shape):
    reasoning_tokens: Tokens | None = None


class _Usage(Shape):
    input_tokens: Tokens
    output_tokens: Tokens
    total_tokens: Tokens | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


class OpenAIResponses:
    """See `Wire`."""

    default_base_url = "https://api.openai.com/v1"
    own_credentials = False

    def encode(
        self, expert: ExpertSettings, prompt: Prompt, *, max_output_tokens: int
    ) -> WireRequest:
        """See `Wire.encode`; the vendor would keep the text unless told not to."""
        body: dict[str, object] = {
            "model": expert.model,
            "instructions": prompt.system,
            "input": _input(expert, self.default_base_url, prompt),
            "max_output_tokens": max_output_tokens,
            "store": False,
        }
        if expert.effort is not None:
            body["reasoning"] = {"effort": expert.effort}
        if bodies.served_by(expert, self.default_base_url, bodies.OPENAI):
            body |= bodies.private()
        if expert.stream:
            body["stream"] = True
        return bodies.request(expert, "/responses", body)

    def auth(
        self,
        expert: ExpertSettings,
        key: str,
        *,
        url: str,  # noqa: ARG002
        body: bytes,  # noqa: ARG002
    ) -> dict[str, str]:
        """See `Wire.auth`."""
        return azure.key_headers(expert, self.default_base_url, key)

    def decode(
        self, expert: ExpertSettings, body: bytes, headers: Mapping[str, str]
    ) -> ExpertAnswer:
        """See `Wire.decode`."""
        reply = reading.parse(expert, _Reply, body, headers)
        if reply.status == "failed" or (reply.error and not reply.output):
            raise failures.within_success(expert, headers, body, key_name=_KEY_NAME)
        text, refused = _said(expert, reply, headers)
        finish = "refusal" if refused else _finish(reply)
        if not text and finish in {"stop", "other"}:
            raise reading.unusable(expert, "holds no text", headers)
        reason = reply.incomplete_details and reply.incomplete_details.reason
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
                service_tier=reply.service_tier,
                request_id=reading.request_id(headers) or reply.id,
                finish_reason=reason or reply.status,
                rate_limits=reading.rate_limits(headers),
            ),
            finish=finish,
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
        return StreamedResponse()


def _input(
    expert: ExpertSettings, default: str, prompt: Prompt
) -> list[dict[str, object]]:
    """
    Return the turns.

    What the assistant said has a short form, which OpenAI documents and llama.cpp
    refuses, and a long one, which llama.cpp and vLLM both read.
    """
    turns: list[dict[str, object]] = [{**turn} for turn in bodies.messages(prompt)]
    if bodies.speaks_like_openai(expert, default):
        return turns
    return [
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": turn["content"]}],
        }
        if turn["role"] == "assistant"
        else turn
        for turn in turns
    ]


def _said(
    expert: ExpertSettings, reply: _Reply, headers: Mapping[str, str]
) -> tuple[str, bool]:
    """Return the text of all messages, and whether it is a refusal."""
    texts: list[str] = []
    refusals: list[str] = []
    for raw in reply.output:
        if raw.get("type") != "message":
            continue  # reasoning, and kinds of items yet unknown
        item = reading.check(expert, _Item, raw, headers)
        for part in item.content or []:
            if part.type == "output_text":
                if not isinstance(part.text, str | None):
                    raise reading.unusable(expert, "holds a text that is none", headers)
                texts.append(part.text or "")
            refusals.append(part.refusal or "")
    text = "".join(texts)
    refusal = "".join(refusals)
    return (text, bool(refusal)) if text.strip() else (refusal, bool(refusal))


def _finish(reply: _Reply) -> Finish:
    if reply.status == "incomplete":
        reason = reply.incomplete_details and reply.incomplete_details.reason
        return "content_filter" if reason == "content_filter" else "length"
    return "stop" if reply.status in {"completed", None} else "other"


def _normalised(usage: _Usage) -> Usage:
    read = usage.input_tokens_details or _InputDetails()
    written = usage.output_tokens_details or _OutputDetails()
    return reading.disjoint(
        prompt=usage.input_tokens,
        completion=usage.output_tokens,
        total=usage.total_tokens or 0,
        cache_read=read.cached_tokens or 0,
        cache_write=read.cache_write_tokens or 0,
        reasoning=written.reasoning_tokens or 0,
    )
