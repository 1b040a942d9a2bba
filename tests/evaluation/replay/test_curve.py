from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ask_expert.confidence.calibration.metrics import Floats
from ask_expert.evaluation.replay import bootstrap, curve
from ask_expert.evaluation.replay.curve import Costs

ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(0, 1)),
    min_size=2,
    max_size=6,
)


def columns(rows: list[tuple[int, int, int]]) -> tuple[Floats, Floats, Floats]:
    table = np.array(rows, dtype=float)
    return table[:, 0], table[:, 1], table[:, 2]


def free(count: int) -> Costs:
    return Costs(weak=np.zeros(count), strong=np.ones(count), unit="calls")


@settings(deadline=None, max_examples=40)
@given(ROWS)
def test_a_tie_is_worth_what_breaking_it_by_chance_gives_on_average(
    rows: list[tuple[int, int, int]],
) -> None:
    score, weak, strong = columns(rows)

    found = curve.apgr(curve.curve(score, weak, strong, free(len(rows))))

    gap = float(strong.mean() - weak.mean())
    if gap <= 0:
        assert found is None
        return
    areas: list[float] = []
    for order in permutations(range(len(rows))):
        if all(score[a] >= score[b] for a, b in pairwise(order)):
            won = np.r_[0.0, np.cumsum([strong[i] - weak[i] for i in order])]
            areas.append(float(np.trapezoid(won / (gap * len(rows)), dx=1 / len(rows))))
    assert found == pytest.approx(np.mean(areas))


@given(ROWS)
def test_random_calls_win_back_half_and_the_oracle_at_least_that(
    rows: list[tuple[int, int, int]],
) -> None:
    score, weak, strong = columns(rows)
    costs = free(len(rows))

    drawn = curve.curve(np.zeros(len(rows)), weak, strong, costs)
    best = curve.curve(strong - weak, weak, strong, costs)
    ours = curve.curve(score, weak, strong, costs)

    if strong.mean() > weak.mean():
        assert curve.apgr(drawn) == pytest.approx(0.5)
        assert curve.cpt(drawn, 0.8) == pytest.approx(0.8)
        assert (curve.apgr(best) or 0) >= (curve.apgr(ours) or 0) - 1e-9
        assert (curve.cpt(best, 0.5) or 0) <= (curve.cpt(ours, 0.5) or 1) + 1e-9


def test_the_first_crossing_counts_where_the_expert_does_harm_later() -> None:
    weak, strong = np.array([0.0, 0.0, 1.0, 0.0]), np.array([1.0, 1.0, 0.0, 1.0])
    score = np.array([4.0, 3.0, 2.0, 1.0])

    found = curve.curve(score, weak, strong, free(4))

    assert curve.cpt(found, 0.5) == pytest.approx(0.25)
    assert curve.calls_at(found, 0.75) == pytest.approx(0.5)
    assert curve.calls_at(found, 0.8) is None


def test_the_local_model_is_paid_for_on_every_row() -> None:
    costs = Costs(weak=np.full(4, 0.1), strong=np.arange(1.0, 5.0), unit="USD")

    found = curve.curve(np.arange(4.0), np.zeros(4), np.ones(4), costs)

    assert found.cost.tolist() == pytest.approx([0.1, 1.1, 1.85, 2.35, 2.6])
    assert curve.cost_at(found, 0.25) == pytest.approx(1.1)


def test_a_resample_that_draws_each_row_once_gives_the_curves_own_figures() -> None:
    rng = np.random.default_rng(2)
    score = np.round(rng.random(200), 1)
    weak = (rng.random(200) < 0.5).astype(float)
    strong = (rng.random(200) < 0.8).astype(float)
    costs = Costs(weak=rng.random(200), strong=rng.random(200), unit="USD")
    rows = bootstrap.Rows(
        weak=weak, strong=strong, costs=costs, cluster=np.arange(200), share=0.95
    )

    found = bootstrap.Walk(score, rows).figures(np.ones(200))

    whole = curve.curve(score, weak, strong, costs)
    aim = 0.95 * whole.strong
    assert found["apgr"] == pytest.approx(curve.apgr(whole))
    assert found["cpt50"] == pytest.approx(curve.cpt(whole, 0.5))
    assert found["cpt80"] == pytest.approx(curve.cpt(whole, 0.8))
    assert found["calls_at_95"] == pytest.approx(curve.calls_at(whole, aim))
    assert found["cost_at_95"] == pytest.approx(curve.cost_at(whole, aim))


def test_equal_rankings_differ_by_nothing_in_every_resample() -> None:
    rng = np.random.default_rng(2)
    score, weak = rng.random(100), (rng.random(100) < 0.5).astype(float)
    rows = bootstrap.Rows(
        weak=weak,
        strong=np.ones(100),
        costs=free(100),
        cluster=np.arange(100) // 2,
        share=0.95,
    )

    found = bootstrap.resampled({"a": score, "b": score * 2}, rows, count=50, seed=1)

    assert (found["a"]["apgr"] == found["b"]["apgr"]).all()
    assert found["a"]["apgr"].std() > 0
