import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.confidence.votes import ENOUGH, Votes, further, majority

stats = pytest.importorskip("scipy.stats")

COUNTS = st.lists(st.integers(1, 20), min_size=1, max_size=5)


def test_shares_margin_and_entropy_of_a_hand_computed_case() -> None:
    votes = Votes(groups=(0, 0, 0, 1, None))

    assert votes.share == pytest.approx(0.6)
    assert votes.margin == pytest.approx(0.4)
    assert votes.entropy == pytest.approx(-0.6 * math.log(0.6) - 0.4 * math.log(0.2))


def test_a_tie_has_no_margin() -> None:
    votes = Votes(groups=(0, 1, 0, 1))

    assert (votes.share, votes.margin) == (0.5, 0.0)


@given(COUNTS)
def test_votes_stay_in_their_ranges_and_agreement_has_no_entropy(
    counts: list[int],
) -> None:
    votes = Votes(
        groups=tuple(n for n, count in enumerate(counts) for _ in range(count))
    )

    assert 1 / sum(counts) <= votes.share <= 1
    assert 0 <= votes.margin <= votes.share
    assert -1e-12 <= votes.entropy <= math.log(sum(counts)) + 1e-12
    assert (votes.share == 1) == (len(counts) == 1)


@pytest.mark.parametrize(
    ("first", "second", "probability"),
    [(0, 0, 1 / 2), (3, 0, 15 / 16), (4, 0, 31 / 32), (2, 1, 11 / 16), (5, 5, 1 / 2)],
)
def test_the_majority_is_the_beta_tail(
    first: int, second: int, probability: float
) -> None:
    assert majority(first, second) == probability


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_majority_agrees_with_scipy_and_swapping_is_the_rest(
    first: int, second: int
) -> None:
    assert majority(first, second) == pytest.approx(
        stats.beta.sf(0.5, first + 1, second + 1)
    )
    assert majority(first, second) + majority(second, first) == pytest.approx(1)


@pytest.mark.parametrize(
    ("counts", "left", "more"),
    [
        ((), 5, 4),
        ((), 3, 3),
        ((4,), 1, 0),
        ((3, 1), 6, 3),
        ((3, 1), 1, 1),
        ((2, 2), 0, 0),
    ],
)
def test_so_many_samples_are_taken_next(
    counts: tuple[int, ...], left: int, more: int
) -> None:
    assert further(counts, left=left) == more


@given(COUNTS, st.integers(0, 10))
def test_never_more_are_taken_than_may_be_and_none_in_vain(
    counts: list[int], left: int
) -> None:
    counts = sorted(counts, reverse=True)
    second = counts[1] if len(counts) > 1 else 0

    more = further(counts, left=left)

    assert 0 <= more <= left
    assert all(majority(counts[0] + fewer, second) < ENOUGH for fewer in range(more))
