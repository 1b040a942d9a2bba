"""What is read from questions of which both sides are graded."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.gain.bootstrap import bootstrap, percentiles
from ask_expert.gain.mcnemar import mcnemar, sign_test
from ask_expert.gain.observations import Observation, pairs
from ask_expert.gain.paired import paired
from ask_expert.gain.rates import harm_rate
from ask_expert.gain.regret import regret
from tests.gain.rows import LAW, graded, rng

stats = pytest.importorskip("scipy.stats")


def table(
    *, both: int, recovered: int, harmed: int, neither: int, cost_nusd: int = 10
) -> list[Observation]:
    """Return escalated pairs, each a task of its own."""
    sides = (
        [(True, True)] * both
        + [(True, False)] * recovered
        + [(False, True)] * harmed
        + [(False, False)] * neither
    )
    return [
        Observation(
            task=str(number),
            treated=True,
            solved=expert,
            local_solved=local,
            cost_nusd=cost_nusd,
            paired=True,
        )
        for number, (expert, local) in enumerate(sides)
    ]


@LAW
@given(st.integers(0, 60), st.integers(0, 60))
def test_the_sign_test_is_the_exact_binomial_one(one: int, other: int) -> None:
    expected = stats.binomtest(one, one + other).pvalue if one + other else 1.0

    assert sign_test(one, other) == pytest.approx(expected)
    assert sign_test(one, other) == sign_test(other, one)


def test_a_thousand_pairs_that_differ_overflow_nothing() -> None:
    assert sign_test(1000, 800) == pytest.approx(stats.binomtest(1000, 1800).pvalue)


def test_mcnemar_counts_the_four_kinds_of_pairs() -> None:
    found = mcnemar(pairs(table(both=5, recovered=9, harmed=2, neither=4)))

    assert (found.both, found.recovered, found.harmed, found.neither) == (5, 9, 2, 4)
    assert found.p_value == pytest.approx(67 * 2 / 2048)


def test_the_paired_gain_is_recovered_less_harmed_over_all_pairs() -> None:
    rows = table(both=30, recovered=40, harmed=10, neither=20)

    found = paired(rows, rng())

    assert found.value == pytest.approx(0.3)
    assert found.low is not None
    assert found.high is not None
    assert found.low == pytest.approx(0.18, abs=0.02)
    assert found.high == pytest.approx(0.42, abs=0.02)
    assert found.evidence.design == "pairs"


def test_the_bootstrap_agrees_with_scipy_up_to_chance() -> None:
    differences = [1.0] * 40 + [-1.0] * 10 + [0.0] * 50

    found = bootstrap(
        [(each,) for each in differences], lambda total: total[0] / 100, rng()
    )

    reference = stats.bootstrap(
        (differences,), np.mean, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert found == pytest.approx((reference.low, reference.high), abs=0.02)


@LAW
@given(st.lists(st.floats(-10, 10), min_size=1, max_size=30))
def test_percentiles_are_those_of_numpy(values: list[float]) -> None:
    assert percentiles(values, level=0.9) == pytest.approx(
        tuple(np.quantile(values, [0.05, 0.95])), abs=1e-9
    )


def test_there_is_nothing_to_resample_without_a_task() -> None:
    with pytest.raises(ValueError, match="there is no task"):
        bootstrap([], lambda total: total[0], rng())


def test_pairs_of_one_task_are_drawn_together_so_that_they_widen_the_interval() -> None:
    alone = table(both=0, recovered=60, harmed=0, neither=60)
    together = [
        Observation(
            task=str(number // 6),
            treated=True,
            solved=row.solved,
            local_solved=row.local_solved,
        )
        for number, row in enumerate(alone)
    ]

    widths = [
        (found.high or 0) - (found.low or 0)
        for found in (paired(rows, rng()) for rows in (together, alone))
    ]

    assert widths[0] > 2 * widths[1]


def test_the_same_chance_gives_the_same_interval() -> None:
    rows = table(both=3, recovered=9, harmed=2, neither=6)

    assert paired(rows, rng(7)) == paired(rows, rng(7))


@pytest.mark.parametrize(
    ("kind", "value"), [("both", 0.0), ("recovered", 1.0), ("harmed", -1.0)]
)
def test_pairs_that_are_all_alike_never_promise_certainty(
    kind: str, value: float
) -> None:
    counts = {"both": 0, "recovered": 0, "harmed": 0, "neither": 0} | {kind: 20}

    found = paired(table(**counts), rng(), draws=50)

    assert found.value == value
    assert found.low is not None
    assert found.high is not None
    assert found.low <= value <= found.high
    assert found.high - found.low > 0.15


@pytest.mark.parametrize("count", [0, 1, 9])
def test_fewer_than_ten_tasks_are_not_enough(count: int) -> None:
    rows = table(both=0, recovered=count, harmed=0, neither=0)

    found, behind = paired(rows, rng()), regret(rows, rng())

    assert found.value is None
    assert found.note == (
        f"Not enough data: pairs of {count} tasks, and 10 are needed; {10 - count} more."
    )
    assert behind.solved.value is None
    assert behind.solved.low is None


def test_regret_counts_what_an_oracle_would_have_done() -> None:
    escalated = table(both=5, recovered=10, harmed=3, neither=2, cost_nusd=10**9)
    local = [
        Observation(
            task=f"local {number}",
            treated=False,
            solved=False,
            expert_solved=number < 4,
        )
        for number in range(20)
    ]

    found = regret([*escalated, *local], rng())

    assert found.solved.value == pytest.approx((3 + 4) / 40)
    assert found.same_calls.value == pytest.approx((14 - (10 - 3)) / 40)
    assert (found.missed, found.harmed) == (4, 3)
    assert found.needless_usd == Decimal(10)
    assert found.solved.low is not None
    assert found.solved.low < 7 / 40 < (found.solved.high or 0)


def test_with_no_more_calls_an_oracle_cannot_take_every_gain() -> None:
    escalated = table(both=10, recovered=0, harmed=0, neither=0)
    local = [
        Observation(task=f"l{n}", treated=False, solved=False, expert_solved=True)
        for n in range(30)
    ]

    found = regret([*escalated, *local], rng())

    assert found.solved.value == pytest.approx(30 / 40)
    assert found.same_calls.value == pytest.approx(10 / 40)


@LAW
@given(graded())
def test_regret_is_never_below_zero_nor_below_that_of_fewer_calls(
    rows: list[Observation],
) -> None:
    found = regret(rows, rng(), draws=20)

    assert found.solved.value is not None
    assert found.same_calls.value is not None
    assert 0 <= found.same_calls.value <= found.solved.value <= 1


@LAW
@given(graded())
def test_harm_is_the_share_of_harmed_pairs(rows: list[Observation]) -> None:
    counts = mcnemar(pairs(rows))
    total = counts.both + counts.recovered + counts.harmed + counts.neither

    assert harm_rate(rows).value == counts.harmed / total
