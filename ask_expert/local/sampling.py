"""Ask a local model for several answers, in one request where it can."""

from dataclasses import replace

import anyio

from ask_expert.errors import LocalModelError
from ask_expert.local.answered import Answered, Request
from ask_expert.local.client import BUSY, LocalModel

_SERVER_FAULT = 500


async def samples(model: LocalModel, request: Request, *, at_once: bool) -> Answered:
    """
    Return up to `request.n` answers; fewer when some requests fail, never none.

    Where one request may not ask for so many (llama.cpp allows as many as it has
    slots), each is asked for by itself, with a seed that counts on from the first.

    Args:
        model: Who is asked.
        request: With a temperature above 0, or all are the same.
        at_once: The server takes `n`.

    Raises:
        LocalModelError: None came.
    """
    if request.n == 1 or at_once:
        try:
            return await model.answer(request)
        except LocalModelError as error:
            if request.n == 1 or not _is_refusal(error):
                raise
    came: list[Answered] = []
    failed: list[LocalModelError] = []

    async def one(number: int) -> None:
        try:
            own = replace(request, n=1, seed=(request.seed or 0) + number)
            came.append(await model.answer(own))
        except LocalModelError as error:
            failed.append(error)

    began = model.clock_s()
    async with anyio.create_task_group() as tasks:
        for number in range(request.n):
            tasks.start_soon(one, number)
    if not came:
        raise failed[0]
    return Answered(
        samples=tuple(each for answered in came for each in answered.samples),
        input_tokens=sum(each.input_tokens for each in came),
        cached_tokens=sum(each.cached_tokens for each in came),
        output_tokens=sum(each.output_tokens for each in came),
        seconds=model.clock_s() - began,
        fingerprint=came[0].fingerprint,
    )


def _is_refusal(error: LocalModelError) -> bool:
    """Return whether the server turned down the request, rather than all of them."""
    status = error.http_status
    return status is not None and status not in BUSY and status < _SERVER_FAULT
