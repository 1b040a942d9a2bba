"""The vendors' own libraries, each pointed at a loopback provider, told never to retry."""

import anthropic
import openai
from google import genai
from google.genai import types

from tests.experts.support import KEY
from tests.fakes.provider import Provider
from tests.fakes.shapes import Wire


def openai_at(provider: Provider, wire: Wire) -> openai.OpenAI:
    """Return OpenAI's client; OpenRouter's documents name it as theirs too."""
    return openai.OpenAI(api_key=KEY, base_url=provider.base(wire), max_retries=0)


def anthropic_at(provider: Provider) -> anthropic.Anthropic:
    """Return Anthropic's client."""
    base = provider.base("anthropic")
    return anthropic.Anthropic(api_key=KEY, base_url=base, max_retries=0)


def google_at(provider: Provider) -> genai.Client:
    """Return Google's client."""
    options = types.HttpOptions(
        base_url=provider.base("gemini"),
        retry_options=types.HttpRetryOptions(attempts=1),
    )
    return genai.Client(api_key=KEY, http_options=options)
