"""OpenAI Chat Completions, and every server that imitates it."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pydantic import Field

from ask_expert.errors import ExpertError
from ask_expert.experts import azure, failures, reading
from ask_expert.experts import body as bodies
from ask_expert.experts.reading import Shape, Tokens, Word
from ask_expert.experts.streamed.chat import StreamedChat
from ask_expert.experts.wire import StreamedReply, WireRequest
from ask_expert.question import Prompt
from ask_expert.reply import ExpertAnswer, Finish, Provenance, Usage
from ask_expert.settings import ExpertSettings

_FINISHES: dict[str, Finish] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
}
_MOST_USD = 10_000
"""No call costs more: a figure beyond it is taken for a mistake."""


class _Message(Shape):
    content: str | list[dict[str, Any]] | None = None
    refusal: Word = None


class _Choice(Shape):
    message: _Message
    finish_reason: Word = None
    native_finish_reason: Word = None
    error: object = None

    def reason(self) -> str | None:
        """Return why it stopped; a gateway's word, then the upstream's own."""
        native = self.native_finish_reason
        if native and native != self.finish_reason:
            return f"{self.finish_reason}:{native}"
        return self.finish_reason


class _Reply(Shape):
    choices: list[_Choice] = Field(default_factory=list)
    error: object = None
    id: Word = None
    model: Word = None
    provider: Word = None
    service_tier: Word = None
    system_fingerprint: Word = None
    usage: object = None
    usage_is_early: object = None


class _InputDetails(Shape):
    cached_tokens: Tokens | None = None
    cache_write_tokens: Tokens | None = None


class _OutputDetails(Shape):
    reasoning_tokens: Tokens | None = None


class _Usage(Shape):
    prompt_tokens: Tokens
    completion_tokens: Tokens
    total_tokens: Tokens | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None


class OpenAIChat:
    """See `Wire`."""

    default_base_url = "https://api.openai.com/v1"
    own_credentials = False
    key_name = "OPENAI_API_KEY"

    def encode(
        self, expert: ExpertSettings, prompt: Prompt, *, max_output_tokens: int
    ) -> WireRequest:
        """
        See `Wire.encode`.

        Keys that only OpenAI knows go to OpenAI only: imitators reject them.
        Sampling is left alone: newer models reject any parameter of it.
        """
        system = {"role": "system", "content": prompt.system}
        body: dict[str, object] = {
            "model": expert.model,
            "messages": [system, *bodies.messages(prompt)],
        }
        if bodies.speaks_like_openai(expert, self.default_base_url):
            body["max_completion_tokens"] = max_output_tokens
        else:
            body["max_tokens"] = max_output_tokens
        if expert.effort is not None:
            body["reasoning_effort"] = expert.effort
        if bodies.served_by(expert, self.default_base_url, bodies.OPENAI):
            body |= bodies.private()
        if expert.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return bodies.request(expert, "/chat/completions", body)

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
        if not reply.choices:
            if reply.error:  # a gateway that failed after it began to answer
                raise failures.within_success(
                    expert, headers, body, key_name=self.key_name
                )
            raise reading.unusable(expert, "holds no choice", headers)
        choice = reply.choices[0]
        if choice.error or choice.finish_reason == "error":
            raise failures.within_success(
                expert,
                headers,
                body,
                key_name=self.key_name,
                error=choice.error or reply.error,
            )
        text, finish = _text(choice.message), _finish(choice)
        if not text and finish in {"stop", "other"}:
            raise reading.unusable(expert, "holds no text", headers)
        early = reply.usage_is_early
        usage = reading.usage_of(
            reply.usage, _Usage, _normalised, text=text, early=early
        )
        return ExpertAnswer(
            text=text,
            usage=usage,
            provenance=Provenance(
                asked_model=expert.model,
                served_model=reply.model,
                fingerprint=reply.system_fingerprint,
                service_tier=reply.service_tier,
                provider=reply.provider,
                request_id=reading.request_id(headers) or reply.id,
                finish_reason=choice.reason(),
                rate_limits=reading.rate_limits(headers),
            ),
            finish=finish,
            reported_cost_usd=(
                reported_cost(reply.usage)
                # without counts, nothing shows that a cost was an early one
                if self.believes(expert) and (usage.source == "partial" or not early)
                else None
            ),
        )

    def failure(
        self,
        expert: ExpertSettings,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
    ) -> ExpertError:
        """See `Wire.failure`."""
        return failures.failure(expert, status, headers, body, key_name=self.key_name)

    def gather(self) -> StreamedReply:
        """See `Wire.gather`."""
        return StreamedChat()

    def believes(self, expert: ExpertSettings) -> bool:
        """
        Return whether a cost in the reply is taken for the price.

        Only OpenRouter's is: another server's `cost` may be in any unit, and a
        zero would empty the budget's meaning.
        """
        return bodies.served_by(expert, self.default_base_url, "openrouter.ai")


def reported_cost(usage: object) -> Decimal | None:
    """
    Return OpenRouter's own figure, in USD.

    With the user's own upstream key, the upstream's bill comes on top; without
    that key the upstream's cost is a part of the figure.
    """
    told = reading.as_mapping(usage)
    cost = _amount(told.get("cost"))
    if cost is not None and told.get("is_byok") is True:
        details = reading.as_mapping(told.get("cost_details"))
        upstream = _amount(details.get("upstream_inference_cost"))
        return None if upstream is None else cost + upstream
    return cost


def _text(message: _Message) -> str:
    if isinstance(message.content, list):
        parts = [part.get("text") for part in message.content]
        said = "".join(part for part in parts if isinstance(part, str))
    else:
        said = message.content or ""
    return said if said.strip() else message.refusal or ""


def _finish(choice: _Choice) -> Finish:
    if choice.message.refusal:
        return "refusal"
    return _FINISHES.get(choice.finish_reason or "", "other")


def _normalised(usage: _Usage) -> Usage:
    read = usage.prompt_tokens_details or _InputDetails()
    written = usage.completion_tokens_details or _OutputDetails()
    return reading.disjoint(
        prompt=usage.prompt_tokens,
        completion=usage.completion_tokens,
        total=usage.total_tokens or 0,
        cache_read=read.cached_tokens or 0,
        cache_write=read.cache_write_tokens or 0,
        reasoning=written.reasoning_tokens or 0,
    )


def _amount(value: object) -> Decimal | None:
    """Return an amount that one call can cost, or None if it is nothing of the kind."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    amount = Decimal(value)
    return amount if amount.is_finite() and 0 <= amount <= _MOST_USD else None
