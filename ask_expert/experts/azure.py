"""
How OpenAI's wires carry a key on Azure.

A resource's key has a header of its own; a token of Microsoft Entra is a JSON Web
Token, which begins with the letters of an encoded `{"`, and goes where OpenAI's key
would.

Source:
    Microsoft, "Azure OpenAI v1 API", read 2026-11-22.
"""

from ask_expert.experts.body import served_by
from ask_expert.settings import ExpertSettings

_DOMAINS = ("openai.azure.com", "services.ai.azure.com")
_TOKEN = "eyJ"  # noqa: S105  # how a token begins, and no token


def key_headers(expert: ExpertSettings, default: str, key: str) -> dict[str, str]:
    """Return the headers that carry a key to OpenAI, to Azure, or to an imitator."""
    if served_by(expert, default, *_DOMAINS) and not key.startswith(_TOKEN):
        return {"api-key": key}
    return {"authorization": f"Bearer {key}"}
