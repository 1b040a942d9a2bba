"""Which class speaks which wire format; each is imported when it is first used."""

from functools import cache
from importlib import import_module
from typing import cast

from ask_expert.errors import ConfigError
from ask_expert.experts.wire import Wire

WIRES = {
    "openai_chat": "ask_expert.experts.openai_chat:OpenAIChat",
    "openai_responses": "ask_expert.experts.openai_responses:OpenAIResponses",
    "anthropic": "ask_expert.experts.anthropic:Anthropic",
    "gemini": "ask_expert.experts.gemini:Gemini",
    "openrouter": "ask_expert.experts.openrouter:OpenRouter",
}


@cache
def wire_for(api: str) -> Wire:
    """
    Return the wire of that name.

    Raises:
        ConfigError: There is none.
    """
    if api not in WIRES:
        raise ConfigError(f"there is no api {api!r}; known: {', '.join(WIRES)}.")
    module, _, name = WIRES[api].partition(":")
    return cast("Wire", getattr(import_module(module), name)())
