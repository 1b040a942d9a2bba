"""The policy key `local_first`: what it takes, and what is said of it."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from ask_expert.policy.check import check
from ask_expert.policy.document import Policy, to_yaml
from ask_expert.policy.presets import PRESETS, load


def policy(local_first: dict[str, Any] | None, **more: Any) -> Policy:
    fields = {"name": "mine", "rules": [{"when": "always"}], **more}
    return Policy.model_validate({**fields, "local_first": local_first})


def said(local_first: dict[str, Any], **more: Any) -> list[str]:
    found = check(policy(local_first, **more))
    return [each.message for each in found if each.rule == "local_first"]


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"strategy": "greedy", "n": 3}, "greedy has no n"),
        ({"strategy": "vote", "by": "check"}, "vote has no by"),
        ({"strategy": "vote", "n": 1}, "one sample alone is no vote"),
        ({"strategy": "votes"}, "strategy"),
        ({"strategy": "vote", "bar": 1.5}, "bar"),
        ({"strategy": "vote", "bar": 0}, "bar"),
        ({"strategy": "vote", "max_seconds": 0}, "max_seconds"),
        ({}, "strategy"),
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_refused(
    given: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValidationError, match=complaint):
        policy(given)


def test_a_policy_without_it_keeps_its_hash_and_one_with_it_has_another() -> None:
    plain = Policy.model_validate({"name": "mine", "rules": [{"when": "always"}]})

    assert policy(None).hash == plain.hash
    assert policy({"strategy": "greedy", "bar": 0.5}).hash != plain.hash


def test_it_is_written_as_it_is_read() -> None:
    written = policy({"strategy": "best_of_n", "n": 6, "by": "p_true", "bar": 0.9})

    again = Policy.model_validate(yaml.safe_load(to_yaml(written)))

    assert again == written


def test_a_bar_that_can_be_reached_is_nothing_to_warn_of() -> None:
    assert said({"strategy": "vote", "bar": 0.8}) == []


def test_a_policy_that_asks_nobody_tries_nothing() -> None:
    rules = [{"when": "check_failed", "then": "refuse"}]

    (message,) = said({"strategy": "vote", "bar": 0.8}, rules=rules)

    assert message == "no rule asks an expert, so the local system is never tried"


def test_without_a_bar_only_a_check_lets_an_answer_pass() -> None:
    (message,) = said({"strategy": "vote"})

    assert "reads_answer: true" in message


def test_refining_works_only_with_a_check_that_reads_answers() -> None:
    (message,) = said({"strategy": "refine", "bar": 0.8})

    assert message.startswith("refine of 2 works only for questions that name a check")


def test_no_preset_tries_the_local_system(tmp_path: Path) -> None:
    policies = [load(name, home=tmp_path) for name in PRESETS]

    assert [each.name for each in policies if each.local_first is not None] == []
