import pytest

from ask_expert.errors import LocalModelError
from ask_expert.experts.http import new_client
from ask_expert.local.answered import Answered, Request
from ask_expert.local.client import LocalModel
from ask_expert.local.sampling import samples
from ask_expert.question import Turn
from tests.local.fake_model import serving
from tests.local.fake_vllm import FakeVllm

pytestmark = pytest.mark.anyio

REQUEST = Request(
    turns=(Turn(role="user", text="Draw a number."),),
    max_tokens=9,
    n=3,
    temperature=0.8,
    seed=5,
)


async def taken(fake: FakeVllm, *, at_once: bool) -> Answered:
    with serving(fake.model()) as server:
        async with new_client() as client:
            model = LocalModel(client, base_url=server.url, model="tiny")
            return await samples(model, REQUEST, at_once=at_once)


async def test_a_server_that_can_is_asked_once() -> None:
    fake = FakeVllm(reply=lambda turns, number: f"Answer: {number}")

    answered = await taken(fake, at_once=True)

    assert [each.text for each in answered.samples] == [
        "Answer: 5",
        "Answer: 6",
        "Answer: 7",
    ]
    assert len(fake.asked) == 1


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_server_that_refuses_several_answers_is_asked_for_each(
    at_once: bool,
) -> None:
    fake = FakeVllm(reply=lambda turns, number: f"Answer: {number}", refuses=["n"])

    answered = await taken(fake, at_once=at_once)

    assert sorted(each.text for each in answered.samples) == [
        "Answer: 5",
        "Answer: 6",
        "Answer: 7",
    ]
    assert sorted(body["seed"] for body in fake.asked if "n" not in body) == [5, 6, 7]
    assert answered.output_tokens == 6


async def test_a_busy_server_is_not_asked_again() -> None:
    fake = FakeVllm(status=503)

    with pytest.raises(LocalModelError, match="busy"):
        await taken(fake, at_once=True)

    assert len(fake.asked) == 1


async def test_what_came_is_kept_when_some_requests_fail() -> None:
    fake = FakeVllm(reply=lambda turns, number: "Answer: 1")
    serve = fake.serve

    with serving(fake.model()) as server:
        server.serve = lambda path, body: (
            (503, b"{}") if body and body["seed"] == 6 else serve(path, body)
        )
        async with new_client() as client:
            model = LocalModel(client, base_url=server.url, model="tiny")
            answered = await samples(model, REQUEST, at_once=False)

    assert len(answered.samples) == 2
