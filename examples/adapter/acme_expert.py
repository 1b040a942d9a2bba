"""Acme's experts: OpenAI's wire under another path, with a header of its own."""

from dataclasses import replace

from ask_expert.experts.openai_chat import OpenAIChat
from ask_expert.experts.wire import WireRequest
from ask_expert.question import Prompt
from ask_expert.settings import ExpertSettings


class Acme(OpenAIChat):
    default_base_url = "https://llm.acme.example/api"
    key_name = "ACME_API_KEY"

    def encode(
        self, expert: ExpertSettings, prompt: Prompt, *, max_output_tokens: int
    ) -> WireRequest:
        request = super().encode(expert, prompt, max_output_tokens=max_output_tokens)
        return replace(request, path="/chat")

    def auth(
        self, expert: ExpertSettings, key: str, *, url: str, body: bytes
    ) -> dict[str, str]:
        return {"acme-key": key}
