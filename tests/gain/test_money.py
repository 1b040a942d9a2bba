"""Prices and net benefits: decimals from end to end."""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.gain.contrast import contrast
from ask_expert.gain.fieller import Means, decimal_quantile, fieller
from ask_expert.gain.icer import DOMINATED, FLATTERED, UNDEFINED, icer
from ask_expert.gain.net_benefit import acceptability, net_benefit
from ask_expert.gain.observations import Observation, units
from ask_expert.gain.recovered import price_per_recovered
from tests.gain.rows import LAW, arm, drawn, known
from tests.gain.test_pairs import table

CENT = 10_000_000


def hold_out(one: int, other: int, *, cost_nusd: int = 5 * CENT) -> list[Observation]:
    return [
        *arm(one, 100, treated=True, cost_nusd=cost_nusd),
        *arm(other, 100, treated=False, cost_nusd=CENT),
    ]


def column(
    values: Sequence[int], scale: float
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array(values, dtype=np.float64) * scale


@LAW
@given(drawn())
def test_the_contrast_is_that_of_weighted_means_in_numpy(
    rows: list[Observation],
) -> None:
    own = units(rows)
    treated = np.array([unit.treated for unit in own])
    weight = np.array([unit.weight for unit in own])
    usd = column([unit.cost_nusd for unit in own], 1e-9)
    means = [np.average(usd[a], weights=weight[a]) for a in (treated, ~treated)]
    centred = np.where(treated, usd - means[0], usd - means[1])
    mass = np.where(treated, *(float(weight[a].sum()) for a in (treated, ~treated)))
    influence = np.where(treated, 1, -1) * weight * centred / mass
    n = len(own)

    found = contrast(own)

    assert float(found.cost) == pytest.approx(means[0] - means[1])
    assert float(found.cost_variance) == pytest.approx(
        (influence**2).sum() * n / (n - 1)
    )


AMOUNTS = st.decimals(-5, 5, places=3)
VARIANCES = st.decimals("0.001", "0.5", places=3)


@LAW
@given(AMOUNTS, AMOUNTS, VARIANCES, VARIANCES, st.decimals("-0.9", "0.9", places=2))
def test_the_ends_of_fieller_are_the_ratios_that_are_just_not_refuted(
    cost: Decimal, effect: Decimal, vc: Decimal, ve: Decimal, correlation: Decimal
) -> None:
    covariance = correlation * (vc * ve).sqrt()
    means = Means(
        cost=cost,
        effect=effect,
        cost_variance=vc,
        effect_variance=ve,
        covariance=covariance,
    )

    ends = fieller(means)

    z2 = decimal_quantile(0.95) ** 2
    assert (ends is None) == (effect**2 <= z2 * ve)
    for ratio in ends or ():
        off = (cost - ratio * effect) ** 2
        allowed = z2 * (vc - 2 * ratio * covariance + ratio**2 * ve)
        assert float(off) == pytest.approx(float(allowed), rel=1e-6, abs=1e-12)


def test_the_price_of_a_solution_is_more_cost_over_more_solved() -> None:
    found = icer(hold_out(60, 30))

    value, low, high = known(found)
    assert value == Decimal("0.133333333")
    assert Decimal("0.09") < low < value < high < Decimal("0.25")
    assert found.note == FLATTERED
    assert low == low.quantize(Decimal("1e-9"))


def test_without_a_clear_gain_there_is_no_price() -> None:
    found = icer(hold_out(45, 40))

    assert (found.value, found.low, found.high) == (None, None, None)
    assert found.note == UNDEFINED


def test_a_loss_has_no_price() -> None:
    assert icer(hold_out(20, 60)).note == DOMINATED


def test_who_solves_more_for_less_has_a_negative_price() -> None:
    found = icer(hold_out(60, 30, cost_nusd=0))

    assert found.value == Decimal("-0.033333333")
    assert found.high is not None
    assert found.high < 0


def test_the_net_benefit_weighs_the_gain_by_what_a_solution_is_worth() -> None:
    found = net_benefit(hold_out(60, 30), Decimal(1))

    assert found.value == Decimal("0.26")
    assert found.low is not None
    assert found.high is not None
    assert found.low == pytest.approx(
        Decimal("0.26") - Decimal("0.1319"), abs=Decimal("1e-3")
    )
    assert found.low + found.high == pytest.approx(Decimal("0.52"), abs=Decimal("1e-8"))


def test_the_curve_goes_from_sure_loss_to_sure_gain() -> None:
    values = [Decimal(0), Decimal("0.1"), Decimal("0.14"), Decimal(5)]

    points = acceptability(hold_out(60, 30), values)

    chances = [point.probability for point in points]
    assert chances[0] == 0
    assert chances[-1] == pytest.approx(1, abs=1e-4)
    assert chances == sorted(chances, key=lambda each: each or 0)
    assert [point.net_benefit.value for point in points][:2] == [
        Decimal("-0.04"),
        Decimal("-0.01"),
    ]


def test_nothing_worth_and_nothing_paid_is_as_likely_good_as_bad() -> None:
    rows = [*arm(60, 100, treated=True), *arm(30, 100, treated=False)]

    assert acceptability(rows, [Decimal(0)])[0].probability == 0.5


@pytest.mark.parametrize("worth", ["-1", "NaN", "Infinity"])
def test_a_worth_that_is_none_is_refused(worth: str) -> None:
    with pytest.raises(ValueError, match="zero dollars or more"):
        net_benefit(hold_out(60, 30), Decimal(worth))


def test_below_ten_an_arm_there_is_neither_price_nor_benefit() -> None:
    rows = [*arm(9, 50, treated=True), *arm(1, 9, treated=False)]

    point = acceptability(rows, [Decimal(1)])[0]

    assert icer(rows).note.startswith("Not enough data")
    assert (point.net_benefit.value, point.probability) == (None, None)
    assert point.net_benefit.note.startswith("Not enough data")


def test_the_largest_amounts_keep_every_nano_dollar() -> None:
    rows = [
        *arm(100, 100, treated=True, cost_nusd=9 * 10**18 + 1),
        *arm(0, 100, treated=False),
    ]

    assert contrast(units(rows)).cost == Decimal("9000000000.000000001")


def test_a_recovered_answer_costs_all_escalations_over_the_net_of_them() -> None:
    rows = table(both=30, recovered=40, harmed=10, neither=20, cost_nusd=3 * CENT)

    found = price_per_recovered(rows)

    value, low, high = known(found)
    assert value == Decimal("0.1")  # 100 at $0.03, over 40 less 10
    assert low < value < high


@pytest.mark.parametrize(
    ("recovered", "harmed", "note"),
    [
        (10, 10, "recovered no more answers than it harmed"),
        (10, 9, "do not differ clearly"),
        (2, 0, "Not enough data: pairs of 2 tasks"),
    ],
)
def test_where_nothing_was_recovered_an_answer_has_no_price(
    recovered: int, harmed: int, note: str
) -> None:
    found = price_per_recovered(
        table(both=0, recovered=recovered, harmed=harmed, neither=0)
    )

    assert found.value is None
    assert note in found.note


def test_where_every_pair_is_recovered_the_price_is_still_not_certain() -> None:
    found = price_per_recovered(table(both=0, recovered=20, harmed=0, neither=0))

    value, low, high = known(found)
    assert value == Decimal("0.00000001")
    assert low < value < high


def test_pairs_that_were_not_escalated_were_not_paid_for() -> None:
    escalated = table(both=0, recovered=20, harmed=0, neither=0, cost_nusd=CENT)
    shadow = [
        Observation(
            task=f"s{n}",
            treated=False,
            solved=False,
            expert_solved=True,
            cost_nusd=CENT,
        )
        for n in range(20)
    ]

    assert price_per_recovered([*escalated, *shadow]).value == Decimal("0.01")
