import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.gain.estimate import Source
from ask_expert.gain.hold_out import FIXED, SEQUENCES
from ask_expert.gain.icer import icer
from ask_expert.gain.observations import (
    Observation,
    evidence,
    one_per_task,
    pairs,
    units,
)
from tests.gain.rows import LAW, arm


@pytest.mark.parametrize("propensity", [0.0, 1.0, -0.1, 1.1, math.nan, math.inf])
def test_a_propensity_that_no_draw_can_have_is_refused_with_what_to_do(
    propensity: float,
) -> None:
    with pytest.raises(ValueError, match=r"propensity .* leave such rows out"):
        Observation(task="t", treated=True, propensity=propensity)


@pytest.mark.parametrize("treated", [True, False])
def test_the_arm_that_was_taken_is_no_other_arm(treated: bool) -> None:
    with pytest.raises(ValueError, match="the arm that was not taken"):
        Observation(
            task="t",
            treated=treated,
            local_solved=None if treated else True,
            expert_solved=True if treated else None,
        )


@pytest.mark.parametrize("estimator", [*FIXED, *SEQUENCES, icer])
def test_what_was_not_drawn_says_nothing_about_a_hold_out(estimator: object) -> None:
    assert callable(estimator)
    rows = [Observation(task="t", treated=True, solved=True)]

    with pytest.raises(ValueError, match="'t' has no propensity"):
        estimator(rows)


def test_a_task_with_several_rows_is_refused_until_they_are_drawn_together() -> None:
    row = Observation(task="t", treated=True, propensity=0.5, solved=True)

    with pytest.raises(ValueError, match="one_per_task"):
        units([row, row])

    assert len(units(one_per_task([row, row]))) == 1


def test_a_task_counts_by_its_first_question_with_the_costs_of_all() -> None:
    rows = [
        Observation(task="a", treated=True, propensity=0.5, solved=False, cost_nusd=3),
        Observation(task="b", treated=False, propensity=0.5, solved=True),
        Observation(task="a", treated=True, propensity=0.5, solved=True, cost_nusd=4),
    ]

    found = one_per_task(rows)

    assert [(each.task, each.solved, each.cost_nusd) for each in found] == [
        ("a", False, 7),
        ("b", True, 0),
    ]


def test_a_task_in_both_arms_is_an_error() -> None:
    rows = [
        Observation(task="a", treated=treated, propensity=0.5)
        for treated in (True, False)
    ]

    with pytest.raises(ValueError, match="'a' has rows in both arms"):
        one_per_task(rows)


@LAW
@given(st.integers(1, 9), st.integers(0, 9))
def test_unknown_outcomes_are_in_no_unit_and_counted(known: int, unknown: int) -> None:
    rows = arm(known, known, treated=True, unknown=unknown)

    rest = evidence(rows, "hold_out")

    assert len(units(rows)) == known
    assert rest.unknown == unknown
    assert rest.unknown_share == unknown / (known + unknown)


def test_evidence_keeps_its_sources_apart_most_trusted_first() -> None:
    sources: list[Source | None] = ["agent", "check", None, "agent", "judge"]
    rows = [
        Observation(task=str(n), treated=True, solved=True, source=source)
        for n, source in enumerate(sources)
    ]

    rest = evidence(rows, "escalated")

    assert rest.sources == (("check", 1), ("judge", 1), ("agent", 2), (None, 1))
    assert rest.text == (
        "escalated: 1 check, 1 judge, 2 agent, 1 of unstated source; 0 unknown"
    )


def test_only_a_pair_that_was_to_be_made_can_be_unknown() -> None:
    rows = [
        Observation(
            task="1", treated=True, solved=True, local_solved=False, paired=True
        ),
        Observation(
            task="2", treated=True, solved=None, local_solved=False, paired=True
        ),
        Observation(task="3", treated=True, solved=True),
        Observation(
            task="4", treated=False, solved=True, expert_solved=True, paired=True
        ),
    ]

    assert [(pair.task, pair.difference) for pair in pairs(rows)] == [
        ("1", 1),
        ("4", 0),
    ]
    assert evidence(rows, "pairs").unknown == 1
