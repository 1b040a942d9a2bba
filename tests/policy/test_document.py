from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from inline_snapshot import snapshot

from ask_expert import yaml_file
from ask_expert.errors import ConfigError
from ask_expert.policy.document import Policy, to_yaml
from ask_expert.policy.facts import KNOWN_FACTS
from tests.policy.strategies import policies


def parse(text: str) -> Policy:
    return yaml_file.parse(text, Policy, file=Path("mine.yaml"))


def complaint(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return str(caught.value)


def rule_complaint(when: str) -> str:
    return complaint(f"name: mine\nrules:\n  - when: check_failed\n  - when: {when}\n")


@given(policies())
def test_printing_and_reading_a_policy_gives_the_same_policy(policy: Policy) -> None:
    again = parse(to_yaml(policy))

    assert again == policy
    assert again.hash == policy.hash
    assert [rule.label for rule in again.rules] == [rule.label for rule in policy.rules]


def test_a_policy_is_printed_as_a_person_would_write_it() -> None:
    policy = parse(
        "name: mine\n"
        "rules:\n"
        "  - {when: {check_failed: {equals: true}}}\n"
        "  - {when: {confidence: {below: 0.550}}, then: ask_human, name: unsure}\n"
        "  - when: always\n"
        "budgets: [{scope: day, usd: 5.00, per: [expert]}, {scope: call, usd: 1}]\n"
    )

    assert to_yaml(policy) == snapshot("""\
name: mine
rules:
- when: check_failed
  then: escalate
- when:
    confidence:
      below: 0.55
  then: ask_human
  name: unsure
- when: always
  then: escalate
otherwise: stay_local
budgets:
- scope: day
  usd: 5
  per:
  - expert
- scope: call
  usd: 1
unknown_price: refuse
""")


def test_a_rule_is_called_by_its_name_or_else_its_condition() -> None:
    policy = parse(
        "name: mine\n"
        "rules:\n"
        "  - when: check_failed\n"
        "  - when: {failed_attempts: {at_least: 1}}\n"
        "  - when: {confidence: {at_least: 0.20, below: 0.55}, has_error: {equals: false}}\n"
        "  - {when: {asked_before: {at_least: 1}}, name: again}\n"
        "  - when: always\n"
    )

    assert [rule.label for rule in policy.rules] == snapshot(
        [
            "check_failed",
            "failed_attempts at_least 1",
            "confidence at_least 0.2 and below 0.55 and has_error equals false",
            "again",
            "always",
        ]
    )


def test_the_hash_depends_on_the_meaning_not_on_the_layout() -> None:
    one = parse("{name: a, rules: [{when: check_failed}]}")
    same = parse(
        "# a comment\nname: a\notherwise: stay_local\n"
        "rules:\n  - then: escalate\n    when: {check_failed: {equals: true}}\n"
    )
    other = parse("{name: a, rules: [{when: check_failed, then: refuse}]}")

    assert one.hash == same.hash
    assert one.hash != other.hash
    assert len(one.hash) == 16
    assert int(one.hash, 16) >= 0


def test_money_is_the_decimal_that_was_typed() -> None:
    policy = parse("{name: a, budgets: [{scope: day, usd: 0.1}]}")

    assert policy.budgets[0].usd == Decimal("0.1")


def test_a_budget_of_nothing_is_allowed() -> None:
    policy = parse("{name: a, budgets: [{scope: day, usd: 0, calls: 0}]}")

    assert policy.budgets[0].usd == 0
    assert policy.budgets[0].calls == 0


def test_every_known_fact_is_explained_and_has_a_range() -> None:
    for kind in KNOWN_FACTS.values():
        assert len(kind.meaning) > 15
        assert kind.low < kind.high


@pytest.mark.parametrize(
    ("when", "message"),
    [
        (
            "failed_attempt",
            "unknown fact 'failed_attempt'; did you mean 'failed_attempts'?",
        ),
        ("alway", "unknown fact 'alway'; did you mean 'always'?"),
        (
            "{confidance: {below: 1}}",
            "unknown fact 'confidance'; did you mean 'confidence'?",
        ),
        (
            "failed_attempts",
            "failed_attempts is a number; compare it, e.g. {failed_attempts: {at_least: 1}}",
        ),
        (
            "{check_failed: true}",
            "check_failed needs a comparison, e.g. {check_failed: {equals: true}}",
        ),
        (
            "{failed_attempts: 2}",
            "failed_attempts needs a comparison, e.g. {failed_attempts: {at_least: 1}}",
        ),
        (
            "{check_failed: {at_least: 1}}",
            "check_failed is true or false; write `when: check_failed` or {check_failed: {equals: false}}",
        ),
        (
            "{check_failed: {equals: 1}}",
            "check_failed is true or false; write `when: check_failed` or {check_failed: {equals: false}}",
        ),
        (
            "{confidence: {below: 7}}",
            "confidence lies between 0 and 1; below cannot be 7",
        ),
        (
            "{confidence: {below: -0.1}}",
            "confidence lies between 0 and 1; below cannot be -0.1",
        ),
        (
            "{confidence: {below: high}}",
            "confidence is a number; below cannot be 'high'",
        ),
        (
            "{confidence: {below: true}}",
            "confidence is a number; below cannot be 'true'",
        ),
        (
            "{failed_attempts: {at_least: 1.5}}",
            "failed_attempts is a whole number; at_least cannot be 1.5",
        ),
        (
            "{failed_attempts: {at_least: 1.0e+999999}}",
            "failed_attempts lies between 0 and 1000000000; at_least cannot be 1.0E+999999",
        ),
        ("{}", "names no fact; write `always` if it shall always hold"),
        (
            "[check_failed]",
            "must be `always`, a fact, or a mapping such as {failed_attempts: {at_least: 1}}",
        ),
    ],
)
def test_a_wrong_condition_says_what_to_write(when: str, message: str) -> None:
    assert rule_complaint(when).startswith(f"mine.yaml:4: 'rules.1.when': {message}")


def test_a_misspelt_comparison_names_the_nearest_one() -> None:
    assert rule_complaint("{failed_attempts: {atleast: 1}}") == snapshot(
        "mine.yaml:4: 'rules.1.when.failed_attempts.atleast': unknown key 'atleast'; did you mean 'at_least'?"
    )


def test_a_comparison_with_nothing_lists_the_comparisons() -> None:
    assert rule_complaint("{failed_attempts: {at_least: }}") == snapshot(
        "mine.yaml:4: 'rules.1.when.failed_attempts': compares with nothing; give one of at_least, at_most, above, below, equals"
    )


@pytest.mark.parametrize("limit", [".nan", ".inf", "-.inf", "[1]"])
def test_a_threshold_is_a_finite_number(limit: str) -> None:
    assert "must be a finite number" in rule_complaint(
        f"{{confidence: {{below: {limit}}}}}"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "rulez: []",
            "mine.yaml:2: 'rulez': unknown key 'rulez'; did you mean 'rules'?",
        ),
        (
            "rules:\n  - wen: always",
            "mine.yaml:3: 'rules.0.wen': unknown key 'wen'; did you mean 'when'?",
        ),
        (
            "rules:\n  - {when: always, then: escalat}",
            "mine.yaml:3: 'rules.0.then': cannot be 'escalat'; did you mean 'escalate'?",
        ),
        (
            "otherwise: hold_out",
            "mine.yaml:2: 'otherwise': cannot be 'hold_out'; known: ask_human, escalate, refuse, stay_local",
        ),
        (
            "hold_out: {share: 0.1}",
            "mine.yaml:2: 'hold_out': unknown key 'hold_out'; known: after_unknown, ask_human_above_usd, assess, assumed_price, budgets, checklist, climb, ladder, local_answer, local_first, name, otherwise, rules, unknown_price",
        ),
        ("ladder: []", "names no expert; leave it out to use all of them"),
        ("ladder: [a, b, a]", "mine.yaml:2: 'ladder': names 'a' twice"),
        (
            "budgets:\n  - {scope: dya, usd: 1}",
            "mine.yaml:3: 'budgets.0.scope': cannot be 'dya'; did you mean 'day'?",
        ),
        (
            "budgets:\n  - {scope: call, calls: 1}",
            "a budget of scope call takes usd and tokens, not calls",
        ),
        (
            "budgets:\n  - {scope: call, usd: 1, per: [expert]}",
            "a budget of scope call holds for each call; leave out per",
        ),
        ("budgets:\n  - {scope: day}", "limits nothing; give usd, calls or tokens"),
        (
            "budgets:\n  - {scope: call, usd: 1, mode: soft}",
            "a budget of scope call cannot be soft; write ask_human_above_usd",
        ),
        (
            "budgets:\n  - {scope: task, usd: 1, rolling: true}",
            "a budget of scope task has no period that could be rolling",
        ),
        (
            "budgets:\n  - {scope: task, usd: 1, per: [task]}",
            "per repeats the scope: leave task out of it",
        ),
        (
            "budgets:\n  - {scope: day, usd: 1, per: [user, user]}",
            "per names something twice",
        ),
        ("budgets:\n  - {scope: day, tokens: -1}", "greater than or equal to 0"),
        ("budgets:\n  - {scope: day, usd: -1}", "greater than or equal to 0; got -1"),
        ("budgets:\n  - {scope: day, usd: .inf}", "finite number; got Infinity"),
        ("budgets:\n  - {scope: day, usd: .nan}", "finite number; got NaN"),
        ("budgets:\n  - {scope: day, usd: yes}", "must be a number; got True"),
        ("budgets:\n  - {scope: day, calls: yes}", "valid integer; got True"),
        ("budgets:\n  - {scope: day, calls: 1.5}", "valid integer; got 1.5"),
        (
            "unknown_price: allow\nbudgets: [{scope: day, usd: 1}]",
            "unknown_price: allow needs assumed_price wherever a budget in USD applies",
        ),
        ("checklist: ['']", "at least 1 character"),
    ],
)
def test_a_wrong_document_names_the_place_and_the_remedy(
    text: str, message: str
) -> None:
    assert message in complaint(f"name: mine\n{text}\n")


def test_a_policy_needs_a_name() -> None:
    assert complaint("rules: []") == snapshot("mine.yaml:1: 'name': is missing")


@pytest.mark.parametrize(
    "rest",
    [
        "budgets: [{scope: day, calls: 3}]",
        """budgets: [{scope: day, usd: 1}]
assumed_price: {input_per_mtok: 15, output_per_mtok: 75}""",
    ],
)
def test_an_unknown_price_is_allowed_where_usd_budgets_still_hold(rest: str) -> None:
    policy = parse(f"name: mine\nunknown_price: allow\n{rest}\n")

    assert policy.unknown_price == "allow"


@pytest.mark.parametrize("name", ["", "two\nlines", "bell\a", "x" * 61])
def test_a_name_is_one_printable_line(name: str) -> None:
    data: dict[str, Any] = {"name": name}

    with pytest.raises(ConfigError):
        yaml_file.validate(data, Policy)
