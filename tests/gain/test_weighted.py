"""IPW, Hájek and AIPW against all draws that there could have been."""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.gain.aipw import LEAST_OTHERS, aipw, aipw_scores
from ask_expert.gain.hajek import hajek, hajek_scores
from ask_expert.gain.ipw import ipw, ipw_scores
from ask_expert.gain.newcombe import newcombe
from ask_expert.gain.observations import Observation, Unit, units
from ask_expert.gain.scores import mean_variance
from tests.gain.rows import LAW, arm, drawn

Task = tuple[float, bool, bool, str]
"""Propensity, outcome if escalated, outcome if not, stratum."""

TASKS = st.tuples(
    st.sampled_from([0.3, 0.5, 0.9]),
    st.booleans(),
    st.booleans(),
    st.sampled_from("ab"),
)


@pytest.mark.parametrize("scores", [ipw_scores, aipw_scores])
@LAW
@given(tasks=st.lists(TASKS, min_size=2, max_size=8))
def test_over_all_draws_the_mean_estimate_is_the_gain(
    scores: Callable[[Sequence[Unit]], list[float]], tasks: list[Task]
) -> None:
    expected = 0.0
    for arms in itertools.product((True, False), repeat=len(tasks)):
        chance, known = 1.0, list[Unit]()
        for treated, (propensity, expert, local, stratum) in zip(
            arms, tasks, strict=True
        ):
            chance *= propensity if treated else 1 - propensity
            solved = float(expert if treated else local)
            known.append(Unit(treated, propensity, solved, 0, stratum))
        expected += chance * math.fsum(scores(known)) / len(known)

    gain = sum(expert - local for _, expert, local, _ in tasks) / len(tasks)
    assert expected == pytest.approx(gain, abs=1e-9)


def test_with_enough_others_in_its_stratum_a_task_is_expected_to_be_like_them() -> None:
    own = [Unit(True, 0.5, 1.0, 0, "easy") for _ in range(LEAST_OTHERS + 1)]
    rest = [Unit(True, 0.5, 0.0, 0, "hard"), Unit(False, 0.5, 0.0, 0, "easy")]

    scores = aipw_scores([*own, *rest])

    # expected 1 and, of the only control, 0: nothing is left to be mended
    assert scores[: len(own)] == [1.0] * len(own)
    # the hard one is expected to be like the arm, which solves all the others
    assert scores[len(own)] == 1 - 0 + 2 * (0 - 1)
    # the control is the only one of its arm, of which nothing else is known
    assert scores[-1] == 1 - 0.5 - 2 * (0 - 0.5)


@LAW
@given(rows=drawn())
def test_hajek_is_the_difference_of_weighted_means_with_a_sandwich_error(
    rows: list[Observation],
) -> None:
    known = units(rows)
    treated = np.array([unit.treated for unit in known])
    weight = np.array([unit.weight for unit in known])
    solved = np.array([unit.solved for unit in known])
    means = [np.average(solved[a], weights=weight[a]) for a in (treated, ~treated)]
    sandwich = sum(
        (weight[a] ** 2 @ (solved[a] - middle) ** 2) / weight[a].sum() ** 2
        for a, middle in zip((treated, ~treated), means, strict=True)
    )

    scores = hajek_scores(known)

    n = len(known)
    assert math.fsum(scores) / n == pytest.approx(means[0] - means[1])
    assert mean_variance(scores) == pytest.approx(sandwich * n / (n - 1))


def test_in_a_balanced_hold_out_all_agree_with_the_raw_arms() -> None:
    rows = [*arm(30, 50, treated=True), *arm(15, 50, treated=False)]

    values = [each(rows).value for each in (newcombe, ipw, hajek, aipw)]

    assert values == [pytest.approx(0.3)] * 4


def test_ipw_is_the_hand_computed_mean_with_its_error() -> None:
    rows = [
        *arm(9, 12, treated=True, propensity=0.75),
        *arm(4, 10, treated=False, propensity=0.75),
    ]
    scores = [4 / 3] * 9 + [0.0] * 3 + [-4.0] * 4 + [0.0] * 6

    found = ipw(rows)

    half = 1.959964 * np.std(scores, ddof=1) / math.sqrt(22)
    assert found.value == pytest.approx(np.mean(scores))
    assert found.low == pytest.approx(np.mean(scores) - half, abs=1e-6)
    assert found.high == pytest.approx(np.mean(scores) + half, abs=1e-6)


def test_strata_make_augmented_weights_more_precise() -> None:
    rows = [
        Observation(
            task=f"{stratum} {row.task}",
            treated=row.treated,
            propensity=0.5,
            solved=row.solved,
            stratum=stratum,
        )
        for stratum, (one, other) in {"easy": (48, 40), "hard": (10, 2)}.items()
        for row in (*arm(one, 50, treated=True), *arm(other, 50, treated=False))
    ]

    widths = [
        (found.high or 0) - (found.low or 0) for found in (aipw(rows), hajek(rows))
    ]

    assert widths[0] < 0.8 * widths[1]
