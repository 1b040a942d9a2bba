"""Confidence sequences against the formulae of their papers, done the long way."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.gain.asymptotic import LEAST, asymptotic, asymptotic_half
from ask_expert.gain.betting import betting, betting_interval, wealth
from ask_expert.gain.empirical_bernstein import (
    bernstein_interval,
    bernstein_steps,
    empirical_bernstein,
)
from ask_expert.gain.observations import Observation, Unit, units
from ask_expert.gain.sequence import BET, CROSSED, Bounded, bets, running_scores
from tests.gain.rows import LAW, arm, drawn, rng

ALPHA = 0.05
UNIT_SCORES = st.lists(
    st.sampled_from([0.0, 0.1, 0.4, 0.5, 0.9, 1.0]), min_size=1, max_size=30
)


def on_unit(values: list[float]) -> list[Bounded]:
    return [Bounded(value, 0.0, 1.0) for value in values]


def stakes(values: list[float]) -> tuple[list[float], list[float]]:
    """Return stakes and expectations on [0, 1] as the paper writes them."""
    lam: list[float] = []
    mu: list[float] = []
    for t in range(1, len(values) + 1):
        seen = values[: t - 1]
        means = [(0.5 + sum(values[:i])) / (i + 1) for i in range(1, t)]
        spread = sum((x - m) ** 2 for x, m in zip(seen, means, strict=True))
        variance = (0.25 + spread) / t
        lam.append(
            min(
                math.sqrt(2 * math.log(2 / ALPHA) / (variance * t * math.log(1 + t))),
                0.5,
            )
        )
        mu.append((0.5 + sum(seen)) / t)
    return lam, mu


@LAW
@given(UNIT_SCORES)
def test_bets_are_those_of_the_paper(values: list[float]) -> None:
    lam, mu = stakes(values)

    found = bets(on_unit(values))

    assert [bet.stake for bet in found] == pytest.approx(lam)
    assert [bet.expected for bet in found] == pytest.approx(mu)


@LAW
@given(UNIT_SCORES)
def test_bernstein_is_the_closed_form_with_every_look_agreeing(
    values: list[float],
) -> None:
    lam, mu = stakes(values)
    low, high, middle = 0.0, 1.0, 0.5
    for t in range(1, len(values) + 1):
        total = sum(lam[:t])
        middle = sum(a * x for a, x in zip(lam, values[:t], strict=False)) / total
        slack = sum(
            (x - m) ** 2 * (-math.log(1 - a) - a)
            for x, m, a in zip(values[:t], mu, lam, strict=False)
        )
        half = (math.log(2 / ALPHA) + slack) / total
        low, high = max(low, middle - half), min(high, middle + half)

    found = bernstein_interval(on_unit(values), within=(0, 1), start=None)

    assert found == pytest.approx((middle, low, high))


@LAW
@given(UNIT_SCORES)
def test_betting_keeps_what_a_grid_of_hedged_bets_keeps(values: list[float]) -> None:
    lam, _ = stakes(values)
    grid = np.linspace(0, 1, 2001)[1:-1]
    up, down = np.ones_like(grid), np.ones_like(grid)
    kept = np.ones_like(grid, dtype=bool)
    for x, a in zip(values, lam, strict=True):
        up = up * (1 + np.minimum(a, BET / grid) * (x - grid))
        down = down * (1 - np.minimum(a, BET / (1 - grid)) * (x - grid))
        kept &= np.maximum(up, down) / 2 < 1 / ALPHA

    low, high = betting_interval(on_unit(values), within=(0, 1), start=None)

    assert low <= grid[kept].min() <= low + 0.0006
    assert high - 0.0006 <= grid[kept].max() <= high


@LAW
@given(UNIT_SCORES, st.floats(0.01, 0.98))
def test_the_higher_the_mean_the_poorer_is_who_bets_above_it(
    values: list[float], at: float
) -> None:
    placed = bets(on_unit(values))

    assert wealth(placed, at, upwards=True) >= wealth(placed, at + 0.01, upwards=True)
    assert wealth(placed, at, upwards=False) <= wealth(placed, at + 0.01, upwards=False)


@LAW
@given(UNIT_SCORES, st.sampled_from([0.1, 3.0, 11.0]), st.sampled_from([-10.0, 0.0]))
def test_other_units_of_the_scores_give_the_same_ends(
    values: list[float], width: float, low: float
) -> None:
    scaled = [Bounded(low + width * x, low, low + width) for x in values]
    border = (low, low + width)

    plain = betting_interval(on_unit(values), within=(0, 1), start=None)
    found = betting_interval(scaled, within=border, start=None)

    assert found == pytest.approx([low + width * end for end in plain], abs=1e-6)
    _, *plain_ends = bernstein_interval(on_unit(values), within=(0, 1), start=None)
    _, *ends = bernstein_interval(scaled, within=border, start=None)
    assert ends == pytest.approx([low + width * end for end in plain_ends], abs=1e-6)


@LAW
@given(drawn())
def test_scores_lie_within_bounds_that_hold_every_gain_there_can_be(
    rows: list[Observation],
) -> None:
    for score in running_scores(units(rows)):
        assert score.low - 1e-9 <= score.value <= score.high + 1e-9
        assert score.low <= -1 + 1e-9
        assert score.high >= 1 - 1e-9


@LAW
@given(st.lists(st.booleans(), max_size=4), st.booleans(), st.booleans())
def test_whatever_came_before_a_score_expects_the_gain(
    before: list[bool], expert: bool, local: bool
) -> None:
    past = [Unit(n % 2 == 0, 0.7, float(won), 0, "") for n, won in enumerate(before)]
    one = Unit(True, 0.7, float(expert), 0, "")
    other = Unit(False, 0.7, float(local), 0, "")

    expected = 0.7 * running_scores([*past, one])[-1].value + (
        0.3 * running_scores([*past, other])[-1].value
    )

    assert expected == pytest.approx(expert - local)


def test_the_asymptotic_half_width_is_the_published_formula() -> None:
    rho2 = (-2 * math.log(0.05) + math.log(1 - 2 * math.log(0.05))) / 500
    inner = (300 * rho2 + 1) / (300**2 * rho2) * math.log((300 * rho2 + 1) / 0.05**2)

    assert asymptotic_half(300, 0.8) == pytest.approx(0.8 * math.sqrt(inner))


@pytest.mark.parametrize(("control", "given_"), [(LEAST - 1, False), (LEAST, True)])
def test_the_asymptotic_sequence_needs_large_arms(control: int, given_: bool) -> None:
    rows = [*arm(60, 100, treated=True), *arm(30, control, treated=False)]

    found = asymptotic(rows)

    assert (found.value is not None) == given_
    assert ("needs 100 known outcomes in each arm" in found.note) != given_


def test_where_outcomes_drift_the_ends_cross_and_it_says_so() -> None:
    good = [*arm(200, 200, treated=True), *arm(0, 200, treated=False)]
    bad = [*arm(0, 400, treated=True), *arm(400, 400, treated=False)]
    rng(2).shuffle(good)
    rng(3).shuffle(bad)
    rows = [
        Observation(
            task=str(number), treated=row.treated, propensity=0.5, solved=row.solved
        )
        for number, row in enumerate([*good, *bad])
    ]

    found = betting(rows)

    assert (found.value, found.low, found.high) == (None, None, None)
    assert found.note == CROSSED


def test_betting_is_narrower_than_bernstein_and_both_hold_the_gain() -> None:
    rows = [*arm(180, 300, treated=True), *arm(90, 300, treated=False)]
    rng(5).shuffle(rows)

    bet, closed = betting(rows), empirical_bernstein(rows)

    assert closed.low is not None
    assert bet.low is not None
    assert bet.high is not None
    assert closed.high is not None
    assert closed.low < bet.low < 0.3 < bet.high < closed.high


def test_a_look_never_widens_what_an_earlier_look_has_settled() -> None:
    rows = [*arm(90, 150, treated=True), *arm(45, 150, treated=False)]
    rng(7).shuffle(rows)
    ends = [betting(rows[:n]) for n in range(60, 301, 40)]

    lows = [each.low for each in ends]
    highs = [each.high for each in ends]

    assert lows == sorted(lows, key=lambda low: low or 0)
    assert highs == sorted(highs, key=lambda high: -(high or 0))
    assert len(list(bernstein_steps(running_scores(units(rows))))) == 300
