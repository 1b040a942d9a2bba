import numpy as np
import pytest

from ask_expert.confidence.calibration.drift import check


def test_a_calibration_that_holds_is_seldom_called_drifted_however_often_one_looks() -> (
    None
):
    alarms = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        promised = rng.random(600)
        came = (rng.random(600) < promised).astype(float)
        alarms += any(
            check(promised[:count], came[:count]).drifted
            for count in range(30, 601, 10)
        )

    assert alarms <= 0.05 * 200


@pytest.mark.parametrize("shift", [-0.25, 0.25])
def test_one_that_no_longer_holds_is_found(shift: float) -> None:
    rng = np.random.default_rng(4)
    came = (rng.random(500) < 0.5 + shift).astype(float)

    found = check(np.full(500, 0.5), came)

    assert found.drifted is True
    assert "drifted, calibrate again" in found.reason


def test_a_few_outcomes_say_nothing() -> None:
    found = check(np.full(29, 0.9), np.zeros(29))

    assert found.drifted is None
    assert found.reason == "29 new outcomes; 1 more are needed to judge"
