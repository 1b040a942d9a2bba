from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.confidence.calibration.guarantee import certify, upper_bound


@given(st.integers(0, 12), st.integers(1, 12), st.sampled_from([0.05, 0.1, 0.2]))
def test_the_bound_leaves_as_few_mistakes_the_stated_chance(
    wrong: int, more: int, error: float
) -> None:
    count = wrong + more

    bound = upper_bound(wrong, count, error)

    tail = sum(
        comb(count, k) * bound**k * (1 - bound) ** (count - k) for k in range(wrong + 1)
    )
    assert tail == pytest.approx(error, abs=1e-9)


def test_all_wrong_bounds_nothing() -> None:
    assert upper_bound(4, 4, 0.1) == 1.0


def test_the_promise_is_broken_no_more_often_than_stated() -> None:
    broken = kept = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        confidence = np.round(rng.random(400), 2)
        right = (rng.random(400) < confidence).astype(float)
        found = certify(confidence, right, risk=0.2, error=0.1)
        if found.bar is not None:
            kept += 1
            bars = np.round(np.arange(0, 101) / 100, 2)
            true_risk = 1 - bars[bars >= found.bar].mean()
            broken += true_risk > 0.2

    assert kept > 200
    assert broken / 300 <= 0.1


def test_a_signal_that_says_nothing_certifies_nothing() -> None:
    rng = np.random.default_rng(1)
    right = (rng.random(500) < 0.5).astype(float)

    found = certify(rng.random(500), right, risk=0.1, error=0.1)

    assert found.bar is None
    assert found.kept == 0
    assert found.reason.startswith("cannot certify at most 0.1 wrong")


def test_too_few_outcomes_certify_nothing() -> None:
    found = certify(np.ones(10), np.ones(10), risk=0.1, error=0.1)

    assert found.bar is None
    assert "at least 22 outcomes" in found.reason


@pytest.mark.parametrize(("risk", "error"), [(0, 0.1), (1, 0.1), (0.1, 0), (0.1, 1)])
def test_a_risk_or_error_beyond_its_range_is_an_error(
    risk: float, error: float
) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        certify(np.ones(1), np.ones(1), risk=risk, error=error)
