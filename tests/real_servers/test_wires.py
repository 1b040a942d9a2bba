"""The three wires that two real servers speak, asked by the product's own client."""

from collections.abc import Awaitable

import anyio
import pytest

from ask_expert.errors import ExpertRejectedError
from ask_expert.reply import ExpertAnswer
from tests.real_servers.support import (
    APIS,
    ENDLESS_QUESTION,
    QUESTION,
    Server,
    ask,
    prompt,
)
from tests.real_servers.tiny_model import ANSWER

pytestmark = pytest.mark.anyio

every_wire = pytest.mark.parametrize("api", APIS)
both_ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@every_wire
@both_ways
async def test_a_real_server_answers_and_tells_its_usage_and_its_model(
    server: Server, api: str, stream: bool
) -> None:
    expert = server.expert(api, stream=stream, extra_body=server.brief)

    answer = await ask(expert)

    assert answer.text.strip()
    assert answer.finish == "stop"
    assert answer.usage.source == "provider"
    assert answer.usage.all_input_tokens > 0
    assert 0 < answer.usage.output_tokens <= 24
    assert answer.provenance.served_model == server.model
    assert answer.provenance.request_id
    assert (answer.first_token_us is not None) is stream
    assert (answer.text == ANSWER) is server.is_strict


@every_wire
async def test_a_real_server_says_the_same_in_pieces_as_in_one(
    server: Server, api: str
) -> None:
    extras = {**server.brief, "temperature": 0}
    whole = server.expert(api, extra_body=extras)
    streamed = server.expert(api, stream=True, extra_body=extras)
    seen: list[int] = []

    first, second = await ask(whole), await ask(streamed, watch=seen.append)

    assert second.text == first.text
    assert second.usage.all_input_tokens == first.usage.all_input_tokens
    assert second.usage.output_tokens == first.usage.output_tokens
    assert second.finish == first.finish
    assert second.provenance.served_model == first.provenance.served_model
    assert second.provenance.fingerprint == first.provenance.fingerprint
    assert second.provenance.finish_reason == first.provenance.finish_reason
    assert seen[-1] == len(second.text)


@every_wire
@both_ways
async def test_an_answer_ends_at_its_ceiling_and_the_server_says_so(
    server: Server, api: str, stream: bool
) -> None:
    expert = server.expert(api, stream=stream, extra_body=server.endless)

    answer = await ask(expert, ENDLESS_QUESTION, ceiling=5)

    assert answer.text.strip()
    assert answer.usage.output_tokens == 5
    # llama.cpp calls such a response `completed`, and nothing in it tells.
    told = api in server.tells_the_ceiling
    assert answer.finish == ("length" if told else "stop")


@every_wire
@both_ways
async def test_a_model_that_is_not_served_is_a_typed_error_or_recorded_as_another(
    server: Server, api: str, stream: bool
) -> None:
    expert = server.expert(
        api, stream=stream, model="some-other", extra_body=server.brief
    )

    result = await _outcome(ask(expert))

    if server.is_strict:
        assert isinstance(result, ExpertRejectedError)
        assert (result.http_status, result.billed) == (404, "no")
        assert "`some-other` does not exist" in str(result)
        assert "Check `model: some-other`" in str(result)
    else:
        assert isinstance(result, ExpertAnswer)
        assert result.provenance.asked_model == "some-other"
        assert result.provenance.served_model == server.model


@every_wire
@both_ways
async def test_a_ceiling_beyond_the_window_is_a_typed_error_or_cut(
    server: Server, api: str, stream: bool
) -> None:
    expert = server.expert(api, stream=stream, extra_body=server.brief)

    result = await _outcome(ask(expert, ceiling=2 * server.window))

    if server.is_strict:
        assert isinstance(result, ExpertRejectedError)
        assert (result.http_status, result.billed) == (400, "no")
        assert str(server.window) in str(result)
    else:
        assert isinstance(result, ExpertAnswer)
        assert result.finish == "stop"


@every_wire
async def test_a_prompt_beyond_the_window_is_a_typed_error(
    server: Server, api: str
) -> None:
    too_long = prompt("Name a colour. " * server.window)

    result = await _outcome(ask(server.expert(api), too_long))

    assert isinstance(result, ExpertRejectedError)
    assert (result.http_status, result.billed) == (400, "no")
    assert str(server.window) in str(result)


@every_wire
async def test_the_turns_of_a_thread_are_read(server: Server, api: str) -> None:
    expert = server.expert(api, extra_body=server.brief)
    history = ("Why does it hang?", "A lock is held twice.")

    alone = await ask(expert)
    after = await ask(expert, prompt(*history, QUESTION.turns[0].text))

    assert after.text.strip()
    more = after.usage.all_input_tokens - alone.usage.all_input_tokens
    assert more >= len(" ".join(history).split())


@every_wire
@both_ways
async def test_a_server_stops_working_for_a_caller_that_went_away(
    server: Server, api: str, stream: bool
) -> None:
    if not (stream or server.is_strict):
        pytest.skip(
            "llama.cpp finds out when it sends, so it ends an unstreamed answer"
        )
    expert = server.expert(api, stream=stream, extra_body=server.endless)
    ceiling = server.window - 200
    began = anyio.Event()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(
            lambda: ask(
                expert, ENDLESS_QUESTION, ceiling=ceiling, watch=lambda _: began.set()
            )
        )
        await (began.wait() if stream else server.until(busy=True))
        assert server.running() == 1
        tasks.cancel_scope.cancel()
    await server.until(busy=False)
    answer = await ask(server.expert(api, stream=stream, extra_body=server.brief))

    assert answer.text.strip()


async def _outcome(asked: Awaitable[ExpertAnswer]) -> ExpertAnswer | Exception:
    try:
        return await asked
    except ExpertRejectedError as error:
        return error
