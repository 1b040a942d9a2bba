from hypothesis import given
from hypothesis import strategies as st

from ask_expert.experts.ladder import rungs, too_long
from tests.experts.support import an_expert

NAMES = ("cheap", "middle", "dear")
LADDER = tuple(an_expert(name=name) for name in NAMES)


def order(**facts: object) -> list[str]:
    found = rungs(LADDER, **facts)  # pyright: ignore[reportArgumentType]
    return [expert.name for expert in found]


def test_the_cheapest_is_asked_first() -> None:
    assert order() == ["cheap", "middle", "dear"]


def test_a_follow_up_stays_with_the_expert_of_its_thread() -> None:
    assert order(thread_expert="middle") == ["middle", "dear", "cheap"]


def test_an_answer_that_did_not_help_makes_the_next_one_up_first() -> None:
    assert order(answered_by=("cheap",)) == ["middle", "dear", "cheap"]
    assert order(answered_by=("cheap", "middle")) == ["dear", "middle", "cheap"]


def test_there_is_nobody_above_the_topmost() -> None:
    assert order(answered_by=("dear",)) == ["dear", "middle", "cheap"]


def test_climbing_comes_before_the_thread() -> None:
    assert order(answered_by=("cheap",), thread_expert="cheap")[0] == "middle"


def test_experts_that_are_gone_from_the_ladder_do_not_count() -> None:
    assert order(answered_by=("gone",), thread_expert="gone")[0] == "cheap"


@given(
    st.lists(st.sampled_from([*NAMES, "gone"])),
    st.sampled_from([*NAMES, "gone", None]),
)
def test_everybody_is_asked_at_most_once(
    answered_by: list[str], thread_expert: str | None
) -> None:
    found = order(answered_by=tuple(answered_by), thread_expert=thread_expert)

    assert sorted(found) == sorted(NAMES)


def test_a_question_that_likely_overflows_a_window_is_too_long_for_it() -> None:
    expert = an_expert(context_window=1000)

    assert not too_long(expert, likely_tokens=800, least=200)
    assert too_long(expert, likely_tokens=801, least=200)
    assert not too_long(an_expert(), likely_tokens=10**9, least=200)
