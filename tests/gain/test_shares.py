"""Wilson, Newcombe, and the shares that are no gain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.gain.estimate import normal_quantile
from ask_expert.gain.newcombe import newcombe, newcombe_interval
from ask_expert.gain.observations import Observation
from ask_expert.gain.rates import harm_rate, needless_rate, solved_after, unknown_share
from ask_expert.gain.wilson import wilson
from tests.gain.rows import LAW, arm

stats = pytest.importorskip("scipy.stats")


@LAW
@given(st.integers(1, 500), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_agrees_with_scipy(n: int, part: float, level: float) -> None:
    hits = round(n * part)

    found = wilson(hits / n, n, level=level)

    reference = stats.binomtest(hits, n).proportion_ci(level, method="wilson")
    assert found == pytest.approx((reference.low, reference.high), abs=1e-12)


def test_nothing_counted_could_be_any_share_and_no_share_is_refused() -> None:
    assert wilson(0.5, 0) == (0, 1)
    with pytest.raises(ValueError, match="no share"):
        wilson(1.1, 10)
    with pytest.raises(ValueError, match="a level lies between 0 and 1, got 1"):
        normal_quantile(1)


@pytest.mark.parametrize(
    ("one", "of_one", "other", "of_other", "low", "high"),
    [
        (56, 70, 48, 80, 0.0524, 0.3339),
        (9, 10, 3, 10, 0.1705, 0.8090),
        (5, 56, 0, 29, -0.0381, 0.1926),
        (0, 10, 0, 20, -0.1611, 0.2775),
        (10, 10, 0, 20, 0.6791, 1.0),
    ],
)
def test_newcombe_gives_the_published_intervals_of_method_10(
    one: int, of_one: int, other: int, of_other: int, low: float, high: float
) -> None:
    found = newcombe_interval((one / of_one, of_one), (other / of_other, of_other))

    assert found == pytest.approx((low, high), abs=6e-5)


def test_newcombe_reads_the_raw_arms() -> None:
    rows = [
        *arm(56, 70, treated=True, unknown=5),
        *arm(48, 80, treated=False, unknown=2),
    ]

    found = newcombe(rows)

    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=6e-5)
    assert (found.n_treated, found.n_control, found.evidence.unknown) == (70, 80, 7)


def test_where_the_propensity_varies_raw_arms_are_not_compared() -> None:
    rows = [
        *arm(9, 20, treated=True, propensity=0.9),
        *arm(9, 20, treated=False, propensity=0.5),
    ]

    found = newcombe(rows)

    assert (found.value, found.low, found.high) == (None, None, None)
    assert "read Hájek or AIPW" in found.note


def test_solved_after_is_a_share_that_says_it_is_no_gain() -> None:
    found = solved_after(
        [*arm(6, 8, treated=True, unknown=2), *arm(1, 9, treated=False)]
    )

    assert found.value == 0.75
    assert (found.low, found.high) == wilson(0.75, 8)
    assert found.note.startswith("Not a gain")
    assert (found.evidence.design, found.evidence.unknown) == ("escalated", 2)


def test_questions_of_one_task_are_not_more_evidence_than_the_task() -> None:
    rows = [
        Observation(
            task=f"t{number // 4}", treated=True, solved=True, local_solved=number < 2
        )
        for number in range(40)
    ]
    wrong = [
        Observation(task="w", treated=True, solved=False, local_solved=True)
        for _ in range(10)
    ]

    harmed, needless = harm_rate(rows + wrong), needless_rate(rows + wrong)

    assert (harmed.value, needless.value) == (0.2, 0.24)
    assert (harmed.low, harmed.high) == wilson(0.2, 11)
    assert harmed.note == "The interval counts 11 tasks."


def test_the_share_of_the_unknown_has_an_interval_and_nothing_has_none() -> None:
    assert unknown_share(arm(3, 6, treated=True, unknown=2)).value == 0.25
    assert harm_rate([]).note == "Not enough data: no known outcome."
