import pytest

from ask_expert.errors import LocalModelError
from ask_expert.experts.http import httpx
from ask_expert.local.chat import Completion, complete
from ask_expert.question import Turn
from tests.local.fake_model import FakeModel, serving

TURNS = [
    Turn(role="system", text="Be brief."),
    Turn(role="user", text="Why is it so?"),
]


async def ask(base_url: str) -> Completion:
    async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
        return await complete(
            client,
            base_url,
            model="tiny",
            turns=TURNS,
            max_tokens=50,
            temperature=0.5,
            seed=3,
        )


@pytest.mark.anyio
async def test_the_conversation_goes_out_as_it_is() -> None:
    with serving(FakeModel()) as model:
        await ask(f"{model.url}/")

    assert model.asked == [
        (
            "/v1/chat/completions",
            {
                "model": "tiny",
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "Why is it so?"},
                ],
                "max_tokens": 50,
                "temperature": 0.5,
                "seed": 3,
            },
        )
    ]


@pytest.mark.anyio
async def test_the_answer_comes_back_with_its_tokens() -> None:
    with serving(FakeModel()) as model:
        answer = await ask(model.url)

    assert answer == Completion(
        text="So.", finished=True, input_tokens=9, output_tokens=2
    )


@pytest.mark.anyio
async def test_an_answer_cut_at_the_limit_says_so() -> None:
    with serving(FakeModel(finish="length")) as model:
        answer = await ask(model.url)

    assert not answer.finished


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("model", "why"),
    [
        (FakeModel(status=503), "HTTP 503"),
        (FakeModel(status=302), "HTTP 302"),
        (FakeModel(raw=b"<html>"), "no chat completion"),
        (FakeModel(raw=b'{"choices": []}'), "no chat completion"),
        (FakeModel(promised_more=100), "cannot be used"),
    ],
    ids=["busy", "redirect", "html", "no_choice", "cut"],
)
async def test_a_useless_reply_is_an_error_that_names_the_address(
    model: FakeModel, why: str
) -> None:
    with serving(model):
        with pytest.raises(LocalModelError, match=why) as caught:
            await ask(model.url)

        assert model.url in str(caught.value)


@pytest.mark.anyio
async def test_a_server_that_is_not_there_is_an_error_that_names_the_address() -> None:
    with pytest.raises(LocalModelError, match=r"127\.0\.0\.1:1/v1.*ConnectError"):
        await ask("http://127.0.0.1:1/v1")
