"""Build a request's final bytes, with the user's extras that cannot break the cap."""

import json
from collections.abc import Mapping
from typing import cast
from urllib.parse import urlsplit

from ask_expert.errors import ConfigError
from ask_expert.experts.wire import WireRequest
from ask_expert.question import Prompt
from ask_expert.settings import ExpertSettings

OPENAI = "api.openai.com"
_JSON = "application/json"
_STREAM = "text/event-stream"
_AZURE = ("openai.azure.com", "services.ai.azure.com")

# Each of these would raise the cost over its reserved bound (more output, another
# model, input or tools that the bytes do not show), or change what is read back.
_FIXED_KEYS = frozenset(
    {
        "background",
        "best_of",
        "cached_content",
        "cachedContent",
        "contents",
        "conversation",
        "fallbacks",
        "generation_config",
        "input",
        "instructions",
        "max_completion_tokens",
        "max_output_tokens",
        "max_tokens",
        "mcp_servers",
        "messages",
        "model",
        "models",
        "n",
        "plugins",
        "preset",
        "previous_response_id",
        "prompt",
        "stream",
        "stream_options",
        "system",
        "system_instruction",
        "systemInstruction",
        "tools",
        "web_search_options",
    }
)
_FIXED_WITHIN = {
    "generationConfig": frozenset(
        {
            "candidate_count",
            "candidateCount",
            "max_output_tokens",
            "maxOutputTokens",
            "response_modalities",
            "responseModalities",
        }
    )
}
_FIXED_HEADERS = frozenset(
    {
        "accept-encoding",
        "api-key",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "host",
        "proxy-authorization",
        "transfer-encoding",
        "x-api-key",
        "x-goog-api-key",
    }
)


def base_url(expert: ExpertSettings, default: str) -> str:
    """Return where the expert is served."""
    return expert.base_url or default


def served_by(expert: ExpertSettings, default: str, *domains: str) -> bool:
    """Return whether the expert's host is one of `domains`, or below one."""
    host = urlsplit(base_url(expert, default)).hostname or ""
    return any(host == each or host.endswith(f".{each}") for each in domains)


def speaks_like_openai(expert: ExpertSettings, default: str) -> bool:
    """Return whether the server is OpenAI's own software, at OpenAI or on Azure."""
    return served_by(expert, default, OPENAI, *_AZURE)


def private() -> dict[str, object]:
    """
    Return what OpenAI itself is asked for: keep nothing, cache nothing, no surprises.

    Without the tier a project's default could make the call dearer than its quote.
    """
    return {
        "store": False,
        "prompt_cache_options": {"mode": "explicit"},
        "service_tier": "default",
    }


def messages(prompt: Prompt) -> list[dict[str, str]]:
    """Return the turns as every wire spells them; who is no user is the assistant."""
    return [
        {"role": "user" if turn.role == "user" else "assistant", "content": turn.text}
        for turn in prompt.turns
    ]


def request(
    expert: ExpertSettings,
    path: str,
    body: Mapping[str, object],
    headers: Mapping[str, str] | None = None,
) -> WireRequest:
    """
    Merge the extras in and freeze the bytes.

    A server that cannot stream may answer in one piece, so both are accepted.

    Raises:
        ConfigError: An extra names a key or header that is ours to set.
    """
    for key, value in expert.extra_body.items():
        if key in _FIXED_KEYS:
            raise _refused(expert, "extra_body", key)
        if key in _FIXED_WITHIN:
            _check_within(expert, key, value)
    return WireRequest(
        path=path,
        headers={
            "content-type": _JSON,
            "accept": f"{_STREAM}, {_JSON}" if expert.stream else _JSON,
            **(headers or {}),
            **_extra_headers(expert),
        },
        body=compact(_merged(body, expert.extra_body)),
        streams=expert.stream,
    )


def _check_within(expert: ExpertSettings, key: str, value: object) -> None:
    """Refuse what would break the cap one level down, or hide what is there."""
    if not isinstance(value, Mapping):
        raise _refused(expert, "extra_body", key)
    for name in cast("Mapping[str, object]", value):
        if name in _FIXED_WITHIN[key]:
            raise _refused(expert, "extra_body", f"{key}.{name}")


def _extra_headers(expert: ExpertSettings) -> dict[str, str]:
    extra = {name.lower(): value for name, value in expert.extra_headers.items()}
    for name, value in extra.items():
        plain = name.isascii() and value.isascii() and (name + value).isprintable()
        if name in _FIXED_HEADERS or not plain:
            raise _refused(expert, "extra_headers", name)
    return extra


def _refused(expert: ExpertSettings, where: str, key: str) -> ConfigError:
    return ConfigError(
        f"expert {expert.name!r}: {where} cannot set {key!r}; remove it.",
        key=f"experts.{expert.name}.{where}.{key}",
    )


def _merged(
    body: Mapping[str, object], extra: Mapping[str, object]
) -> dict[str, object]:
    """Merge mappings key by key, so that `reasoning: {summary}` keeps the effort."""
    merged = dict(body)
    for key, value in extra.items():
        ours = merged.get(key)
        if isinstance(ours, Mapping) and isinstance(value, Mapping):
            value = _merged(  # noqa: PLW2901
                cast("Mapping[str, object]", ours),
                cast("Mapping[str, object]", value),
            )
        merged[key] = value
    return merged


def compact(body: Mapping[str, object]) -> bytes:
    """Return compact UTF-8; a lone surrogate, which no UTF-8 can hold, becomes `?`."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")
