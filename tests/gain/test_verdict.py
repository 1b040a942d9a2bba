"""The bounds for unknown outcomes, the summary, and what it lets us say."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.gain.bounds import assumed, bounds, paired_bounds
from ask_expert.gain.hold_out import HoldOut, hold_out
from ask_expert.gain.observations import Observation
from ask_expert.gain.verdict import verdict
from tests.gain.rows import LAW, arm, drawn, rng
from tests.gain.test_pairs import table


def rows(
    one: int, other: int, *, unknown: int = 0, cost_nusd: int = 0
) -> list[Observation]:
    return [
        *arm(one, 200, treated=True, unknown=unknown, cost_nusd=cost_nusd),
        *arm(other, 200, treated=False, unknown=unknown),
    ]


def test_at_worst_every_unknown_outcome_speaks_against_escalating() -> None:
    found = bounds(rows(120, 60, unknown=50))

    assert found.least.value == pytest.approx((120 - 60 - 50) / 250)
    assert found.most.value == pytest.approx((120 + 50 - 60) / 250)
    assert found.unknown_share == 0.2
    assert found.least.evidence.unknown == 100


def test_without_unknown_outcomes_the_bounds_are_the_estimate() -> None:
    found = bounds(rows(120, 60))

    assert found.least.value == found.most.value == pytest.approx(0.3)
    assert found.unknown_share == 0


@LAW
@given(drawn())
def test_what_is_assumed_leaves_nothing_unknown_and_changes_nothing_known(
    found: list[Observation],
) -> None:
    put = assumed(found, treated=False, control=True)

    assert all(row.solved is not None for row in put)
    assert all(
        new == old
        for old, new in zip(found, put, strict=True)
        if old.solved is not None
    )


def test_the_worst_case_of_pairs_grades_unknown_sides_against_the_expert() -> None:
    known = table(both=10, recovered=20, harmed=5, neither=5)
    half = [
        Observation(
            task=f"u{n}", treated=True, solved=None, local_solved=False, paired=True
        )
        for n in range(10)
    ]
    local = [Observation(task="l", treated=False, solved=None, paired=True)]
    never = [Observation(task=f"n{n}", treated=True, solved=True) for n in range(50)]

    found = paired_bounds([*known, *half, *local, *never], rng(), draws=50)

    assert found.least.value == pytest.approx((15 - 1) / 51)
    assert found.most.value == pytest.approx((15 + 10 + 1) / 51)
    assert found.unknown_share == pytest.approx(11 / 51)


def said(found: HoldOut) -> tuple[str, str]:
    return found.verdict.kind, found.verdict.text


def test_a_gain_that_survives_the_unknown_is_said_with_its_reach() -> None:
    text = (
        "Escalating solves more: +30 points (+20 to +39), at worst +17; 2% of the "
        "outcomes are unknown."
    )

    assert said(hold_out(rows(120, 60, unknown=5))) == ("more", text)


def test_worth_it_is_said_only_with_a_value_at_which_it_survives_too() -> None:
    paid = rows(120, 60, unknown=5, cost_nusd=100_000_000)

    high = hold_out(paid, value_usd=Decimal(5))
    low = hold_out(paid, value_usd=Decimal("0.4"))

    assert high.verdict.kind == "worth_it"
    assert high.verdict.text.endswith("It is worth its cost at $5 a solution.")
    assert low.verdict.kind == "more"
    assert low.verdict.text.endswith(
        "That it is worth its cost at $0.4 a solution is not shown."
    )
    assert low.net_benefit is not None
    assert low.net_benefit.value == pytest.approx(Decimal("0.02"))


def test_nothing_is_worth_it_where_the_unknown_could_undo_it() -> None:
    found = hold_out(rows(120, 60, unknown=60), value_usd=Decimal(1000))

    assert found.headline.is_above_zero
    assert found.verdict.kind == "hangs_on_unknown"
    assert "worth" not in found.verdict.text
    assert "23% of the outcomes are unknown" in found.verdict.text


@pytest.mark.parametrize(
    ("one", "other", "kind"), [(60, 120, "fewer"), (81, 80, "unclear")]
)
def test_a_loss_and_no_clear_difference_are_said_plainly(
    one: int, other: int, kind: str
) -> None:
    found = hold_out(rows(one, other), value_usd=Decimal(1000))

    assert found.verdict.kind == kind
    assert "worth" not in found.verdict.text


def test_a_loss_that_the_unknown_could_undo_hangs_on_them() -> None:
    assert hold_out(rows(60, 120, unknown=60)).verdict.kind == "hangs_on_unknown"


def test_too_little_data_says_only_what_is_lacking() -> None:
    found = hold_out(arm(5, 9, treated=True), value_usd=Decimal(1))

    assert found.verdict.kind == "not_enough_data"
    assert found.verdict.text.startswith("Not enough data: 9 escalated and 0 held-out")


@LAW
@given(drawn(), st.integers(0, 10**6))
def test_worth_it_is_never_said_unless_the_worst_case_lies_above_zero(
    found: list[Observation], worth: int
) -> None:
    whole = hold_out(found, value_usd=Decimal(worth))

    if whole.verdict.kind in {"more", "worth_it"}:
        assert (whole.worst.least.low or 0) > 0
        assert (whole.headline.low or 0) > 0


def test_all_methods_stand_side_by_side_with_the_first_one_first() -> None:
    even = hold_out(rows(120, 60))
    uneven = hold_out(
        [
            *arm(60, 100, treated=True, propensity=0.9),
            *arm(30, 100, treated=False, propensity=0.5),
        ]
    )

    assert even.headline.method == "Newcombe"
    assert uneven.headline.method == "Hájek"
    assert [each.method for each in (*even.fixed, *even.sequences)] == [
        "Newcombe",
        "Hájek",
        "AIPW",
        "IPW",
        "betting confidence sequence",
        "empirical-Bernstein confidence sequence",
        "asymptotic confidence sequence",
    ]


def test_a_verdict_can_be_had_of_pairs_too() -> None:
    pairs_ = table(both=30, recovered=40, harmed=10, neither=20)

    from_pairs = verdict(
        hold_out(rows(120, 60)).headline, paired_bounds(pairs_, rng(), draws=200)
    )

    assert from_pairs.kind == "more"
