"""Ask one model of any OpenAI-compatible server, its log-probabilities included."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from ask_expert.answer_block import visible
from ask_expert.errors import LocalModelError
from ask_expert.experts.failures import complaint
from ask_expert.experts.http import MOST_BYTES, httpx
from ask_expert.local import shapes
from ask_expert.local.answered import Answered, Request, Token
from ask_expert.local.shapes import Chat, Echo, Usage
from ask_expert.question import Turn

BUSY = frozenset({429, 503})
"""Statuses of a server that works on other requests."""

_TIMEOUT_S = 120.0
_COMPLAINT_CHARS = 200

B = TypeVar("B", bound=BaseModel)


_GOES_ON = {"add_generation_prompt": False, "continue_final_message": True}
_THINKS = {"chat_template_kwargs": {"enable_thinking": True}}


class LocalModel:
    """
    One model of one server.

    The caller owns `client`; each request has a time limit of its own, and nothing
    is tried twice.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        base_url: str,
        model: str,
        key: str | None = None,
        timeout_s: float = _TIMEOUT_S,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.model = model
        self.clock_s = clock_s
        self._client = client
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self._timeout_s = timeout_s

    async def answer(self, request: Request) -> Answered:
        """
        Return the answers to a conversation.

        Raises:
            LocalModelError: No usable answer; the text names the address.
        """
        body = self._body(
            request.turns,
            max_tokens=request.max_tokens,
            temperature=request.temperature,
        )
        body |= {"n": request.n} if request.n > 1 else {}
        body |= {"seed": request.seed} if request.seed is not None else {}
        top = request.top_logprobs
        body |= {"logprobs": True} if top is not None else {}
        body |= {"top_logprobs": top} if top else {}
        guide = request.guide if request.choices else None
        body |= shapes.guided(request.choices, guide) if guide else {}
        body |= _GOES_ON if request.continues else {}
        body |= _THINKS if request.thinks else {}
        return await self._chat(body, quoted=guide == "json_schema")

    async def score(self, turns: Sequence[Turn], *, whole: bool) -> Answered:
        """
        Return a conversation with the log-probabilities of its own tokens.

        Args:
            turns: Oldest first.
            whole: The conversation ends where the model is to speak; else its last
                turn is the model's own and goes on, so that it ends with that turn's
                last token.

        Raises:
            LocalModelError: No usable answer; the text names the address.
        """
        body = self._body(turns, max_tokens=1, temperature=0.0)
        body["prompt_logprobs"] = 0
        if not whole:
            body |= {"add_generation_prompt": False, "continue_final_message": True}
        return await self._chat(body)

    async def echo(self, prompt: str) -> tuple[Answered, tuple[int, ...]]:
        """
        Return a plain text with the log-probabilities of its own tokens.

        Returns:
            The text's tokens, and the character at which each begins.

        Raises:
            LocalModelError: The server cannot; the text names the address.
        """
        body = {"model": self.model, "prompt": prompt, "max_tokens": 1}
        body |= {"temperature": 0.0, "logprobs": 1, "echo": True}
        began = self.clock_s()
        reply = await self._read("POST", "/completions", body, Echo)
        choice = reply.choices[0]
        found = choice.logprobs
        if found is None or not choice.text.startswith(prompt):
            raise LocalModelError(f"{self.base_url} does not echo prompts.")
        told = zip(found.tokens, found.token_logprobs, found.text_offset, strict=False)
        within = [each for each in told if each[2] < len(prompt)]
        tokens = tuple(
            Token(text=text, logprob=shapes.finite(p)) for text, p, _ in within
        )
        usage = reply.usage or Usage()
        answered = Answered(
            samples=(),
            input_tokens=usage.prompt_tokens or len(tokens),
            cached_tokens=shapes.cached(usage),
            output_tokens=usage.completion_tokens,
            seconds=self.clock_s() - began,
            prompt=tokens,
        )
        return answered, tuple(offset for _, _, offset in within)

    async def page(self, path: str) -> str | None:
        """
        Return a page of the server, such as `/version`; None when it has none.

        Raises:
            LocalModelError: The server cannot be reached.
        """
        root = self.base_url.removesuffix("/v1")
        try:
            data = await self._send("GET", f"{root}{path}", None)
        except LocalModelError as error:
            if error.http_status is None:
                raise
            return None
        return data.decode(errors="replace")

    def _body(
        self, turns: Sequence[Turn], *, max_tokens: int, temperature: float
    ) -> dict[str, object]:
        messages = [{"role": turn.role, "content": turn.text} for turn in turns]
        return {
            "model": self.model,
            "messages": messages,
            "max_tokens": max_tokens,
            "temperature": temperature,
        }

    async def _chat(
        self, body: Mapping[str, object], *, quoted: bool = False
    ) -> Answered:
        began = self.clock_s()
        reply = await self._read("POST", "/chat/completions", body, Chat)
        samples = tuple(
            shapes.sample(choice, quoted=quoted) for choice in reply.choices
        )
        usage = reply.usage or Usage()
        # llama.cpp tells the output of one of `n` answers: what is listed counts.
        listed = sum(len(each.tokens or ()) for each in samples)
        return Answered(
            samples=samples,
            input_tokens=usage.prompt_tokens,
            cached_tokens=shapes.cached(usage),
            output_tokens=max(usage.completion_tokens, listed),
            seconds=self.clock_s() - began,
            fingerprint=reply.system_fingerprint or "",
            prompt=shapes.prompt_tokens(reply.prompt_logprobs),
        )

    async def _read(
        self, method: str, path: str, body: Mapping[str, object] | None, shape: type[B]
    ) -> B:
        url = f"{self.base_url}{path}"
        data = await self._send(method, url, body)
        try:
            return shape.model_validate_json(data)
        except ValidationError as error:
            raise LocalModelError(f"{url} sent no completion.") from error

    async def _send(
        self, method: str, url: str, body: Mapping[str, object] | None
    ) -> bytes:
        """Return the bytes of a good reply; more than a reply can have are not read."""
        data = bytearray()
        try:
            async with self._client.stream(
                method, url, json=body, headers=self._headers, timeout=self._timeout_s
            ) as response:
                async for part in response.aiter_bytes():
                    data += part
                    if len(data) > MOST_BYTES:
                        raise LocalModelError(f"{url} sent over {MOST_BYTES:,} bytes.")
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            what = type(error).__name__
            raise LocalModelError(f"{url} cannot be used: {what}.") from error
        if not response.is_success:
            said = visible(complaint(bytes(data)) or "")[:_COMPLAINT_CHARS]
            said = f": {said}" if said else ""
            status = response.status_code
            busy = " (busy)" if status in BUSY else ""
            text = f"{url} answered HTTP {status}{busy}{said}."
            raise LocalModelError(text, http_status=status)
        return bytes(data)
