"""The vendors' own libraries read our loopback provider as they read the vendor."""

from typing import Any

import anthropic
import httpx2
import openai
import pytest
from anthropic.types import Message
from google.genai import errors, types
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from ask_expert.reply import Usage
from tests.contract.sdks import anthropic_at, google_at, openai_at
from tests.contract.support import MODELS, ask, at
from tests.fakes.provider import Provider
from tests.fakes.shapes import Behaviour, Wire

pytestmark = pytest.mark.anyio

HI: list[Any] = [{"role": "user", "content": "Hi."}]
THOUGHTFUL = Behaviour(
    text="Use a lock.",
    input_tokens=1000,
    cache_read_tokens=400,
    output_tokens=90,
    reasoning_tokens=60,
)


def chat(provider: Provider, wire: Wire = "openai_chat") -> ChatCompletion:
    found = openai_at(provider, wire).chat.completions.create(
        model=MODELS[wire], messages=HI
    )
    return ChatCompletion.model_validate(found.model_dump(), strict=True)


def responses(provider: Provider) -> Response:
    found = openai_at(provider, "openai_responses").responses.create(
        model=MODELS["openai_responses"], input=HI
    )
    # Its construction does not look at types; this does.
    return Response.model_validate_json(found.model_dump_json(exclude_unset=True))


def message(provider: Provider) -> Message:
    found = anthropic_at(provider).messages.create(
        model=MODELS["anthropic"], max_tokens=9, messages=HI
    )
    return Message.model_validate(found.model_dump(), strict=True)


def content(provider: Provider) -> types.GenerateContentResponse:
    with google_at(provider) as google:
        return google.models.generate_content(  # pyright: ignore[reportUnknownMemberType]  # it may take images
            model=MODELS["gemini"], contents="Hi."
        )


@pytest.mark.parametrize("wire", ["openai_chat", "openrouter"])
async def test_openai_s_chat_reads_what_we_read(
    client: httpx2.AsyncClient, provider: Provider, wire: Wire
) -> None:
    provider.default = THOUGHTFUL

    ours = await ask(client, at(provider, wire))
    theirs = chat(provider, wire)

    assert theirs.choices[0].message.content == ours.text
    assert theirs.model == ours.provenance.served_model
    assert theirs.usage is not None
    read, written = (
        theirs.usage.prompt_tokens_details,
        theirs.usage.completion_tokens_details,
    )
    assert read is not None
    assert written is not None
    cached = read.cached_tokens or 0
    assert ours.usage == Usage(
        input_tokens=theirs.usage.prompt_tokens - cached,
        cache_read_tokens=cached,
        output_tokens=theirs.usage.completion_tokens,
        reasoning_tokens=written.reasoning_tokens or 0,
    )


async def test_openai_s_responses_reads_what_we_read(
    client: httpx2.AsyncClient, provider: Provider
) -> None:
    provider.default = THOUGHTFUL

    ours = await ask(client, at(provider, "openai_responses"))
    theirs = responses(provider)

    assert (theirs.output_text, theirs.status) == (ours.text, "completed")
    assert (theirs.model, theirs.service_tier) == (
        ours.provenance.served_model,
        ours.provenance.service_tier,
    )
    assert theirs.usage is not None
    cached = theirs.usage.input_tokens_details.cached_tokens
    assert ours.usage == Usage(
        input_tokens=theirs.usage.input_tokens - cached,
        cache_read_tokens=cached,
        output_tokens=theirs.usage.output_tokens,
        reasoning_tokens=theirs.usage.output_tokens_details.reasoning_tokens,
    )


async def test_anthropic_reads_what_we_read(
    client: httpx2.AsyncClient, provider: Provider
) -> None:
    provider.default = THOUGHTFUL

    ours = await ask(client, at(provider, "anthropic"))
    theirs = message(provider)

    block = theirs.content[0]
    assert block.type == "text"
    assert (block.text, theirs.model) == (ours.text, ours.provenance.served_model)
    assert theirs.stop_reason == ours.provenance.finish_reason
    assert theirs.usage.output_tokens_details is not None
    assert ours.usage == Usage(
        input_tokens=theirs.usage.input_tokens,
        cache_read_tokens=theirs.usage.cache_read_input_tokens or 0,
        output_tokens=theirs.usage.output_tokens,
        reasoning_tokens=theirs.usage.output_tokens_details.thinking_tokens,
    )


async def test_google_reads_what_we_read(
    client: httpx2.AsyncClient, provider: Provider
) -> None:
    provider.default = Behaviour(
        text=THOUGHTFUL.text,
        cache_read_tokens=400,
        output_tokens=90,
        reasoning_tokens=60,
        tool_use_tokens=70,
    )

    ours = await ask(client, at(provider, "gemini"))
    theirs = content(provider)

    assert (theirs.text, theirs.model_version) == (
        ours.text,
        ours.provenance.served_model,
    )
    assert theirs.candidates is not None
    assert theirs.candidates[0].finish_reason == types.FinishReason.STOP
    counts = theirs.usage_metadata
    assert counts is not None
    cached = counts.cached_content_token_count or 0
    prompt = (counts.prompt_token_count or 0) + (
        counts.tool_use_prompt_token_count or 0
    )
    thoughts = counts.thoughts_token_count or 0
    assert ours.usage == Usage(
        input_tokens=prompt - cached,
        cache_read_tokens=cached,
        output_tokens=(counts.candidates_token_count or 0) + thoughts,
        reasoning_tokens=thoughts,
    )


def test_every_library_knows_a_refusal_by_its_own_word(provider: Provider) -> None:
    provider.default = Behaviour(text="No.", finish="refusal")

    found = content(provider)

    assert chat(provider).choices[0].message.refusal == "No."
    assert "'refusal'" in str(responses(provider).output)
    assert message(provider).stop_reason == "refusal"
    assert found.candidates is not None
    assert found.candidates[0].finish_reason == types.FinishReason.PROHIBITED_CONTENT


def test_every_library_knows_a_full_ceiling_by_its_own_word(provider: Provider) -> None:
    provider.default = Behaviour(finish="length")

    details = responses(provider).incomplete_details
    found = content(provider)

    assert chat(provider).choices[0].finish_reason == "length"
    assert details is not None
    assert details.reason == "max_output_tokens"
    assert message(provider).stop_reason == "max_tokens"
    assert found.candidates is not None
    assert found.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS


def test_google_s_library_knows_a_blocked_prompt(provider: Provider) -> None:
    provider.answer("", finish="blocked")

    found = content(provider)

    assert found.candidates is None
    assert found.prompt_feedback is not None
    reason = types.BlockedReason.PROHIBITED_CONTENT
    assert found.prompt_feedback.block_reason == reason


STATUSES = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    409: "ConflictError",
    429: "RateLimitError",
    500: "InternalServerError",
    503: "InternalServerError",
}


@pytest.mark.parametrize(("status", "name"), STATUSES.items())
def test_openai_s_library_knows_our_errors(
    provider: Provider, status: int, name: str
) -> None:
    provider.default = Behaviour(status=status, code="some_code", message="No.")

    with pytest.raises(openai.APIStatusError) as caught:
        chat(provider)

    found = (type(caught.value).__name__, caught.value.code)
    assert found == (name, "some_code")
    assert "No." in caught.value.message


@pytest.mark.parametrize(
    ("status", "name"),
    [*STATUSES.items(), (413, "ContentTooLargeError"), (529, "OverloadedError")],
)
def test_anthropic_s_library_knows_our_errors(
    provider: Provider, status: int, name: str
) -> None:
    provider.default = Behaviour(status=status, message="No.")

    with pytest.raises(anthropic.APIStatusError) as caught:
        message(provider)

    names = {kind.__name__ for kind in type(caught.value).__mro__}
    assert name in names
    assert caught.value.request_id
    assert "No." in str(caught.value)


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (400, "INVALID_ARGUMENT"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (429, "RESOURCE_EXHAUSTED"),
        (500, "INTERNAL"),
        (503, "UNAVAILABLE"),
    ],
)
def test_google_s_library_knows_our_errors(
    provider: Provider, status: int, word: str
) -> None:
    provider.default = Behaviour(status=status, message="No.")

    with pytest.raises(errors.APIError) as caught:
        content(provider)

    assert (caught.value.code, caught.value.status) == (status, word)
    assert caught.value.message == "No."
