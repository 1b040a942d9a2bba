"""OpenRouter: OpenAI Chat Completions, with its routing, its cost and its upstreams."""

import re
from collections.abc import Mapping
from typing import Annotated

from ask_expert.experts import body as bodies
from ask_expert.experts import reading
from ask_expert.experts.openai_chat import OpenAIChat, reported_cost
from ask_expert.experts.reading import Lenient, Shape, Tokens, Word
from ask_expert.experts.usage_record import UsageRecord
from ask_expert.experts.wire import WireRequest
from ask_expert.question import Prompt
from ask_expert.reply import Usage
from ask_expert.settings import ExpertSettings

_EFFORTS = {"max": "xhigh"}
_GENERATION = re.compile(r"gen-[\w-]{1,120}", re.ASCII)

_Count = Annotated[Tokens | None, Lenient]


class _Generation(Shape):
    id: Word = None
    model: Word = None
    provider_name: Word = None
    finish_reason: Word = None
    native_finish_reason: Word = None
    total_cost: object = None
    is_byok: object = None
    upstream_inference_cost: object = None
    native_tokens_prompt: _Count = None
    native_tokens_completion: _Count = None
    native_tokens_reasoning: _Count = None
    native_tokens_cached: _Count = None


class _Stored(Shape):
    data: _Generation


class OpenRouter(OpenAIChat):
    """See `Wire`."""

    default_base_url = "https://openrouter.ai/api/v1"
    key_name = "OPENROUTER_API_KEY"

    def encode(
        self, expert: ExpertSettings, prompt: Prompt, *, max_output_tokens: int
    ) -> WireRequest:
        """See `Wire.encode`; a second model to fall back to is never named."""
        system = {"role": "system", "content": prompt.system}
        body: dict[str, object] = {
            "model": expert.model,
            "messages": [system, *bodies.messages(prompt)],
            "max_tokens": max_output_tokens,
            "provider": _routing(expert),
        }
        if expert.effort is not None:
            body["reasoning"] = {"effort": _EFFORTS.get(expert.effort, expert.effort)}
        if expert.stream:
            body["stream"] = True  # the usage comes unasked
        return bodies.request(expert, "/chat/completions", body)

    def record_path(self, request_id: str) -> str | None:
        """See `KeepsRecords.record_path`."""
        if _GENERATION.fullmatch(request_id) is None:
            return None
        return f"/generation?id={request_id}"

    def record(
        self,
        expert: ExpertSettings,
        request_id: str,
        body: bytes,
        headers: Mapping[str, str],
    ) -> UsageRecord | None:
        """
        See `KeepsRecords.record`; what was cancelled has its cost there, too.

        Source:
            OpenRouter, "Get a generation", read 2026-11-22.
        """
        told = reading.parse(expert, _Stored, body, headers).data
        if told.id != request_id:
            raise reading.unusable(expert, "is of another request", headers)
        if not (told.is_byok is None or isinstance(told.is_byok, bool)):
            return None
        cost_usd = reported_cost(
            {
                "cost": told.total_cost,
                "is_byok": told.is_byok,
                "cost_details": {
                    "upstream_inference_cost": told.upstream_inference_cost
                },
            }
        )
        if cost_usd is None:
            return None
        return UsageRecord(
            cost_usd=cost_usd,
            usage=_counts(told),
            served_model=told.model,
            provider=told.provider_name,
            finish_reason=told.native_finish_reason or told.finish_reason,
        )

    def believes(self, expert: ExpertSettings) -> bool:  # noqa: ARG002
        """See `OpenAIChat.believes`; who names this wire names OpenRouter."""
        return True


def _counts(told: _Generation) -> Usage | None:
    """Return the upstream's own counts, by which it is billed."""
    prompt, completion = told.native_tokens_prompt, told.native_tokens_completion
    if prompt is None or completion is None:
        return None
    return reading.disjoint(
        prompt=prompt,
        completion=completion,
        total=0,
        cache_read=told.native_tokens_cached or 0,
        cache_write=0,
        reasoning=told.native_tokens_reasoning or 0,
    )


def _routing(expert: ExpertSettings) -> dict[str, object]:
    """
    Return which upstreams may serve the question.

    Those that keep prompts are left out, nobody steps in unasked for one that
    fails, and one that would ignore the output ceiling, or costs more than the
    settings say, could break the cap.

    Source:
        OpenRouter, "Provider routing", read 2026-11-22.
    """
    routing: dict[str, object] = {
        "data_collection": "deny",
        "allow_fallbacks": False,
        "require_parameters": True,
    }
    price = expert.price
    if price is not None and price.output_per_mtok > 0:
        routing["max_price"] = {
            "prompt": float(price.input_per_mtok),
            "completion": float(price.output_per_mtok),
        }
    return routing
