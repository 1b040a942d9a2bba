"""How a batch deals out its requests; with a real engine it is tested beside the servers."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from ask_expert.errors import ConfigError, LocalModelError
from ask_expert.local.answered import Answered, Request
from ask_expert.local.batch import Batch, opened
from ask_expert.question import Turn

VLLM = SimpleNamespace(__version__="0.0", SamplingParams=SimpleNamespace)


@dataclass
class Engine:
    """Says each conversation's last text again, and turns down the word `long`."""

    chats: list[tuple[list[str], bool]] = field(
        default_factory=list[tuple[list[str], bool]]
    )

    def chat(
        self, messages: Sequence[list[dict[str, str]]], params: object, **how: Any
    ) -> list[Any]:
        texts = [each[-1]["content"] for each in messages]
        self.chats.append((texts, how["continue_final_message"]))
        if "long" in texts:
            raise ValueError("beyond the window")
        return [
            SimpleNamespace(
                prompt_token_ids=[1, 2],
                num_cached_tokens=1,
                outputs=[_said(text)],
            )
            for text in texts
        ]


def _said(text: str) -> object:
    here = {
        5: SimpleNamespace(logprob=-0.5, rank=2, decoded_token=text),
        6: SimpleNamespace(logprob=-0.1, rank=1, decoded_token="?"),
        7: SimpleNamespace(logprob=float("-inf"), rank=3, decoded_token="!"),
    }
    return SimpleNamespace(
        text=text, finish_reason="length", token_ids=[5], logprobs=[here]
    )


def request(text: str, **facts: Any) -> Request:
    return Request(turns=(Turn(role="user", text=text),), max_tokens=4, **facts)


def texts_of(came: Sequence[Answered | LocalModelError]) -> list[str]:
    return [
        str(each) if isinstance(each, LocalModelError) else each.samples[0].text
        for each in came
    ]


def test_answers_come_in_the_order_of_the_requests_whatever_goes_together() -> None:
    engine = Engine()
    requests = [request("a"), request("b", continues=True), request("c"), request("d")]

    came = list(Batch(VLLM, engine, clock_s=lambda: 0.0).answers(requests, chunk=3))

    assert texts_of(came) == ["a", "b", "c", "d"]
    assert engine.chats == [(["a", "c"], False), (["b"], True), (["d"], False)]


def test_a_request_that_is_turned_down_costs_the_others_nothing() -> None:
    requests = [request("a"), request("long"), request("c")]

    came = list(Batch(VLLM, Engine(), clock_s=lambda: 0.0).answers(requests))

    assert texts_of(came) == ["a", "vLLM turned it down: beyond the window", "c"]


def test_tokens_time_and_log_probabilities_are_told() -> None:
    ticks = iter([10.0, 13.0])
    batch = Batch(VLLM, Engine(), clock_s=lambda: next(ticks))

    first, second = batch.answers([request("a", top_logprobs=3), request("b")])

    assert isinstance(first, Answered)
    assert isinstance(second, Answered)
    assert (first.input_tokens, first.cached_tokens, first.output_tokens) == (2, 1, 1)
    assert first.seconds == second.seconds == 1.5
    assert first.samples[0].finished is False
    assert first.samples[0].tokens is not None
    (token,) = first.samples[0].tokens
    assert (token.text, token.logprob) == ("a", -0.5)
    assert token.top == (("?", -0.1), ("a", -0.5))
    assert second.samples[0].tokens is None


def test_a_chunk_of_nothing_is_refused() -> None:
    batch = Batch(VLLM, Engine(), clock_s=lambda: 0.0)

    with pytest.raises(ValueError, match="at least 1"):
        next(batch.answers([request("a")], chunk=0))


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="it is here")
def test_without_vllm_the_line_that_installs_it_is_given() -> None:
    with pytest.raises(ConfigError, match=r"pip install 'ask-expert\[vllm\]'"):
        opened("some-model").__enter__()
