from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from ask_expert.ledger import reconcile
from ask_expert.ledger.store import Ledger
from ask_expert.reply import Usage, Verdict, VerdictSource
from ask_expert.report.json_form import as_json
from ask_expert.report.summary import Disagreement, Outcomes, Summary, Tokens, summarize
from tests.report.ledgers import (
    HOUR_US,
    NOON_US,
    Paid,
    answered,
    decided,
    repeated,
    sent,
    told,
)

DAY_US = 24 * HOUR_US


def summary(ledger: Ledger, *, since_us: int = 0) -> Summary:
    return summarize(ledger, until_us=NOON_US + DAY_US, since_us=since_us)


def test_an_empty_ledger_has_no_rate_rather_than_a_rate_of_zero(ledger: Ledger) -> None:
    found = summary(ledger)

    assert (found.questions, found.escalation_rate) == (0, None)


def test_the_whole_report_of_a_small_ledger(ledger: Ledger) -> None:
    answered(ledger, "q_1")
    told(ledger, "q_1", "helped", solved=True)
    answered(
        ledger,
        "q_2",
        Paid(expert="second", cost_nusd=1_500_000_001, served="model-1-turbo"),
    )
    repeated(ledger, "q_3", of="q_1")
    decided(ledger, "q_4", "stay_local")
    decided(ledger, "q_5", "refused")
    decided(ledger, "q_6", "needs_approval")
    decided(ledger, "q_7", "unavailable")
    sent(ledger, "q_8", reserved_nusd=7_000_000)

    assert as_json(summary(ledger)) == snapshot(
        {
            "since": None,
            "until": "2026-11-23T12:00:00.000000Z",
            "questions": 8,
            "escalations": 3,
            "escalation_rate": 0.375,
            "answered": 2,
            "refused": 1,
            "stay_local": 1,
            "cached": 1,
            "pending": 1,
            "unavailable": 1,
            "needs_approval": 1,
            "held_out": 0,
            "refused_by_expert": 0,
            "cost_usd": 1.504000001,
            "cost_usd_by_expert": {"flagship": 0.004, "second": 1.500000001},
            "by_subscription": [],
            "tokens": {"input": 240, "output": 100, "cached": 40, "reasoning": 60},
            "outcomes": {"helped": 1, "no_difference": 0, "harmed": 0, "unknown": 1},
            "late_outcomes": 0,
            "solved_after_rate": 1.0,
            "unresolved": {"tries": 0, "usd": 0.0},
            "reconciled": {
                "tries": 0,
                "worst_case_tries": 0,
                "worst_case_usd": 0.0,
            },
            "local": {
                "tried": 0,
                "answered": 0,
                "told": 0,
                "solved": 0,
                "tokens": 0,
                "seconds": 0.0,
            },
            "served_models": {
                "flagship": {"model-1": 1},
                "second": {"model-1-turbo": 1},
            },
            "price_sources": {"settings": 2},
            "cost_disagreements": [],
            "budgets": None,
        }
    )


def test_a_provider_whose_cost_is_over_one_percent_away_from_ours_is_flagged(
    ledger: Ledger,
) -> None:
    for number, computed in enumerate((990_000, 990_100, 1_010_102, 2_000_000)):
        paid = Paid(cost_nusd=1_000_000, source="provider", computed_nusd=computed)
        answered(ledger, f"q_{number}", paid)
    answered(ledger, "q_list", Paid(computed_nusd=1))

    assert summary(ledger).disagreements == (
        Disagreement(
            expert="flagship",
            tries=3,
            reported_nusd=3_000_000,
            computed_nusd=990_000 + 1_010_102 + 2_000_000,
        ),
    )


def test_a_question_that_all_experts_declined_is_counted_as_such(
    ledger: Ledger,
) -> None:
    answered(ledger, "q_1")
    decided(ledger, "q_2", "refused_by_expert")

    found = summary(ledger)

    assert (found.answered, found.refused_by_expert, found.questions) == (1, 1, 2)


def test_a_report_since_a_time_leaves_out_what_was_asked_before(
    ledger: Ledger,
) -> None:
    answered(ledger, "q_old", at_us=NOON_US - 1)
    answered(ledger, "q_new", Paid(cost_nusd=9), at_us=NOON_US)

    found = summary(ledger, since_us=NOON_US)

    assert (found.questions, found.escalations, found.cost_nusd) == (1, 1, 9)
    assert found.tokens == Tokens(input=120, output=50, cached=20, reasoning=30)


def test_a_try_of_a_dead_process_is_unresolved_and_costs_nothing_yet(
    ledger: Ledger,
) -> None:
    sent(ledger, "q_1", reserved_nusd=7_000_000, lease_us=NOON_US + 1)
    ledger.sweep(now_us=NOON_US + HOUR_US)

    found = summary(ledger)

    assert (found.unresolved_tries, found.unresolved_nusd) == (1, 7_000_000)
    assert (found.cost_nusd, found.unavailable, found.pending) == (0, 1, 0)


def test_a_reconciled_try_is_counted_apart(ledger: Ledger) -> None:
    for id_, by in (("q_1", "provider"), ("q_2", "worst_case")):
        try_id = sent(ledger, id_, reserved_nusd=7, lease_us=NOON_US + 1)
        ledger.sweep(now_us=NOON_US + HOUR_US)
        reconcile.settle(
            ledger,
            try_id,
            by="provider" if by == "provider" else "worst_case",
            cost_nusd=3 if by == "provider" else 7,
            columns={},
            now_us=NOON_US + HOUR_US,
        )

    found = summary(ledger)

    assert (found.reconciled_tries, found.cost_nusd) == (2, 10)
    assert (found.worst_case_tries, found.worst_case_nusd) == (1, 7)


Report = tuple[Verdict, VerdictSource, int]


@pytest.mark.parametrize(
    ("reports", "current"),
    [
        ([], "unknown"),
        ([("helped", "agent", 1)], "helped"),
        ([("helped", "agent", 1), ("no_difference", "agent", 2)], "no_difference"),
        ([("harmed", "judge", 1), ("helped", "agent", 2)], "harmed"),
        ([("helped", "person", 1), ("harmed", "judge", 2)], "helped"),
        ([("no_difference", "check", 1), ("harmed", "person", 2)], "no_difference"),
        ([("helped", "agent", 1), ("harmed", "person", 25)], "helped"),
        ([("harmed", "person", 25)], "harmed"),
    ],
    ids=[
        "no report is unknown",
        "one report counts",
        "the latest of one source counts",
        "a judge before the agent",
        "a person before a judge",
        "a check before a person",
        "a late report does not displace one in time",
        "a late report alone counts",
    ],
)
def test_the_current_verdict(
    ledger: Ledger, reports: list[Report], current: str
) -> None:
    answered(ledger, "q_1")
    for verdict, source, hours in reports:
        told(ledger, "q_1", verdict, source=source, at_us=NOON_US + hours * HOUR_US + 1)

    outcomes = summary(ledger).outcomes

    counts = {name: getattr(outcomes, name) for name in _VERDICTS}
    assert counts == {name: int(name == current) for name in _VERDICTS}


_VERDICTS = ("helped", "no_difference", "harmed", "unknown")


def test_a_verdict_that_came_late_is_flagged(ledger: Ledger) -> None:
    answered(ledger, "q_1")
    told(ledger, "q_1", "helped", solved=True, at_us=NOON_US + DAY_US + 1)

    assert summary(ledger).outcomes == Outcomes(helped=1, late=1, told=1, solved=1)


def test_a_verdict_on_a_repeated_question_is_one_on_the_answer_given_again(
    ledger: Ledger,
) -> None:
    answered(ledger, "q_1")
    repeated(ledger, "q_2", of="q_1")
    told(ledger, "q_2", "helped", solved=True)

    assert summary(ledger).outcomes == Outcomes(helped=1, told=1, solved=1)


def test_only_reports_that_tell_count_in_the_solved_rate(ledger: Ledger) -> None:
    for name, solved in (("q_1", True), ("q_2", False), ("q_3", False), ("q_4", None)):
        answered(ledger, name)
        told(ledger, name, "no_difference", solved=solved)

    outcomes = summary(ledger).outcomes

    assert (outcomes.told, outcomes.solved_rate) == (3, 1 / 3)


STATUSES = st.sampled_from(
    ["answered", "cached", "stay_local", "refused", "needs_approval", "unavailable"]
)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(STATUSES, st.integers(0, 10**18)), max_size=8))
def test_the_parts_add_up_to_the_whole(asked: list[tuple[str, int]]) -> None:
    with (
        TemporaryDirectory() as folder,
        closing(Ledger.open(Path(folder) / "ledger.db")) as ledger,
    ):
        answered(ledger, "q_root", Paid(cost_nusd=1, usage=Usage(output_tokens=3)))
        for number, (status, cost_nusd) in enumerate(asked):
            if status == "answered":
                answered(ledger, f"q_{number}", Paid(cost_nusd=cost_nusd))
            elif status == "cached":
                repeated(ledger, f"q_{number}", of="q_root")
            else:
                decided(ledger, f"q_{number}", status)

        found = summary(ledger)

    parts = [
        found.answered,
        found.cached,
        found.refused,
        found.stay_local,
        found.pending,
        found.unavailable,
        found.needs_approval,
        found.held_out,
    ]
    assert sum(parts) == found.questions == len(asked) + 1
    paid = [cost for status, cost in asked if status == "answered"]
    assert found.cost_nusd == 1 + sum(paid)
    assert found.escalations == found.answered == 1 + len(paid)
