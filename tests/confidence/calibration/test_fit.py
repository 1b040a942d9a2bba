import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ask_expert.confidence.calibration import metrics
from ask_expert.confidence.calibration.combine import fitted
from ask_expert.confidence.calibration.fit import calibrated, cross_fitted, method_for
from ask_expert.confidence.calibration.folds import clusters, folds
from ask_expert.confidence.calibration.metrics import Floats


def sample(count: int, seed: int = 0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    values = rng.random(count)
    return values, (rng.random(count) < values**2).astype(float)


@pytest.mark.parametrize(
    ("count", "method"),
    [(0, None), (49, None), (50, "logistic"), (199, "logistic"), (200, "isotonic")],
)
def test_how_many_outcomes_decide_what_is_fitted(
    count: int, method: str | None
) -> None:
    curve = calibrated(*sample(count))

    assert method_for(count) == method
    assert (curve.method if curve else None) == method


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from([60, 250]))
def test_a_surer_signal_never_gets_a_smaller_probability(seed: int, count: int) -> None:
    curve = calibrated(*sample(count, seed))

    assert curve is not None
    heights = curve(np.linspace(-0.5, 1.5, 101))
    assert (np.diff(heights) >= 0).all()
    assert (heights > 0).all()
    assert (heights < 1).all()


@pytest.mark.parametrize("count", [60, 300])
def test_an_inverted_signal_is_not_used_upside_down(count: int) -> None:
    values, right = sample(count)

    curve = calibrated(-values, right)

    assert curve is not None
    heights = curve(np.linspace(-1, 0, 11))
    assert np.ptp(heights) < 0.12


def test_beside_a_better_signal_none_gets_a_negative_weight() -> None:
    rng = np.random.default_rng(5)
    truth = rng.normal(size=500)
    right = (rng.random(500) < 1 / (1 + np.exp(-3 * truth))).astype(float)
    noisy = truth + rng.normal(size=500)
    correction = noisy - truth

    line = fitted(np.column_stack([noisy, correction]), right)
    free = fitted(np.column_stack([noisy, correction]), right, rising=False)

    assert line is not None
    assert free is not None
    assert free.weights[1] < 0
    assert line.weights[1] == 0


def test_outcomes_all_the_same_are_not_calibrated() -> None:
    values, _ = sample(300)

    assert calibrated(values, np.ones(300)) is None


def test_calibration_makes_an_overconfident_signal_honest() -> None:
    values, right = sample(2000)

    out = cross_fitted(values[:, None], right, np.arange(len(right)), folds=5, seed=1)

    assert out is not None
    assert metrics.ece(values, right) > 0.1
    assert metrics.ece(out, right) < 0.05


def test_a_name_that_only_one_task_has_cannot_raise_the_rank_out_of_fold() -> None:
    rng = np.random.default_rng(7)
    tasks = np.repeat(np.arange(60), 5)
    right = (rng.random(60) < 0.5).astype(float)[tasks]
    leaky = right + rng.normal(size=60)[tasks] * 0.01
    unique = rng.permutation(60)[tasks].astype(float)

    inside = calibrated(unique, right)
    out = cross_fitted(
        unique[:, None], right, clusters(tasks.tolist()), folds=5, seed=0
    )
    told = cross_fitted(
        leaky[:, None], right, clusters(tasks.tolist()), folds=5, seed=0
    )

    assert inside is not None
    assert out is not None
    assert told is not None
    honest = metrics.auroc(out, right, groups=tasks.tolist())
    assert honest.low is not None
    assert honest.low < 0.5
    assert (metrics.auroc(told, right).value or 0) > 0.95


@settings(deadline=None)
@given(st.lists(st.integers(0, 8), min_size=1, max_size=60), st.integers(2, 6))
def test_a_fold_holds_whole_clusters_and_every_row(
    labels: list[int], count: int
) -> None:
    cluster = clusters(labels)

    fold = folds(cluster, count, np.random.default_rng(0))

    assert len(fold) == len(labels)
    assert len(set(fold.tolist())) == min(count, len(set(labels)))
    for label in set(labels):
        mine = {int(f) for f, each in zip(fold, labels, strict=True) if each == label}
        assert len(mine) == 1


def test_rows_that_share_any_label_share_a_cluster() -> None:
    found = clusters(["a", "a", "b", "c", "d"], ["x", "y", "y", "z", "w"])

    assert found.tolist() == [0, 0, 0, 1, 2]
