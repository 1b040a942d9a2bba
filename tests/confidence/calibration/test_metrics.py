import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ask_expert.confidence.calibration import metrics
from ask_expert.confidence.calibration.metrics import Floats

TIED = st.lists(
    st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40
).filter(lambda rows: len({right for _, right in rows}) == 2)


def columns(rows: list[tuple[int, bool]]) -> tuple[Floats, Floats]:
    return (
        np.array([float(score) for score, _ in rows]),
        np.array([float(right) for _, right in rows]),
    )


@given(TIED)
def test_auroc_is_the_share_of_pairs_in_order_with_ties_as_half(
    rows: list[tuple[int, bool]],
) -> None:
    scores, right = columns(rows)

    found = metrics.auroc(scores, right)

    pairs = [
        1.0 if high > low else 0.5 if high == low else 0.0
        for high, is_right in rows
        if is_right
        for low, other in rows
        if not other
    ]
    assert found.value == pytest.approx(sum(pairs) / len(pairs))


@given(TIED)
def test_turning_the_scores_around_turns_auroc_and_its_interval_around(
    rows: list[tuple[int, bool]],
) -> None:
    scores, right = columns(rows)

    one, other = metrics.auroc(scores, right), metrics.auroc(-scores, right)

    assert one.value is not None
    assert one.low is not None
    assert one.high is not None
    assert other.value == pytest.approx(1 - one.value)
    assert other.low == pytest.approx(1 - one.high)
    assert other.high == pytest.approx(1 - one.low)


def test_the_variance_is_delongs() -> None:
    rng = np.random.default_rng(3)
    right = (rng.random(60) < 0.4).astype(float)
    scores = np.round(rng.normal(size=60) + right, 1)

    found = metrics.auroc(scores, right)

    high, low = scores[right == 1], scores[right == 0]
    psi = (high[:, None] > low) + 0.5 * (high[:, None] == low)
    variance = psi.mean(1).var(ddof=1) / len(high) + psi.mean(0).var(ddof=1) / len(low)
    assert found.value == pytest.approx(psi.mean())
    assert found.low == pytest.approx(psi.mean() - 1.959964 * np.sqrt(variance))


def test_ten_reports_on_one_task_are_not_ten_pieces_of_evidence() -> None:
    rng = np.random.default_rng(1)
    right = np.repeat((rng.random(40) < 0.5).astype(float), 10)
    scores = np.repeat(rng.normal(size=40), 10) + right

    alone = metrics.auroc(scores, right)
    grouped = metrics.auroc(scores, right, groups=np.repeat(np.arange(40), 10).tolist())

    assert alone.low is not None
    assert grouped.low is not None
    assert grouped.low < alone.low - 0.02


def test_perfect_order_of_few_outcomes_is_no_certainty() -> None:
    scores, right = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 0.0, 1.0, 1.0])

    found = metrics.auroc(scores, right)

    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.025**0.5)


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_outcomes_all_the_same_have_no_auroc(outcome: float) -> None:
    found = metrics.auroc(np.arange(5.0), np.full(5, outcome))

    assert (found.value, found.low, found.high) == (None, None, None)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60),
    st.integers(1, 15),
)
def test_the_calibration_error_is_that_of_its_definition(
    rows: list[tuple[float, bool]], bins: int
) -> None:
    promised = np.array([each for each, _ in rows])
    right = np.array([float(each) for _, each in rows])

    found = metrics.ece(promised, right, bins=bins)

    whole = 0.0
    for number in range(bins):
        inside = [
            (p, y)
            for p, y in zip(promised, right, strict=True)
            if min(int(p * bins), bins - 1) == number
        ]
        if inside:
            gap = sum(p for p, _ in inside) - sum(y for _, y in inside)
            whole += abs(gap) / len(rows)
    assert found == pytest.approx(whole)
    assert metrics.brier(promised, right) == pytest.approx(
        sum((p - y) ** 2 for p, y in zip(promised, right, strict=True)) / len(rows)
    )


def test_the_adaptive_error_puts_as_many_outcomes_into_each_bin() -> None:
    promised = np.array([0.01, 0.02, 0.03, 0.04])
    right = np.array([0.0, 0.0, 1.0, 1.0])

    found = metrics.adaptive_ece(promised, right, bins=2)

    assert found == pytest.approx((0.03 + 1.93) / 4)
    assert metrics.ece(promised, right, bins=2) == pytest.approx(1.9 / 4)


def test_the_reliability_table_holds_every_outcome_once() -> None:
    promised = np.array([0.0, 0.1, 0.55, 0.95, 1.0])
    right = np.array([0.0, 1.0, 1.0, 1.0, 1.0])

    table = metrics.reliability(promised, right)

    assert [(row.low, row.count, row.observed) for row in table] == [
        (0.0, 1, 0.0),
        (0.1, 1, 1.0),
        (0.5, 1, 1.0),
        (0.9, 2, 1.0),
    ]
