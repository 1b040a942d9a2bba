"""Read a provider's JSON: the shapes are checked once, here, and trusted after."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, TypeVar, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from ask_expert.errors import ExpertReplyError
from ask_expert.experts.tokens import text_bound
from ask_expert.reply import Usage
from ask_expert.settings import ExpertSettings

EARLY = "usage_is_early"
"""Key by which a stream that was put together says that its usage is not the last."""

_MOST_TOKENS = 1_000_000_000

Tokens = Annotated[int, Field(ge=0, le=_MOST_TOKENS)]
"""A count that can be true: neither negative nor beyond every context window."""


def _or_none(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    try:
        return cast("object", handler(value))
    except ValidationError:
        return None


Lenient = WrapValidator(_or_none)
"""For what neither text nor money needs: of a wrong type it is as good as not told."""

Word = Annotated[str | None, Lenient]
"""A fact about the reply, or None if it is no text."""


class Shape(BaseModel):
    """A part of a reply; unknown keys are ignored, wrong types are not."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


AnyShape = TypeVar("AnyShape", bound=Shape)


def load(body: bytes) -> object:
    """
    Return the JSON in `body`, numbers exact.

    Raises:
        ValueError: It is none.
    """
    try:
        return cast("object", json.loads(body, parse_float=_exact))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _exact(number: str) -> Decimal | float:
    try:
        return Decimal(number)
    except InvalidOperation:
        return float(number)  # an exponent beyond all exact numbers: infinite, or 0


def parse(
    expert: ExpertSettings,
    shape: type[AnyShape],
    body: bytes,
    headers: Mapping[str, str],
) -> AnyShape:
    """
    Check a reply against its shape.

    Raises:
        ExpertReplyError: It is no JSON, or something in it has the wrong type.
    """
    try:
        data = load(body)
    except ValueError:
        raise unusable(expert, _no_json(body), headers) from None
    return check(expert, shape, data, headers)


def check(
    expert: ExpertSettings,
    shape: type[AnyShape],
    data: object,
    headers: Mapping[str, str],
) -> AnyShape:
    """
    Check a part of a reply against its shape.

    Raises:
        ExpertReplyError: Something in it has the wrong type.
    """
    try:
        return shape.model_validate(data)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"]) or "body"
        what = f"makes no sense at {where!r}"
        raise unusable(expert, what, headers) from None  # the details quote the reply


def _no_json(body: bytes) -> str:
    if not body.strip():
        return "is empty"
    if body.lstrip()[:1] == b"<":
        return "is a web page and no JSON: check `base_url` in settings.yaml"
    return "is no valid JSON"


def unusable(
    expert: ExpertSettings, what: str, headers: Mapping[str, str]
) -> ExpertReplyError:
    """Return the error for a reply of status 200 that holds no answer."""
    return ExpertReplyError(
        expert.name,
        f"the reply {what}; it may have been billed.",
        http_status=200,
        request_id=request_id(headers),
    )


def said_bound(text: str) -> int:
    """Return the most tokens of an answer's text, which may hold half a character."""
    return text_bound(text.encode(errors="surrogatepass"))


def usage_of(
    raw: object,
    shape: type[AnyShape],
    convert: Callable[[AnyShape], Usage],
    *,
    text: str,
    early: object = None,
) -> Usage:
    """
    Return the usage in our buckets, or an estimate marked so.

    Usage that cannot be true (absent, negative, over 10^9 tokens, no number) does
    not spoil a good answer: its output is bounded from the text instead, and its
    input is left at 0 for the pricing to assume. The same goes for an output of 0
    beside a text; the input that came with it is believed.

    Args:
        raw: The provider's own object.
        shape: What it has to look like.
        convert: Makes our buckets of it.
        text: The answer.
        early: What the reply says under `EARLY`.
    """
    try:
        usage = convert(shape.model_validate(raw))
    except ValidationError:
        return Usage(output_tokens=said_bound(text), source="estimated")
    if not usage.output_tokens and text.strip():
        return replace(usage, output_tokens=said_bound(text), source="partial")
    return replace(usage, source="partial") if early is True else usage


def disjoint(
    *,
    prompt: int,
    completion: int,
    total: int,
    cache_read: int,
    cache_write: int,
    reasoning: int,
) -> Usage:
    """
    Normalise counts that OpenAI's wires give, and their imitators bend.

    Input includes what was cached, except where the cached counts exceed it: that
    server reports them apart, as Anthropic does. Output includes reasoning, except
    where the total shows more (Gemini's thoughts) or reasoning exceeds it.
    """
    cached = cache_read + cache_write
    plain = prompt - cached if cached <= prompt else prompt
    output = max(completion, total - plain - cached)
    if reasoning > output:
        output += reasoning
    return Usage(
        input_tokens=plain,
        cache_read_tokens=cache_read,
        cache_write_tokens=cache_write,
        output_tokens=output,
        reasoning_tokens=reasoning,
    )


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the provider's id of a request; header names come in lower case."""
    for name in ("x-request-id", "request-id", "apim-request-id", "x-amzn-requestid"):
        if headers.get(name):
            return headers[name][:200]
    return None


def rate_limits(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that tell what room the account has left."""
    return {
        name.lower(): value[:200]
        for name, value in headers.items()
        if "ratelimit" in name.lower()
    }


def as_mapping(value: object) -> Mapping[str, Any]:
    """Return `value` if it is a JSON object, else an empty one."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def as_list(value: object) -> list[object]:
    """Return `value` if it is a JSON array, else an empty one."""
    return cast("list[object]", value) if isinstance(value, list) else []
