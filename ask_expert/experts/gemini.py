"""Gemini's generateContent."""

import re
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from ask_expert.errors import ConfigError, ExpertError
from ask_expert.experts import body as bodies
from ask_expert.experts import failures, reading
from ask_expert.experts.reading import EARLY, Lenient, Shape, Tokens, Word
from ask_expert.experts.streamed.gemini import StreamedContent
from ask_expert.experts.wire import StreamedReply, WireRequest
from ask_expert.question import Prompt
from ask_expert.reply import ExpertAnswer, Finish, Provenance, Usage
from ask_expert.settings import ExpertSettings

_KEY_NAME = "GEMINI_API_KEY"
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+~-]{0,199}")
_VERSION = re.compile(r"/v\d+(alpha|beta)?\d*$")
_LEVELS = {"minimal": "MINIMAL", "max": "XHIGH"}
_LEVELS_OF_ARGON = {"minimal": "LOW", "max": "HIGH"}
_FINISHES: dict[str, Finish] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",  # going on would be another call, billed on its own
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "ESCALATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "PUP_LIMITED_DISABLED": "content_filter",
}


class _Camel(Shape):
    model_config = ConfigDict(alias_generator=to_camel)


class _Content(_Camel):
    parts: list[dict[str, Any]] = Field(default_factory=list)


class _Candidate(_Camel):
    content: _Content | None = None
    finish_reason: Word = None


class _Feedback(_Camel):
    block_reason: Word = None


class _Reply(_Camel):
    candidates: list[_Candidate] = Field(default_factory=list[_Candidate])
    prompt_feedback: Annotated[_Feedback | None, Lenient] = None
    error: object = None
    model_version: Word = None
    response_id: Word = None
    usage_metadata: object = None
    usage_is_early: object = Field(default=None, alias=EARLY)


class _Usage(_Camel):
    """Google leaves out counts of zero, but never the prompt and the total."""

    prompt_token_count: Tokens
    total_token_count: Tokens
    candidates_token_count: Tokens | None = None
    thoughts_token_count: Tokens | None = None
    tool_use_prompt_token_count: Tokens | None = None
    cached_content_token_count: Tokens | None = None


class Gemini:
    """See `Wire`."""

    default_base_url = "https://generativelanguage.googleapis.com"
    own_credentials = False

    def encode(
        self, expert: ExpertSettings, prompt: Prompt, *, max_output_tokens: int
    ) -> WireRequest:
        """See `Wire.encode`; thoughts count towards the ceiling."""
        config: dict[str, object] = {"maxOutputTokens": max_output_tokens}
        if expert.effort is not None:
            config["thinkingConfig"] = {"thinkingLevel": _level(expert)}
        body: dict[str, object] = {
            "systemInstruction": {"parts": [{"text": prompt.system}]},
            "contents": [
                {
                    "role": "user" if turn.role == "user" else "model",
                    "parts": [{"text": turn.text}],
                }
                for turn in prompt.turns
            ],
            "generationConfig": config,
        }
        base = bodies.base_url(expert, self.default_base_url)
        version = "" if _VERSION.search(urlsplit(base).path) else "/v1"
        verb = "streamGenerateContent?alt=sse" if expert.stream else "generateContent"
        path = f"{version}/models/{_model(expert)}:{verb}"
        return bodies.request(expert, path, body)

    def auth(
        self,
        expert: ExpertSettings,  # noqa: ARG002
        key: str,
        *,
        url: str,  # noqa: ARG002
        body: bytes,  # noqa: ARG002
    ) -> dict[str, str]:
        """See `Wire.auth`."""
        return {"x-goog-api-key": key}

    def decode(
        self, expert: ExpertSettings, body: bytes, headers: Mapping[str, str]
    ) -> ExpertAnswer:
        """See `Wire.decode`; a blocked prompt is an answer without text."""
        reply = reading.parse(expert, _Reply, body, headers)
        blocked = reply.prompt_feedback and reply.prompt_feedback.block_reason
        if not reply.candidates and not blocked and not reply.error:
            raise reading.unusable(expert, "holds no candidate", headers)
        text, reason, finish = _said(expert, reply, headers)
        if reply.error and not text.strip():
            # Where an answer had begun, even a refusal may be billed.
            begun = reply.error if reply.candidates else None
            raise failures.within_success(
                expert, headers, body, key_name=_KEY_NAME, error=begun
            )
        if not text.strip() and finish in {"stop", "other"}:
            raise reading.unusable(expert, "holds no text", headers)
        return ExpertAnswer(
            text=text,
            usage=reading.usage_of(
                reply.usage_metadata,
                _Usage,
                _normalised,
                text=text,
                early=reply.usage_is_early,
            ),
            provenance=Provenance(
                asked_model=expert.model,
                served_model=reply.model_version,
                service_tier=headers.get("x-gemini-service-tier"),
                request_id=reply.response_id or reading.request_id(headers),
                finish_reason=reason,
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

    def gather(self) -> StreamedReply:
        """See `Wire.gather`."""
        return StreamedContent()


def _model(expert: ExpertSettings) -> str:
    """
    Return the model as a part of a path.

    Raises:
        ConfigError: It could name another path than a model's.
    """
    name = expert.model.removeprefix("models/")
    if not _MODEL.fullmatch(name):
        raise ConfigError(
            f"expert {expert.name!r}: {expert.model[:60]!r} is no name of a Gemini "
            "model; give it as in `gemini-4-argon`.",
            key=f"experts.{expert.name}.model",
        )
    return quote(name, safe="")


def _level(expert: ExpertSettings) -> str:
    """
    Return the thinking level.

    Source:
        google-genai 3.4.0, `ThinkingLevel`; Argon takes low, medium and high only.
    """
    argon = expert.model.removeprefix("models/").startswith("gemini-4-argon")
    levels = _LEVELS_OF_ARGON if argon else _LEVELS
    effort = expert.effort or "medium"
    return levels.get(effort, effort.upper())


def _said(
    expert: ExpertSettings, reply: _Reply, headers: Mapping[str, str]
) -> tuple[str, str | None, Finish]:
    """Return the text without thoughts, the vendor's word for the end, and ours."""
    if not reply.candidates:
        blocked = reply.prompt_feedback and reply.prompt_feedback.block_reason
        return "", f"blocked:{blocked}", "content_filter"
    candidate = reply.candidates[0]
    texts: list[str] = []
    for part in candidate.content.parts if candidate.content else []:
        if part.get("thought") or "text" not in part:
            continue
        if not isinstance(part["text"], str):
            raise reading.unusable(expert, "holds a text that is none", headers)
        texts.append(part["text"])
    reason = candidate.finish_reason
    return "".join(texts), reason, _FINISHES.get(reason or "", "other")


def _normalised(usage: _Usage) -> Usage:
    """Count thoughts as output, and what tools fed back as input."""
    thoughts = usage.thoughts_token_count or 0
    return reading.disjoint(
        prompt=usage.prompt_token_count + (usage.tool_use_prompt_token_count or 0),
        completion=(usage.candidates_token_count or 0) + thoughts,
        total=usage.total_token_count,
        cache_read=usage.cached_content_token_count or 0,
        cache_write=0,
        reasoning=thoughts,
    )
