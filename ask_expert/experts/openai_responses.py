"""OpenAI Responses."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from ask_expert.errors import ExpertError
from ask_expert.experts import body as bodies
from ask_expert.experts import failures, reading
from ask_expert.experts.reading import Shape, Tokens
from ask_expert.experts.wire import WireRequest
from ask_expert.question import Prompt
from ask_expert.reply import ExpertAnswer, Finish, Provenance, Usage
from ask_expert.settings import ExpertSettings

_KEY_NAME = "OPENAI_API_KEY"


class _Part(Shape):
    type: str
    text: str | None = None
    refusal: str | None = None


class _Item(Shape):
    type: str
    content: list[_Part] | None = None


class _Incomplete(Shape):
    reason: str | None = None


class _Reply(Shape):
    status: str | None = None
    output: list[dict[str, Any]] = Field(default_factory=list)
    error: object = None
    incomplete_details: _Incomplete | None = None
    model: str | None = None
    id: str | None = None
    service_tier: str | None = None
    usage: object = None


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

    def encode(
        self, expert: ExpertSettings, prompt: Prompt, *, max_output_tokens: int
    ) -> WireRequest:
        """See `Wire.encode`; the vendor would keep the text unless told not to."""
        body: dict[str, object] = {
            "model": expert.model,
            "instructions": prompt.system,
            "input": bodies.messages(prompt),
            "max_output_tokens": max_output_tokens,
            "store": False,
        }
        if expert.effort is not None:
            body["reasoning"] = {"effort": expert.effort}
        if bodies.served_by(expert, self.default_base_url, bodies.OPENAI):
            body |= bodies.private()
        return bodies.request(expert, "/responses", body)

    def auth(self, key: str) -> dict[str, str]:
        """See `Wire.auth`."""
        return {"authorization": f"Bearer {key}"}

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
            usage=reading.usage_of(reply.usage, _Usage, _normalised, text=text),
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
            texts.append(part.text or "" if part.type == "output_text" else "")
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
