import numpy as np
import pytest

from ask_expert.confidence.calibration.gate import judge
from ask_expert.confidence.calibration.metrics import Floats


def outcomes(seed: int, count: int = 200, rate: float = 0.6) -> Floats:
    return (np.random.default_rng(seed).random(count) < rate).astype(float)


@pytest.mark.parametrize("count", [60, 300])
def test_noise_passes_no_more_often_than_is_stated(count: int) -> None:
    used = 0
    for seed in range(200):
        right = outcomes(seed, count)
        noise = np.random.default_rng(10_000 + seed).normal(size=count)
        used += judge("noise", noise, right).used

    assert used <= 0.05 * 200


def test_a_signal_that_ranks_is_used() -> None:
    right = outcomes(1)
    values = right + np.random.default_rng(2).normal(size=len(right))

    found = judge("vote_share", values, right)

    assert (found.used, found.reason) == (True, "ranks better than chance")


def test_a_signal_worse_than_chance_is_off_and_not_turned_upside_down() -> None:
    right = outcomes(1)
    values = -right + np.random.default_rng(2).normal(size=len(right))

    found = judge("p_true", values, right)

    assert found.auroc.high is not None
    assert found.auroc.high < 0.5
    assert not found.used
    assert "not turned upside down" in found.reason


@pytest.mark.parametrize(
    ("right", "reason"),
    [
        (np.ones(50), "all outcomes are right"),
        (np.zeros(50), "all outcomes are wrong"),
        (np.zeros(0), "there is no outcome"),
        (np.r_[np.zeros(9), np.ones(50)], "only 9 outcomes are wrong; 10 are needed"),
        (np.r_[np.zeros(50), np.ones(3)], "only 3 outcomes are right; 10 are needed"),
    ],
)
def test_too_little_to_go_by_switches_a_signal_off(right: Floats, reason: str) -> None:
    found = judge("vote_share", right + 0.5, right)

    assert (found.used, found.reason) == (False, reason)
