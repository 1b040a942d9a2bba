import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from ask_expert.errors import LocalModelError
from ask_expert.experts.http import httpx, new_client
from ask_expert.local.answered import Answered, Request, Token
from ask_expert.local.client import LocalModel
from ask_expert.question import Turn
from tests.local.fake_model import FakeModel, serving
from tests.local.fake_vllm import FakeVllm

pytestmark = pytest.mark.anyio

TURNS = (Turn(role="user", text="What is 2 + 2?"),)


@asynccontextmanager
async def local(url: str) -> AsyncGenerator[LocalModel]:
    async with new_client() as client:
        yield LocalModel(client, base_url=url, model="tiny")


async def answer(fake: FakeVllm | FakeModel, request: Request) -> Answered:
    server = fake.model() if isinstance(fake, FakeVllm) else fake
    with serving(server):
        async with local(server.url) as model:
            return await model.answer(request)


async def test_a_request_says_what_was_asked_for_and_nothing_else() -> None:
    fake = FakeVllm()
    full = Request(
        turns=TURNS,
        max_tokens=9,
        n=2,
        temperature=0.8,
        seed=3,
        top_logprobs=2,
        choices=("yes", "no"),
        guide="structured_outputs",
    )

    await answer(fake, Request(turns=TURNS, max_tokens=9))
    await answer(fake, full)

    plain = {
        "model": "tiny",
        "messages": [{"role": "user", "content": "What is 2 + 2?"}],
        "max_tokens": 9,
        "temperature": 0.0,
    }
    more = {"temperature": 0.8, "n": 2, "seed": 3, "logprobs": True, "top_logprobs": 2}
    choice = {"structured_outputs": {"choice": ["yes", "no"]}}
    assert fake.asked == [plain, {**plain, **more, **choice}]


async def test_tokens_come_with_their_alternatives() -> None:
    answered = await answer(
        FakeVllm(), Request(turns=TURNS, max_tokens=9, n=2, top_logprobs=2)
    )

    assert [each.text for each in answered.samples] == ["Answer: 4", "Answer: 4"]
    assert answered.samples[0].tokens == (
        Token(text="Answer:", logprob=-0.1, top=(("Answer:", -0.1), ("other", -2.5))),
        Token(text=" 4", logprob=-0.1, top=((" 4", -0.1), ("other", -2.5))),
    )
    assert (answered.output_tokens, answered.cached_tokens) == (4, 0)
    assert answered.fingerprint == "vllm-0.32.0-e2492251"


@pytest.mark.parametrize("odd", [None, -math.inf, -9999.0, math.nan])
async def test_what_is_null_or_infinite_is_no_log_probability(
    odd: float | None,
) -> None:
    fake = FakeVllm(alternatives=lambda token: [(token, odd), ("other", -2.5)])

    answered = await answer(fake, Request(turns=TURNS, max_tokens=1, top_logprobs=2))

    assert answered.samples[0].tokens == (
        Token(text="Answer:", logprob=None, top=(("other", -2.5),)),
    )


async def test_tokens_that_are_listed_count_although_the_usage_leaves_them_out() -> (
    None
):
    chat = (
        b'{"choices": [{"message": {"content": "a b"}, "logprobs": {"content": '
        b'[{"token": "a", "logprob": -0.5}, {"token": " b", "logprob": -0.5}]}}],'
        b' "usage": {"prompt_tokens": 5, "completion_tokens": 1}}'
    )

    answered = await answer(FakeModel(raw=chat), Request(turns=TURNS, max_tokens=9))

    assert answered.tokens == 5 + 2


async def test_a_quoted_choice_is_unquoted() -> None:
    chat = b'{"choices": [{"message": {"content": "\\"yes\\""}}]}'
    request = Request(
        turns=TURNS, max_tokens=9, choices=("yes", "no"), guide="json_schema"
    )

    answered = await answer(FakeModel(raw=chat), request)

    assert answered.samples[0].text == "yes"


async def test_a_conversation_is_read_without_being_continued() -> None:
    fake = FakeVllm()
    draft = Turn(role="assistant", text="It is 4.")

    with serving(fake.model()) as server:
        async with local(server.url) as model:
            read = await model.score((*TURNS, draft), whole=False)

    assert [token.text for token in read.prompt or ()][-3:] == ["It", " is", " 4."]
    assert fake.asked[0]["continue_final_message"] is True
    assert fake.asked[0]["add_generation_prompt"] is False


async def test_a_plain_text_is_echoed_with_the_place_of_every_token() -> None:
    with serving(FakeVllm().model()) as server:
        async with local(server.url) as model:
            answered, offsets = await model.echo("The sky is blue")

    assert offsets == (0, 3, 7, 10)
    assert [each.logprob for each in answered.prompt or ()] == [None, -0.1, -0.1, -0.1]


async def test_a_key_goes_along() -> None:
    seen: list[str] = []

    def note(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["authorization"])
        return httpx.Response(200, json={"choices": [{"message": {"content": "So."}}]})

    async with httpx.AsyncClient(transport=httpx.MockTransport(note)) as client:
        model = LocalModel(
            client, base_url="http://127.0.0.1:9/v1", model="m", key="made-up"
        )
        await model.answer(Request(turns=TURNS, max_tokens=1))

    assert seen == ["Bearer made-up"]


@pytest.mark.parametrize(
    ("fake", "why", "status"),
    [
        (FakeVllm(status=503), r"HTTP 503 \(busy\): .*No slot is free", 503),
        (FakeVllm(status=429), r"HTTP 429 \(busy\)", 429),
        (FakeVllm(refuses=["messages"]), r"HTTP 400: .*messages is not allowed", 400),
        (FakeModel(raw=b"<html>"), "sent no completion", None),
        (FakeModel(raw=b'{"choices": []}'), "sent no completion", None),
    ],
    ids=["no_slot", "too_many", "refused", "html", "no_choice"],
)
async def test_a_useless_reply_is_an_error_with_address_status_and_the_servers_words(
    fake: FakeVllm | FakeModel, why: str, status: int | None
) -> None:
    with pytest.raises(LocalModelError, match=f"127.0.0.1.*{why}") as caught:
        await answer(fake, Request(turns=TURNS, max_tokens=1))

    assert caught.value.http_status == status


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/v1", "nonsense", "http://[::1"])
async def test_an_address_where_nobody_answers_is_an_error_that_names_it(
    url: str,
) -> None:
    async with local(url) as model:
        with pytest.raises(LocalModelError, match="cannot be used") as caught:
            await model.answer(Request(turns=TURNS, max_tokens=1))

    assert url in str(caught.value)
    assert caught.value.http_status is None
