from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from inline_snapshot import snapshot

from ask_expert.policy.check import Finding, check
from ask_expert.policy.decide import decide
from ask_expert.policy.document import Policy
from ask_expert.question import Fact, Facts
from tests.policy.strategies import policies

SMALL = ("check_failed", "has_error", "failed_attempts", "confidence")


def policy(*rules: dict[str, Any], **rest: Any) -> Policy:
    return Policy.model_validate({"name": "mine", "rules": rules, **rest})


def at_least(number: int) -> dict[str, Any]:
    return {"failed_attempts": {"at_least": number}}


def all_facts() -> Iterator[Facts]:
    """Every combination of values that policies over the small facts tell apart."""
    values: list[list[Fact | None]] = [
        [None, True, False],
        [True, False],
        [None, *range(7)],
        [None, *(step / 200 for step in range(201))],
    ]
    for combination in product(*values):
        named = zip(SMALL, combination, strict=True)
        yield {fact: value for fact, value in named if value is not None}


ALL_FACTS = tuple(all_facts())


def actions(policy: Policy) -> list[str]:
    return [decide(policy, facts).action for facts in ALL_FACTS]


def without(policy: Policy, *indices: int) -> Policy:
    kept = [each for at, each in enumerate(policy.rules) if at not in indices]
    return policy.model_copy(update={"rules": tuple(kept)})


@given(policies(facts=SMALL, most=4))
@settings(max_examples=40, deadline=None)
def test_striking_out_what_is_reported_changes_nothing_and_leaves_nothing_idle(
    any_policy: Policy,
) -> None:
    numbered = tuple(
        rule.model_copy(update={"name": str(index)})
        for index, rule in enumerate(any_policy.rules)
    )
    tried = any_policy.model_copy(update={"rules": numbered, "budgets": ()})

    reported = [int(finding.rule) for finding in check(tried)]

    lean = without(tried, *reported)
    decided = actions(tried)
    assert actions(lean) == decided
    assert all(actions(without(lean, at)) != decided for at in range(len(lean.rules)))


@pytest.mark.parametrize(
    ("rules", "otherwise", "dead", "message"),
    [
        (
            [{"when": "always"}, {"when": "check_failed", "then": "refuse"}],
            "stay_local",
            "check_failed",
            "is never reached: 'always' above it holds whenever this rule would",
        ),
        (
            [{"when": at_least(1)}, {"when": at_least(2), "then": "refuse"}],
            "stay_local",
            "failed_attempts at_least 2",
            "is never reached: 'failed_attempts at_least 1' above it holds whenever this rule would",
        ),
        (
            [{"when": "check_failed"}, {"when": "check_failed"}],
            "stay_local",
            "check_failed",
            "is never reached: 'check_failed' above it holds whenever this rule would",
        ),
        (
            [{"when": "check_failed"}, {"when": "has_error", "then": "stay_local"}],
            "stay_local",
            "has_error",
            "changes no decision: without it the decision is stay_local all the same",
        ),
        (
            [{"when": at_least(2)}, {"when": at_least(1)}],
            "stay_local",
            "failed_attempts at_least 2",
            "changes no decision: without it the decision is escalate all the same",
        ),
        (
            [{"when": {"failed_attempts": {"above": 5, "below": 3}}}],
            "stay_local",
            "failed_attempts above 5 and below 3",
            "can never hold: its comparisons contradict each other or leave the fact's range",
        ),
        (
            [{"when": {"failed_attempts": {"above": 2, "below": 3}}}],
            "stay_local",
            "failed_attempts above 2 and below 3",
            "can never hold: its comparisons contradict each other or leave the fact's range",
        ),
        (
            [{"when": {"confidence": {"above": 1}}}],
            "stay_local",
            "confidence above 1",
            "can never hold: its comparisons contradict each other or leave the fact's range",
        ),
        (
            [
                {"when": "has_error"},
                {"when": {"has_error": {"equals": False}}, "then": "refuse"},
                {"when": "check_failed"},
            ],
            "stay_local",
            "check_failed",
            "is never reached: the rules above it together hold whenever this rule would",
        ),
    ],
)
def test_a_rule_without_effect_is_reported_with_the_cause(
    rules: list[dict[str, Any]], otherwise: str, dead: str, message: str
) -> None:
    findings = check(policy(*rules, otherwise=otherwise))

    assert [(each.rule, each.message) for each in findings] == [(dead, message)]


def test_a_rule_that_only_an_absent_fact_lets_through_is_not_reported() -> None:
    covered = policy(
        {"when": "check_failed"},
        {"when": {"check_failed": {"equals": False}}, "then": "refuse"},
        {"when": "has_error"},
    )

    assert check(covered) == []


def test_a_rule_that_shields_a_question_from_a_later_one_is_not_reported() -> None:
    shielding = policy(
        {"when": {"confidence": {"at_least": 0.9}}, "then": "stay_local"},
        {"when": {"failed_attempts": {"at_least": 1}}},
    )

    assert check(shielding) == []


def test_two_rules_of_one_name_are_reported() -> None:
    twins = policy(
        {"when": "check_failed", "name": "stuck"},
        {"when": "has_error", "name": "stuck"},
        {"when": {"asked_before": {"at_least": 1}}, "name": "otherwise"},
    )

    assert [finding.rule for finding in check(twins)] == ["stuck", "otherwise"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["flagship", "cheap"],
            "there is no expert 'flagshp'; did you mean 'flagship'?",
        ),
        ([], "there is no expert 'flagshp'; no expert is set up"),
    ],
)
def test_a_ladder_names_experts_that_exist(names: list[str], message: str) -> None:
    wrong = policy(ladder=["flagshp"], budgets=[{"scope": "day", "usd": 1}])

    assert check(wrong, names) == [
        Finding(severity="error", rule="ladder", message=message)
    ]


def test_a_ladder_is_not_judged_while_the_experts_are_unknown() -> None:
    assert check(policy(ladder=["anyone"])) == []


@pytest.mark.parametrize(
    ("budgets", "message"),
    [
        (
            [{"scope": "day", "usd": 70}, {"scope": "month", "usd": 60}],
            "budgets.0: its usd can never bind: the month budget of 60 usd is reached first",
        ),
        (
            [
                {"scope": "total", "calls": 5},
                {"scope": "task", "usd": 1, "calls": 5},
            ],
            "budgets.1: its calls can never bind: the total budget of 5 calls is reached first",
        ),
        (
            [
                {"scope": "day", "usd": 3, "per": ["expert"]},
                {"scope": "month", "usd": 2.5, "per": ["expert"]},
            ],
            "budgets.0: its usd can never bind: the month budget of 2.5 usd per expert is reached first",
        ),
        (
            [
                {"scope": "day", "usd": 5, "per": ["expert"]},
                {"scope": "day", "usd": 5},
            ],
            "budgets.0: its usd can never bind: the day budget of 5 usd is reached first",
        ),
        (
            [
                {"scope": "call", "usd": 2},
                {"scope": "week", "usd": 1, "per": ["expert"]},
            ],
            "budgets.0: its usd can never bind: the week budget of 1 usd per expert is reached first",
        ),
        (
            [{"scope": "day", "usd": 5}, {"scope": "day", "calls": 9}],
            "budgets.1: has the scope of budgets.0; write them as one",
        ),
        (
            [
                {"scope": "total", "usd": 5, "per": ["project"]},
                {"scope": "project", "calls": 9},
            ],
            "budgets.1: has the scope of budgets.0; write them as one",
        ),
        (
            [
                {"scope": "hour", "tokens": 9, "per": ["user", "project"]},
                {"scope": "day", "tokens": 9, "per": ["project"]},
            ],
            "budgets.0: its tokens can never bind: the day budget of 9 tokens per project is reached first",
        ),
        (
            [{"scope": "task", "usd": 5}, {"scope": "user", "usd": 5}],
            "budgets.0: its usd can never bind: the user budget of 5 usd is reached first",
        ),
        (
            [
                {"scope": "day", "usd": 5, "mode": "soft"},
                {"scope": "day", "usd": 5},
            ],
            "budgets.0: its usd can never bind: the day budget of 5 usd is reached first",
        ),
        (
            [
                {"scope": "day", "usd": 5},
                {"scope": "week", "usd": 5, "rolling": True},
            ],
            "budgets.0: its usd can never bind: the rolling week budget of 5 usd is reached first",
        ),
    ],
)
def test_a_budget_that_never_binds_is_reported(
    budgets: list[dict[str, Any]], message: str
) -> None:
    findings = check(policy(budgets=budgets))

    assert [f"{each.rule}: {each.message}" for each in findings] == [message]


@pytest.mark.parametrize(
    "budgets",
    [
        [{"scope": "day", "usd": 5}, {"scope": "month", "usd": 60}],
        [{"scope": "week", "usd": 20}, {"scope": "month", "usd": 15}],
        [{"scope": "day", "usd": 9}, {"scope": "month", "usd": 5, "per": ["expert"]}],
        [{"scope": "day", "usd": 9}, {"scope": "month", "calls": 5}],
        [{"scope": "task", "usd": 9}, {"scope": "session", "usd": 5}],
        [{"scope": "day", "usd": 9}, {"scope": "day", "usd": 5, "mode": "soft"}],
        [{"scope": "day", "usd": 9}, {"scope": "day", "usd": 5, "rolling": True}],
        [
            {"scope": "day", "usd": 9, "per": ["user"]},
            {"scope": "month", "usd": 5, "per": ["project"]},
        ],
    ],
)
def test_budgets_that_can_each_bind_are_not_reported(
    budgets: list[dict[str, Any]],
) -> None:
    assert check(policy(budgets=budgets)) == []


def test_paid_experts_without_a_budget_in_usd_are_a_warning() -> None:
    unbounded = policy(budgets=[{"scope": "day", "calls": 5}])

    assert check(unbounded, ["flagship"]) == snapshot(
        [
            Finding(
                severity="warning",
                rule="budgets",
                message="no budget is in USD, so nothing bounds what the experts cost",
            )
        ]
    )
    assert check(unbounded, ["own_server"], paid_names=[]) == []


def test_an_assumed_price_that_is_never_used_is_a_warning() -> None:
    unused = policy(assumed_price={"input_per_mtok": 1, "output_per_mtok": 2})

    assert [finding.rule for finding in check(unused)] == ["assumed_price"]


def test_a_long_policy_is_checked_in_full() -> None:
    facts = ("failed_attempts", "repeated_error", "asked_before", "question_chars")
    rules = [
        {"when": {fact: {"equals": number + shift} for shift, fact in enumerate(facts)}}
        for number in range(99)
    ]

    findings = check(policy(*rules, {"when": rules[50]["when"], "then": "refuse"}))

    assert len(findings) == 1
    assert findings[0].message.startswith(
        "is never reached: 'failed_attempts equals 50"
    )


def measuring(*signals: str, **more: object) -> Policy:
    return Policy.model_validate(
        {
            "name": "p",
            "rules": [{"when": {"vote_share": {"below": 0.5}}}],
            "assess": {"signals": signals, **more} if signals else None,
            "budgets": [{"scope": "day", "usd": 1}],
        }
    )


def test_a_signal_that_a_rule_tests_has_to_be_measured() -> None:
    messages = [each.message for each in check(measuring())]

    assert messages == [
        "vote_share is tested by a rule and never measured; name it in assess.signals"
    ]
    assert check(measuring("vote_share")) == []


def test_a_signal_that_no_rule_tests_is_measured_only_to_go_on_record() -> None:
    found = check(measuring("vote_share", "p_true"))

    assert [each.message.partition(",")[0] for each in found] == [
        "p_true is tested by no rule"
    ]
    assert check(measuring("vote_share", "p_true", stop_when_decided=False)) == []
