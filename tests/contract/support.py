"""The five wires, each with a model of its vendor, asked at a loopback provider."""

from collections.abc import Callable
from typing import Any

import httpx2

from ask_expert.experts.http import send
from ask_expert.experts.registry import wire_for
from ask_expert.reply import ExpertAnswer
from ask_expert.settings import ExpertSettings
from tests.experts.support import KEY, PROMPT, an_expert
from tests.fakes.provider import Provider
from tests.fakes.shapes import Wire

CEILING = 500
MODELS: dict[Wire, str] = {
    "openai_chat": "gpt-6.1-sol",
    "openai_responses": "gpt-6.1-sol",
    "anthropic": "claude-opus-5-5",
    "gemini": "gemini-4-argon",
    "openrouter": "anthropic/claude-opus-5.5",
}
VARIABLES: dict[Wire, str] = {
    "openai_chat": "OPENAI_API_KEY",
    "openai_responses": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "gemini": "GEMINI_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
}


def at(provider: Provider, wire: Wire, **facts: Any) -> ExpertSettings:
    """Return the wire's expert, served by the provider."""
    given = {"api": wire, "base_url": provider.base(wire), "model": MODELS[wire]}
    return an_expert(**{**given, **facts})


async def ask(
    client: httpx2.AsyncClient,
    expert: ExpertSettings,
    *,
    deadline_s: float = 30,
    watch: Callable[[int], None] | None = None,
) -> ExpertAnswer:
    """Send one question, once."""
    wire = wire_for(expert.api)
    request = wire.encode(expert, PROMPT, max_output_tokens=CEILING)
    return await send(
        client, expert, wire, request, key=KEY, deadline_s=deadline_s, watch=watch
    )
