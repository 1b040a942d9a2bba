"""Every strategy against a real server that says what the test tells it to say."""

import time
from collections.abc import AsyncGenerator, Callable, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.errors import LocalModelError, MissingToolError
from ask_expert.experts.http import httpx
from ask_expert.local.answered import Sample
from ask_expert.local.client import LocalModel
from ask_expert.local.strategies.best_of_n import BestOfN, By
from ask_expert.local.strategies.greedy import Greedy, Think, without_thoughts
from ask_expert.local.strategies.mixture import Mixture
from ask_expert.local.strategies.refine import Refine
from ask_expert.local.strategies.search import Node, Search, grown, joined
from ask_expert.local.strategies.vote import Vote, weights, winner
from ask_expert.local.strategies.work import (
    Checked,
    Judged,
    Meter,
    Seat,
    Strategy,
    Work,
)
from ask_expert.question import Turn
from tests.local.fake_model import FakeModel, serving

pytestmark = pytest.mark.anyio

ASKED = (Turn(role="user", text="Which?"),)
WORK = Work(turns=ASKED, max_tokens=50, seed=1)


@dataclass(slots=True)
class Checks:
    """A check that counts; an answer that holds `right` passes."""

    seen: list[str] = field(default_factory=list[str])

    async def __call__(self, text: str) -> Checked:
        self.seen.append(text)
        share = min(1.0, text.count("good") / 4)
        return Checked(
            passed="right" in text,
            share=1.0 if "right" in text else share,
            output=f"not {text}",
        )


async def same_text(texts: Sequence[str]) -> list[Hashable | None]:
    return [text or None for text in texts]


def meter(max_tokens: int = 10_000) -> Meter:
    return Meter(max_tokens=max_tokens, max_seconds=60, clock_s=time.monotonic)


@asynccontextmanager
async def seat(say: Callable[[dict[str, Any]], str]) -> AsyncGenerator[Seat]:
    with serving(FakeModel(say=say)) as fake:
        async with httpx.AsyncClient() as client:
            model = LocalModel(client, base_url=fake.url, model="fake")
            yield Seat(model=model, at_once=False)


def by_seed(*texts: str) -> Callable[[dict[str, Any]], str]:
    def say(body: dict[str, Any]) -> str:
        return texts[(int(body["seed"]) - 1) % len(texts)]

    return say


async def test_greedy_gives_its_one_answer_and_counts_its_tokens() -> None:
    async with seat(lambda body: f"{body['temperature']}") as here:
        solved = await Greedy().solve(here, WORK, meter())

    assert (solved.text, solved.answers, solved.tokens) == ("0.0", 1, 11)


async def test_a_vote_gives_the_answer_of_the_largest_group() -> None:
    async with seat(by_seed("a", "b", "b", "", "c")) as here:
        work = replace(WORK, label=same_text)
        solved = await Vote(n=5).solve(here, work, meter())

    assert (solved.text, solved.score, solved.answers) == ("b", 0.4, 5)


async def test_of_a_tie_the_answer_that_came_first_wins() -> None:
    async with seat(by_seed("a", "b", "b", "a")) as here:
        work = replace(WORK, label=same_text)
        solved = await Vote(n=4).solve(here, work, meter())

    assert solved.text in {"a", "b"}
    assert solved.score == 0.5


async def test_votes_that_nobody_can_read_still_give_an_answer() -> None:
    async def unreadable(texts: Sequence[str]) -> list[Hashable | None]:
        return [None] * len(texts)

    async with seat(by_seed("a", "b")) as here:
        solved = await Vote(n=2).solve(here, replace(WORK, label=unreadable), meter())

    assert solved.text in {"a", "b"}
    assert solved.score == 0


async def test_best_of_n_stops_at_the_first_that_passes() -> None:
    check = Checks()
    say = by_seed("bad", "good", "right", "good good")
    async with seat(say) as here:
        work = replace(WORK, check=check)
        solved = await BestOfN(n=8, at_once=1).solve(here, work, meter())

    assert solved.checked is not None
    assert solved.checked.passed
    assert (solved.text, solved.answers, len(check.seen)) == ("right", 3, 3)


async def test_best_of_n_gives_what_passed_most_where_nothing_passed() -> None:
    async with seat(by_seed("good", "good good", "bad")) as here:
        work = replace(WORK, check=Checks())
        solved = await BestOfN(n=3, at_once=2).solve(here, work, meter())

    assert (solved.text, solved.score, solved.answers) == ("good good", 0.5, 3)


async def test_best_of_n_by_p_true_counts_what_asking_costs() -> None:
    async def judge(text: str) -> Judged:
        return Judged(p_true=0.9 if text == "b" else None, tokens=100)

    async with seat(by_seed("a", "b", "c")) as here:
        work = replace(WORK, judge=judge)
        solved = await BestOfN(n=3, by="p_true").solve(here, work, meter())

    assert (solved.text, solved.tokens) == ("b", 3 * 11 + 300)


async def test_nothing_is_begun_when_the_tokens_are_used_up() -> None:
    async with seat(by_seed("a")) as here:
        work = replace(WORK, check=Checks())
        solved = await BestOfN(n=9, at_once=1).solve(here, work, meter(20))

    assert solved.answers == 2


async def test_refining_shows_the_model_what_the_check_printed() -> None:
    bodies: list[dict[str, Any]] = []

    def say(body: dict[str, Any]) -> str:
        bodies.append(body)
        return "right" if len(bodies) == 2 else "good"

    async with seat(say) as here:
        work = replace(WORK, check=Checks())
        solved = await Refine(rounds=3).solve(here, work, meter())

    assert solved.text == "right"
    assert "not good" in bodies[1]["messages"][-1]["content"]
    assert len(bodies) == 2


async def test_a_mixture_asks_the_second_model_where_the_first_fails() -> None:
    async with seat(lambda _: "bad") as first, seat(lambda _: "right") as second:
        work = replace(WORK, check=Checks())
        solved = await Mixture(others=(second,)).solve(first, work, meter())

    assert (solved.text, solved.answers) == ("right", 2)


async def test_a_mixture_passes_over_a_model_that_is_not_there() -> None:
    async with seat(lambda _: "good") as here, httpx.AsyncClient() as client:
        away = Seat(
            model=LocalModel(client, base_url="http://127.0.0.1:1/v1", model="away")
        )
        work = replace(WORK, check=Checks())
        solved = await Mixture(others=(here,)).solve(away, work, meter())

        with pytest.raises(LocalModelError):
            await Mixture(others=()).solve(away, work, meter())
    assert solved.text == "good"


async def test_a_search_goes_on_from_the_beginning_that_was_worth_most() -> None:
    """Only a model that was led to `good` by its own beginning comes to `right`."""

    def say(body: dict[str, Any]) -> str:
        last = body["messages"][-1]
        if last["role"] == "user":
            return "good\nx\n" if body["seed"] % 2 else "bad\ny\n"
        return "right\n" if last["content"].startswith("good") else "bad\n"

    check = Checks()
    async with seat(say) as here:
        work = replace(WORK, check=check)
        search = Search(nodes=20, width=2, step_lines=1)
        solved = await search.solve(here, work, meter())

    assert solved.text == "good\nright\n"
    assert solved.checked is not None
    assert solved.checked.passed


async def test_a_search_ends_although_its_tree_cannot_grow() -> None:
    async with seat(lambda _: "bad") as here:
        work = replace(WORK, check=Checks())
        solved = await Search(nodes=5, width=2).solve(here, work, meter())

    assert (solved.text, solved.score) == ("bad", 0.0)


@pytest.mark.parametrize(
    "strategy",
    [
        Vote(),
        Vote(weighted=True),
        BestOfN(),
        BestOfN(by="p_true"),
        Refine(),
        Mixture(others=()),
        Search(),
        Think(),
    ],
    ids=lambda each: each.name,
)
async def test_what_a_strategy_needs_and_has_not_is_named(strategy: Strategy) -> None:
    async with seat(lambda _: "a") as here:
        with pytest.raises(MissingToolError, match=r"need|no thinking|tells"):
            await strategy.solve(here, WORK, meter())


async def test_thinking_is_switched_on_and_left_out_of_the_answer() -> None:
    bodies: list[dict[str, Any]] = []

    def say(body: dict[str, Any]) -> str:
        bodies.append(body)
        return "<think>hm</think>\n42"

    async with seat(say) as here:
        solved = await Think().solve(replace(here, thinks=True), WORK, meter())

    assert solved.text == "42"
    assert bodies[0]["chat_template_kwargs"] == {"enable_thinking": True}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("42", "42"),
        ("<think>a</think>b", "b"),
        ("a</think>b", "b"),
        ("<think>and on and on", ""),
    ],
)
def test_thoughts_are_no_answer(text: str, left: str) -> None:
    assert without_thoughts(text) == left


@pytest.mark.parametrize("by", ["check", "logprob", "p_true"])
async def test_a_server_that_is_down_is_named(by: By) -> None:
    async def judge(text: str) -> Judged:
        return Judged(p_true=None, tokens=len(text))

    async with httpx.AsyncClient() as client:
        model = LocalModel(client, base_url="http://127.0.0.1:1/v1", model="m")
        work = replace(WORK, check=Checks(), judge=judge)
        with pytest.raises(LocalModelError, match=r"127\.0\.0\.1:1"):
            await BestOfN(by=by).solve(Seat(model=model), work, meter())


@given(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=9))
def test_no_group_is_heavier_than_the_winner(labels: list[str | None]) -> None:
    place, share = winner(labels, [1.0] * len(labels))

    counts = {each: labels.count(each) for each in labels if each is not None}
    heaviest = max(counts.values(), default=0)
    assert share == heaviest / len(labels)
    assert not counts or counts[labels[place] or ""] == heaviest


def test_votes_count_alike_where_one_cannot_be_weighed() -> None:
    found = [Sample(text=each, finished=True) for each in "abc"]
    told = {"a": 2.0, "b": 3.0, "c": None}

    assert weights(found, lambda each: told[each.text]) == [1.0, 1.0, 1.0]
    assert weights(found[:2], lambda each: told[each.text]) == [2.0, 3.0]
    assert weights(found, lambda _: -1.0) == [1.0, 1.0, 1.0]


@given(st.lists(st.text("ab\n", min_size=1, max_size=8), min_size=1, max_size=8))
def test_every_visit_counts_on_the_whole_way_up(ends: list[str]) -> None:
    root = Node("")

    added = sum(grown(root, text, 0.5, step_lines=1) for text in ends)

    assert root.visits == len(ends)
    assert root.worth == 0.5 * len(ends)
    assert added == len(root.children)
    assert sum(each.visits for each in root.children) == len(ends)


def test_a_beginning_that_the_server_repeats_stands_once() -> None:
    assert joined("def f", "def f(): 1") == "def f(): 1"
    assert joined("def f", "(): 1") == "def f(): 1"
    assert joined("", "x") == "x"
