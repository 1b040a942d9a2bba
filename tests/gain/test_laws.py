"""What holds for every estimator."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.gain.aipw import aipw
from ask_expert.gain.asymptotic import asymptotic
from ask_expert.gain.betting import betting
from ask_expert.gain.bounds import bounds, paired_bounds
from ask_expert.gain.empirical_bernstein import empirical_bernstein
from ask_expert.gain.estimate import Estimate, Share
from ask_expert.gain.hajek import hajek
from ask_expert.gain.headline import headline
from ask_expert.gain.hold_out import FIXED, SEQUENCES
from ask_expert.gain.icer import icer
from ask_expert.gain.ipw import ipw
from ask_expert.gain.net_benefit import acceptability, net_benefit
from ask_expert.gain.newcombe import newcombe
from ask_expert.gain.observations import Observation
from ask_expert.gain.paired import paired
from ask_expert.gain.rates import harm_rate, needless_rate
from ask_expert.gain.recovered import price_per_recovered
from ask_expert.gain.regret import regret
from tests.gain import rows as made

Estimator = Callable[[list[Observation]], Estimate[Any]]
ORDERED: list[Estimator] = [betting, empirical_bernstein, asymptotic]
UNORDERED: list[Estimator] = [newcombe, ipw, hajek, aipw, headline]
WORTH = Decimal(2)


def boot(rows: list[Observation]) -> Share:
    return paired(rows, made.rng(1), draws=60)


def ends(found: Estimate[Any]) -> tuple[float | None, ...]:
    """Return value and interval as plain numbers."""
    return tuple(
        None if each is None else float(each)
        for each in (found.value, found.low, found.high)
    )


def mirrored(found: Estimate[Any]) -> tuple[float | None, ...]:
    value, low, high = ends(found)
    return tuple(None if each is None else -each for each in (value, high, low))


def close(expected: tuple[float | None, ...]) -> Any:
    return pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("estimator", UNORDERED + ORDERED)
@made.LAW
@given(rows=made.drawn())
def test_exchanging_the_arms_negates_the_gain_and_mirrors_its_interval(
    estimator: Estimator, rows: list[Observation]
) -> None:
    assert ends(estimator(made.swapped(rows))) == close(mirrored(estimator(rows)))


@made.LAW
@given(rows=made.drawn())
def test_exchanging_the_arms_negates_the_net_benefit(rows: list[Observation]) -> None:
    swapped = net_benefit(made.swapped(rows), WORTH)

    assert ends(swapped) == pytest.approx(mirrored(net_benefit(rows, WORTH)), abs=2e-9)


@made.LAW
@given(rows=made.drawn())
def test_exchanging_the_arms_leaves_either_no_price_or_no_price_the_other_way(
    rows: list[Observation],
) -> None:
    values = {icer(rows).value, icer(made.swapped(rows)).value}

    assert None in values


@made.LAW
@given(rows=made.graded())
def test_exchanging_the_answers_of_pairs_negates_their_gain(
    rows: list[Observation],
) -> None:
    assert ends(boot(made.answers_swapped(rows))) == mirrored(boot(rows))


@pytest.mark.parametrize("estimator", UNORDERED + ORDERED)
@made.LAW
@given(rows=made.drawn())
def test_unknown_outcomes_that_come_twice_change_no_estimate(
    estimator: Estimator, rows: list[Observation]
) -> None:
    assert ends(estimator(made.with_more_unknown(rows))) == ends(estimator(rows))


@made.LAW
@given(rows=made.drawn())
def test_unknown_outcomes_that_come_twice_change_no_price(
    rows: list[Observation],
) -> None:
    more = made.with_more_unknown(rows)

    assert ends(icer(more)) == ends(icer(rows))
    assert ends(net_benefit(more, WORTH)) == ends(net_benefit(rows, WORTH))


@made.LAW
@given(rows=made.graded())
def test_unknown_sides_that_come_twice_change_nothing_of_the_pairs(
    rows: list[Observation],
) -> None:
    more = made.with_more_unknown(rows)

    for estimator in (boot, harm_rate, needless_rate, price_per_recovered):
        assert ends(estimator(more)) == ends(estimator(rows))


@pytest.mark.parametrize("estimator", UNORDERED)
@made.LAW
@given(rows=made.drawn(), seed=st.integers(0, 99))
def test_the_order_of_the_rows_and_the_names_of_the_tasks_do_not_matter(
    estimator: Estimator, rows: list[Observation], seed: int
) -> None:
    shuffled = made.rng(seed).sample(made.relabelled(rows), len(rows))

    assert ends(estimator(shuffled)) == close(ends(estimator(rows)))


@made.LAW
@given(rows=made.graded(), seed=st.integers(0, 99))
def test_the_order_of_pairs_and_the_names_of_their_tasks_do_not_matter(
    rows: list[Observation], seed: int
) -> None:
    shuffled = made.rng(seed).sample(made.relabelled(rows), len(rows))

    for estimator in (boot, harm_rate, needless_rate, price_per_recovered):
        assert ends(estimator(shuffled)) == ends(estimator(rows))
    other = regret(shuffled, made.rng(1), draws=60)
    assert other == regret(rows, made.rng(1), draws=60)


@pytest.mark.parametrize("estimator", ORDERED)
@made.LAW
@given(rows=made.drawn())
def test_names_do_not_matter_to_sequences(
    estimator: Estimator, rows: list[Observation]
) -> None:
    assert ends(estimator(made.relabelled(rows))) == ends(estimator(rows))


@pytest.mark.parametrize("estimator", UNORDERED + ORDERED)
@made.LAW
@given(rows=made.drawn())
def test_an_interval_holds_its_value_and_a_wider_level_holds_a_narrower_one(
    estimator: Callable[..., Share], rows: list[Observation]
) -> None:
    value, low, high = ends(estimator(rows))
    _, lower, higher = ends(estimator(rows, level=0.99))

    if value is not None and low is not None and high is not None:
        assert low <= value <= high
    if estimator not in ORDERED and None not in (low, lower):
        assert (lower or 0) <= (low or 0) + 1e-12
        assert (higher or 0) >= (high or 0) - 1e-12


@made.LAW
@given(rows=made.drawn())
def test_the_worst_case_lies_below_the_known_and_the_best_case_above(
    rows: list[Observation],
) -> None:
    found = bounds(rows)
    known = headline(rows).value
    least, most = found.least.value, found.most.value

    assert least is not None
    assert most is not None
    assert known is not None
    assert least - 1e-12 <= known <= most + 1e-12


@made.LAW
@given(rows=made.drawn())
def test_exchanging_the_arms_turns_the_worst_case_into_the_best(
    rows: list[Observation],
) -> None:
    there, back = bounds(rows), bounds(made.swapped(rows))

    assert ends(back.least) == close(mirrored(there.most))


@made.LAW
@given(rows=made.graded())
def test_the_bounds_of_pairs_hold_the_known_pairs(rows: list[Observation]) -> None:
    found = paired_bounds(rows, made.rng(1), draws=60)
    least, most = found.least.value, found.most.value

    assert least is not None
    assert most is not None
    assert least <= most


@made.LAW
@given(rows=made.drawn())
def test_the_more_a_solution_is_worth_the_more_one_gains_where_more_is_solved(
    rows: list[Observation],
) -> None:
    points = acceptability(rows, [Decimal(worth) for worth in (0, 1, 5, 50)])
    values = [point.net_benefit.value for point in points]
    solves_more = (hajek(rows).value or 0) > 0

    assert all(0 <= (point.probability or 0) <= 1 for point in points)
    if solves_more:
        assert values == sorted(values, key=lambda each: each or 0)


@pytest.mark.parametrize("estimator", [*FIXED, *SEQUENCES, icer])
@pytest.mark.parametrize("treated", [True, False])
def test_with_one_arm_empty_there_is_no_estimate_and_it_says_what_is_lacking(
    estimator: Estimator, treated: bool
) -> None:
    found = estimator(made.arm(20, 40, treated=treated))

    assert ends(found) == (None, None, None)
    assert "Not enough data" in found.note
    assert {found.n_treated, found.n_control} == {0, 40}


@pytest.mark.parametrize("estimator", [*FIXED, *SEQUENCES, icer])
@pytest.mark.parametrize("count", [0, 1])
def test_one_row_or_none_is_not_enough(estimator: Estimator, count: int) -> None:
    found = estimator(made.arm(count, count, treated=True))

    assert ends(found) == (None, None, None)
    assert found.note.startswith("Not enough data")


@pytest.mark.parametrize("estimator", [newcombe, hajek, aipw, ipw, *SEQUENCES])
@pytest.mark.parametrize(("one", "other"), [(0, 0), (120, 120), (120, 0), (0, 120)])
def test_constant_outcomes_never_promise_certainty(
    estimator: Estimator, one: int, other: int
) -> None:
    rows = [
        row
        for both in zip(
            made.arm(one, 120, treated=True),
            made.arm(other, 120, treated=False),
            strict=True,
        )
        for row in both
    ]

    value, low, high = ends(estimator(rows))

    assert value is not None
    assert low is not None
    assert high is not None
    assert high - low > 0.02
    assert low - 1e-9 <= (one - other) / 120 <= high + 1e-9


@pytest.mark.parametrize("estimator", [newcombe, hajek, aipw, ipw, *SEQUENCES])
def test_extreme_weights_give_finite_ends_and_a_wide_interval(
    estimator: Estimator,
) -> None:
    rows = [
        *made.arm(1200, 2000, treated=True, propensity=0.95),
        *made.arm(40, 100, treated=False, propensity=0.95),
    ]
    made.rng().shuffle(rows)

    value, low, high = ends(estimator(rows))

    assert value is not None
    assert low is not None
    assert high is not None
    assert -1 <= low <= value <= high <= 1
    assert high - low > 0.1
