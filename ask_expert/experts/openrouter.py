"""OpenRouter: OpenAI Chat Completions, with its routing, its cost and its upstreams."""

from ask_expert.experts import body as bodies
from ask_expert.experts.openai_chat import OpenAIChat
from ask_expert.experts.wire import WireRequest
from ask_expert.question import Prompt
from ask_expert.settings import ExpertSettings

_EFFORTS = {"max": "xhigh"}


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

    def believes(self, expert: ExpertSettings) -> bool:  # noqa: ARG002
        """See `OpenAIChat.believes`; who names this wire names OpenRouter."""
        return True


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
