"""Signals of the answer's tokens: hand-computed cases, and laws."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.confidence.signals.deepconf import lowest_group, tail
from ask_expert.confidence.signals.draft_logprob import drafted
from ask_expert.confidence.signals.logprob_margin import margin
from ask_expert.confidence.signals.low_logprob import quantile
from ask_expert.confidence.signals.mean_logprob import mean
from ask_expert.confidence.signals.p_true import p_true
from ask_expert.confidence.signals.repeated_error import stalled
from ask_expert.confidence.signals.self_verification import share
from ask_expert.confidence.signals.token_entropy import mean_entropy
from ask_expert.errors import SignalAbsentError
from ask_expert.local.answered import Token

LOGPROBS = st.lists(st.floats(-50, 0), min_size=1, max_size=30)
TOPS = st.lists(
    st.lists(st.floats(-50, 0), min_size=2, max_size=5), min_size=1, max_size=30
)


def test_the_mean_and_the_quantiles_of_four_tokens() -> None:
    logprobs = [-4.0, -1.0, -2.0, -1.0]

    assert mean(logprobs) == -2.0
    assert quantile(logprobs, 0) == -4.0
    assert quantile(logprobs, 0.5) == -1.5
    assert quantile(logprobs, 1) == -1.0
    assert quantile([-3.0], 0.1) == -3.0


@given(LOGPROBS, st.floats(0, 1))
def test_every_quantile_lies_between_the_least_and_the_greatest(
    logprobs: list[float], q: float
) -> None:
    assert min(logprobs) - 1e-9 <= quantile(logprobs, q) <= max(logprobs) + 1e-9


def test_the_margin_is_between_the_two_likeliest_in_whatever_order_they_come() -> None:
    assert margin([[-0.5, -2.5, -9.0], [-3.0, -1.0]]) == 2.0


def test_entropy_of_sure_and_of_clueless_tokens() -> None:
    fair = [math.log(0.5)] * 2

    assert mean_entropy([fair]) == pytest.approx(math.log(2))
    assert mean_entropy([[0.0, -745.0]]) == pytest.approx(0)
    assert mean_entropy([fair, [0.0, -745.0]]) == pytest.approx(math.log(2) / 2)
    assert mean_entropy([[-9000.0, -9000.0]]) == math.log(2)


@given(TOPS)
def test_entropy_lies_between_nothing_and_the_logarithm_of_k(
    tops: list[list[float]],
) -> None:
    assert -1e-12 <= mean_entropy(tops) <= math.log(max(map(len, tops))) + 1e-12


def test_the_lowest_group_and_the_tail_of_a_hand_computed_answer() -> None:
    tops = [[-1.0, -3.0], [-1.0, -1.0], [-2.0, -2.0], [-4.0, -6.0]]

    assert lowest_group(tops, window=2) == 1.5
    assert tail(tops, window=2) == 3.5
    assert lowest_group(tops) == tail(tops) == 2.5


@given(TOPS, st.integers(1, 10))
def test_no_group_is_below_the_lowest_one(tops: list[list[float]], window: int) -> None:
    size = min(window, len(tops))
    groups = [tail(tops[at : at + size]) for at in range(len(tops) - size + 1)]

    assert lowest_group(tops, window=window) == pytest.approx(min(groups))


@pytest.mark.parametrize(
    ("top", "value"),
    [
        ([("yes", math.log(0.6)), ("no", math.log(0.2))], 0.75),
        ([(" Yes", math.log(0.3)), ("YES", math.log(0.3)), ("N", math.log(0.2))], 0.75),
        ([("y", math.log(0.5))], 1.0),
        ([("n", math.log(0.5)), ("<think>", -0.1)], 0.0),
        ([("<think>", -0.01), ("yesterday", -0.5), ("", -0.5)], None),
        ([], None),
    ],
)
def test_p_true_weighs_yes_against_no_however_they_are_cut(
    top: list[tuple[str, float]], value: float | None
) -> None:
    assert p_true(top) == (None if value is None else pytest.approx(value))


def test_verification_counts_what_is_neither_as_no_yes() -> None:
    assert share([True, True, False, None]) == 0.5
    assert share([None, None]) is None


def tokens(*texts: str) -> tuple[Token, ...]:
    return tuple(Token(text=text, logprob=-1.0) for text in texts)


def test_the_draft_is_the_end_of_what_was_read() -> None:
    read = tokens("<user>", "Why?", "\n", "Use", " a", " lock", ".")

    assert drafted(read, "Use a lock.") == read[3:]
    assert drafted(read, " Use a\nlock. ") == read[3:]


def test_half_letters_do_not_hide_the_draft() -> None:
    read = tokens("<user>", "caf", "\ufffd", "\ufffd", " bar")

    assert drafted(read, "café bar") == read[1:]


@pytest.mark.parametrize("draft", ["Use two locks.", "é", "", "Why?"])
def test_a_draft_that_was_read_otherwise_is_not_measured(draft: str) -> None:
    with pytest.raises(SignalAbsentError, match="another text than the draft"):
        drafted(tokens("<user>", "Use", " a", " lock", "."), draft)


def test_a_draft_of_many_tokens_is_found_in_no_time() -> None:
    read = tokens(*["word "] * 50_000)

    assert len(drafted(read, "word " * 49_999)) == 49_999


def test_going_in_circles_is_three_times_the_same() -> None:
    assert stalled(3, ())
    assert stalled(0, ["run x 1", "run x 2", "else", "run x 3"])
    assert not stalled(2, ["a", "a", "b"])
