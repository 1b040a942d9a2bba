"""Strategies by name: each with the options that it is called with."""

from typing import get_args

import pytest

from ask_expert.local.strategies.best_of_n import BestOfN
from ask_expert.local.strategies.greedy import Think
from ask_expert.local.strategies.names import COUNTED, NAMES, THINKING_TIMES, Choice
from ask_expert.local.strategies.names import By as Bys
from ask_expert.local.strategies.refine import Refine
from ask_expert.local.strategies.registry import make
from ask_expert.local.strategies.search import Search
from ask_expert.local.strategies.vote import Vote


@pytest.mark.parametrize("name", [each for each in NAMES if each != "best_of_n"])
def test_a_strategy_is_called_as_its_name_says(name: str) -> None:
    choice = Choice(name=name)  # pyright: ignore[reportArgumentType]  # one of NAMES

    assert make(choice).name == name


@pytest.mark.parametrize("by", get_args(Bys))
def test_best_of_n_takes_its_number_and_what_it_chooses_by(by: str) -> None:
    choice = Choice(name="best_of_n", n=7, by=by)  # pyright: ignore[reportArgumentType]  # one of By

    assert make(choice).name == f"best_of_7_by_{by}"
    assert choice.label == f"best_of_n of 7 by {by}"


def test_without_a_number_a_strategy_has_its_own() -> None:
    own = {
        "vote": Vote().n,
        "weighted_vote": Vote().n,
        "best_of_n": BestOfN().n,
        "refine": Refine().rounds,
        "search": Search().nodes,
    }

    assert own == COUNTED
    assert Think().times == THINKING_TIMES


@pytest.mark.parametrize(
    ("choice", "answers"),
    [
        (Choice(name="greedy"), 1),
        (Choice(name="think"), 4),
        (Choice(name="vote", n=3), 3),
        (Choice(name="refine", n=2), 3),
        (Choice(name="mixture"), 2),
    ],
    ids=lambda each: each.label if isinstance(each, Choice) else str(each),
)
def test_a_strategy_says_how_many_answers_its_tokens_pay_for(
    choice: Choice, answers: int
) -> None:
    assert choice.answers(models=2) == answers


def test_only_a_check_can_serve_refining_and_a_choice_by_check() -> None:
    needy = {name for name in NAMES if Choice(name=name).needs_check}

    assert needy == {"refine", "best_of_n"}
    assert not Choice(name="best_of_n", by="p_true").needs_check
