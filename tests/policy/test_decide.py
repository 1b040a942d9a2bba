import subprocess
import sys
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from ask_expert.policy.decide import (
    DEFAULT_CHECKLIST,
    OTHERWISE,
    Decision,
    advice,
    decide,
    rule_holds,
)
from ask_expert.policy.document import Policy, Rule
from ask_expert.policy.facts import KNOWN_FACTS
from ask_expert.question import Fact, Facts
from tests.policy.strategies import FACTS, policies, rules


def policy(*rules: dict[str, Any], **rest: Any) -> Policy:
    return Policy.model_validate({"name": "mine", "rules": rules, **rest})


BALANCED = policy(
    {"when": "check_failed"},
    {"when": {"failed_attempts": {"at_least": 1}}},
    {"when": {"repeated_error": {"at_least": 2}}},
    {"when": {"confidence": {"below": 0.55}}},
    {"when": {"asked_before": {"at_least": 1}}},
)


def test_the_first_rule_that_holds_decides_and_is_named() -> None:
    facts: Facts = {"failed_attempts": 2, "repeated_error": 3, "check_failed": False}

    decision = decide(BALANCED, facts)

    assert decision == snapshot(
        Decision(
            action="escalate",
            rule="failed_attempts at_least 1",
            reason="failed_attempts is 2, at least 1",
        )
    )


def test_rules_that_abstained_before_the_deciding_one_are_told() -> None:
    decision = decide(BALANCED, {"asked_before": 1})

    assert decision == snapshot(
        Decision(
            action="escalate",
            rule="asked_before at_least 1",
            reason="asked_before is 1, at least 1",
            abstained=(
                "check_failed",
                "failed_attempts at_least 1",
                "repeated_error at_least 2",
                "confidence below 0.55",
            ),
        )
    )


def test_without_a_rule_that_holds_the_reason_names_what_is_not_known() -> None:
    decision = decide(BALANCED, {"check_failed": False, "failed_attempts": 0})

    assert decision == snapshot(
        Decision(
            action="stay_local",
            rule="otherwise",
            reason="no rule holds; not known: repeated_error, confidence, asked_before",
            abstained=(
                "repeated_error at_least 2",
                "confidence below 0.55",
                "asked_before at_least 1",
            ),
        )
    )


@pytest.mark.parametrize(
    ("when", "facts", "reason"),
    [
        ("check_failed", {"check_failed": True}, "check_failed is true"),
        ("always", {}, "the rule holds for every question"),
        (
            {
                "confidence": {"above": 0.2, "below": 0.5},
                "has_error": {"equals": False},
            },
            {"confidence": 0.25, "has_error": False},
            "confidence is 0.25, above 0.2 and below 0.5; has_error is false",
        ),
    ],
)
def test_the_reason_shows_the_values_that_decided(
    when: object, facts: Facts, reason: str
) -> None:
    assert decide(policy({"when": when}), facts).reason == reason


@pytest.mark.parametrize(
    ("bound", "value", "holds"),
    [
        ("at_least", 0.7, True),
        ("at_least", 0.69, False),
        ("at_most", 0.7, True),
        ("at_most", 0.71, False),
        ("above", 0.7, False),
        ("above", 0.71, True),
        ("below", 0.7, False),
        ("below", 0.69, True),
        ("equals", 0.7, True),
        ("equals", 0.71, False),
    ],
)
def test_a_float_is_compared_as_the_decimal_it_prints_as(
    bound: str, value: float, holds: bool
) -> None:
    rule = Rule.model_validate({"when": {"confidence": {bound: 0.7}}})

    assert rule_holds(rule, {"confidence": value}) is holds


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("confidence", float("nan")),
        ("confidence", 7.0),
        ("confidence", "high"),
        ("confidence", True),
        ("check_failed", 1),
        ("check_failed", "yes"),
        ("failed_attempts", -1),
        ("failed_attempts", True),
    ],
)
def test_a_value_that_the_fact_cannot_have_counts_as_absent(
    fact: str, value: Fact
) -> None:
    bounds: dict[str, Any] = {"at_least": 0}
    if KNOWN_FACTS[fact].kind == "bool":
        bounds = {"equals": True}
    rule = Rule.model_validate({"when": {fact: bounds}})

    assert rule_holds(rule, {fact: value}) is None


def test_a_rule_with_a_fact_that_speaks_against_it_does_not_abstain() -> None:
    both = policy(
        {"when": {"confidence": {"below": 0.5}, "has_error": {"equals": True}}}
    )

    assert decide(both, {"has_error": False}).abstained == ()
    assert len(decide(both, {"has_error": True}).abstained) == 1


@given(policies(), FACTS)
def test_every_question_gets_one_decision_and_always_the_same(
    any_policy: Policy, facts: Facts
) -> None:
    decision = decide(any_policy, facts)

    assert decision == decide(any_policy, dict(reversed(facts.items())))
    assert decision.action in {"escalate", "stay_local", "refuse", "ask_human"}
    assert decision.rule in {rule.label for rule in any_policy.rules} | {OTHERWISE}
    assert "\n" not in decision.reason


@given(policies(), FACTS)
def test_a_rule_with_an_absent_fact_never_decides(
    any_policy: Policy, facts: Facts
) -> None:
    able = [rule for rule in any_policy.rules if set(rule.when) <= set(facts)]

    trimmed = any_policy.model_copy(update={"rules": tuple(able)})

    assert decide(any_policy, facts).action == decide(trimmed, facts).action


@given(policies(), FACTS, st.sampled_from(tuple(KNOWN_FACTS)))
def test_taking_a_fact_away_changes_no_decision_of_a_rule_that_does_not_use_it(
    any_policy: Policy, facts: Facts, gone: str
) -> None:
    before = [rule_holds(rule, facts) for rule in any_policy.rules]
    fewer = {fact: value for fact, value in facts.items() if fact != gone}

    after = [rule_holds(rule, fewer) for rule in any_policy.rules]

    for rule, was, now in zip(any_policy.rules, before, after, strict=True):
        assert now is was or (gone in rule.when and now is not True)


@given(policies(), FACTS, rules())
def test_a_rule_added_at_the_end_leaves_decided_questions_alone(
    any_policy: Policy, facts: Facts, rule: dict[str, Any]
) -> None:
    decision = decide(any_policy, facts)
    assume(any(rule_holds(each, facts) for each in any_policy.rules))
    longer = any_policy.model_copy(
        update={"rules": (*any_policy.rules, Rule.model_validate(rule))}
    )

    assert decide(longer, facts) == decision


def test_advice_says_which_evidence_would_change_the_decision() -> None:
    assert advice(BALANCED, {"asked_before": 0}) == (
        "Run the check and pass its name in `check`.",
        "Try once more and put the failed attempt in `tried`.",
        "Paste the exact error into `error`.",
        *DEFAULT_CHECKLIST,
    )


def test_advice_counts_the_attempts_that_are_missing() -> None:
    frugal = policy({"when": {"failed_attempts": {"at_least": 3}}}, checklist=[])

    assert advice(frugal, {"failed_attempts": 1}) == (
        "Try 2 more ways and put each failed attempt in `tried`.",
    )
    assert advice(frugal, {"failed_attempts": 2}) == (
        "Try once more and put the failed attempt in `tried`.",
    )


def test_advice_leaves_out_what_only_a_measurement_could_change() -> None:
    measured_only = policy(
        {"when": {"confidence": {"below": 0.4}}},
        {"when": {"confidence": {"below": 0.5}, "has_error": {"equals": True}}},
        {"when": {"asked_before": {"at_least": 2}}},
        checklist=["Look again."],
    )

    assert advice(measured_only, {"has_error": False}) == ("Look again.",)


def test_advice_tells_how_to_get_past_a_rule_that_refused() -> None:
    strict = policy(
        {"when": {"has_answer": {"equals": True}}},
        {
            "when": {
                "question_chars": {"below": 40},
                "has_error": {"equals": False},
                "failed_attempts": {"at_most": 1},
            },
            "then": "refuse",
        },
        {"when": "check_failed"},
        otherwise="ask_human",
        checklist=[],
    )
    facts: Facts = {
        "question_chars": 4,
        "has_error": False,
        "failed_attempts": 0,
        "has_answer": False,
    }

    assert advice(strict, facts) == snapshot(
        (
            "Put your best answer so far into `my_answer`.",
            "Say what you expected and what happened instead.",
            "Paste the exact error into `error`.",
            "Try 2 more ways and put each failed attempt in `tried`.",
        )
    )


def test_advice_names_only_the_conditions_that_are_not_met_yet() -> None:
    both = policy(
        {"when": {"has_context": {"equals": True}, "failed_attempts": {"above": 0}}},
        checklist=[],
    )

    assert advice(both, {"has_context": True}) == (
        "Try once more and put the failed attempt in `tried`.",
    )


def test_advice_never_asks_to_take_evidence_away() -> None:
    sure = policy(
        {
            "when": {
                "confidence": {"at_least": 0.9},
                "failed_attempts": {"at_least": 1},
                "has_context": {"equals": True},
            },
            "then": "stay_local",
        },
        {"when": "has_context"},
        checklist=[],
    )

    assert (
        advice(sure, {"confidence": 0.95, "failed_attempts": 2, "has_context": True})
        == ()
    )


def test_advice_on_too_long_a_question_asks_for_a_short_one() -> None:
    terse = policy({"when": {"question_chars": {"below": 500}}}, checklist=[])

    assert advice(terse, {"question_chars": 900}) == (
        "Ask one short question; move the rest to `context`.",
    )


def test_advice_about_a_check_that_passes_asks_for_one_that_fails() -> None:
    checks = policy({"when": "check_failed"}, checklist=[])

    assert advice(checks, {"check_failed": False}) == (
        "Name in `check` a check that fails while the problem is there.",
    )


def test_advice_about_an_error_seen_once_does_not_ask_for_it_again() -> None:
    errors = policy({"when": {"repeated_error": {"at_least": 2}}}, checklist=[])

    assert advice(errors, {"repeated_error": 1}) == (
        "If the same error comes back, ask with the exact text in `error`.",
    )


@pytest.mark.parametrize(
    ("facts", "otherwise"), [({"check_failed": True}, "refuse"), ({}, "escalate")]
)
def test_a_question_that_is_escalated_needs_no_advice(
    facts: Facts, otherwise: str
) -> None:
    any_policy = policy({"when": "check_failed"}, otherwise=otherwise)

    assert advice(any_policy, facts) == ()


@given(policies(), FACTS)
def test_advice_is_total_short_and_never_says_a_thing_twice(
    any_policy: Policy, facts: Facts
) -> None:
    lines = advice(any_policy, facts)

    assert len(set(lines)) == len(lines)
    if decide(any_policy, facts).action in {"escalate", "ask_human"}:
        assert lines == ()


def test_deciding_loads_no_heavy_library() -> None:
    code = (
        "import sys, ask_expert.policy.decide\n"
        "heavy = {'sqlalchemy', 'numpy', 'genai_prices', 'typer', 'rich', 'mcp',"
        " 'httpx', 'httpx2', 'anyio', 'platformdirs', 'asyncio'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )

    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert run.stdout.strip() == "[]"
