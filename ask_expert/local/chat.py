"""Ask the local model over HTTP, as any OpenAI-compatible server takes it."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, Field, ValidationError

from ask_expert.errors import LocalModelError
from ask_expert.experts.http import httpx
from ask_expert.question import Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """
    One answer of the local model.

    Attributes:
        text: The answer.
        finished: It ended by itself, not at `max_tokens`.
        input_tokens: Tokens of the prompt, as the server counted them.
        output_tokens: Tokens of the answer.
    """

    text: str
    finished: bool
    input_tokens: int
    output_tokens: int


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Body(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage = _Usage()


async def complete(
    client: httpx.AsyncClient,
    base_url: str,
    *,
    model: str,
    turns: Sequence[Turn],
    max_tokens: int,
    temperature: float = 0.0,
    seed: int = 0,
) -> Completion:
    """
    Return one completion.

    Args:
        client: Its timeouts and headers apply.
        base_url: The server's address up to and including `/v1`.
        model: Name the server knows the model by.
        turns: The conversation, oldest first; roles as the wire has them.
        max_tokens: Most tokens of the answer.
        temperature: 0 is greedy.
        seed: Makes sampling repeatable on one server; no promise across servers.

    Raises:
        LocalModelError: No usable answer; the text names the address.
    """
    body = {
        "model": model,
        "messages": [{"role": turn.role, "content": turn.text} for turn in turns],
        "max_tokens": max_tokens,
        "temperature": temperature,
        "seed": seed,
    }
    url = f"{base_url.rstrip('/')}/chat/completions"
    try:
        response = await client.post(url, json=body)
        response.raise_for_status()
        reply = _Body.model_validate_json(response.content)
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        raise LocalModelError(f"{url} answered HTTP {status}.") from error
    except httpx.HTTPError as error:
        raise LocalModelError(f"{url} cannot be used: {error!r}.") from error
    except ValidationError as error:
        raise LocalModelError(f"{url} sent no chat completion.") from error
    choice = reply.choices[0]
    return Completion(
        text=choice.message.content or "",
        finished=choice.finish_reason != "length",
        input_tokens=reply.usage.prompt_tokens,
        output_tokens=reply.usage.completion_tokens,
    )
