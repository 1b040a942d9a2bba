from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ask_expert.policy.decide import decide
from ask_expert.policy.document import Policy
from ask_expert.policy.situations import can_change, situation
from ask_expert.question import Facts
from tests.policy import strategies

NAMES = ("check_failed", "vote_share", "failed_attempts", "mean_logprob")


def policy(*rules: dict[str, Any], otherwise: str = "stay_local") -> Policy:
    return Policy.model_validate({"name": "p", "rules": rules, "otherwise": otherwise})


DOUBTFUL = {"when": {"vote_share": {"below": 0.5}}}


@pytest.mark.parametrize(
    ("document", "facts", "pending", "open_"),
    [
        (policy(DOUBTFUL), {}, ["vote_share"], True),
        (policy(DOUBTFUL), {}, ["p_true"], False),
        (policy(DOUBTFUL), {"vote_share": 0.4}, [], False),
        (policy(DOUBTFUL, otherwise="escalate"), {}, ["vote_share"], False),
        (
            policy({"when": "check_failed"}, DOUBTFUL),
            {"check_failed": True},
            ["vote_share"],
            False,
        ),
        (
            policy({"when": "check_failed"}, DOUBTFUL),
            {"check_failed": False},
            ["vote_share"],
            True,
        ),
        (
            policy({**DOUBTFUL, "panel": 2}, {"when": "always"}),
            {},
            ["vote_share"],
            True,
        ),
    ],
)
def test_a_pending_signal_matters_where_it_can_change_who_is_asked(
    document: Policy, facts: Facts, pending: list[str], open_: bool
) -> None:
    assert can_change(document, facts, pending) is open_


def outcomes(document: Policy, facts: Facts, pending: set[str]) -> Iterator[Any]:
    """Yield every decision that the pending facts can lead to, by trying all of them."""
    full = situation(document)
    names = [name for name in full if name in pending]
    for values in product(*(full[name] for name in names)):
        found: Facts = {k: v for k, v in facts.items() if k not in pending}
        for name, value in zip(names, values, strict=True):
            if value is not None:
                found[name] = value if isinstance(value, bool) else float(value)
        decision = decide(document, found)
        yield decision.action, decision.panel


@settings(deadline=None)
@given(
    strategies.policies(facts=NAMES, most=4),
    st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, strategies.VALUES)),
    st.sets(st.sampled_from(NAMES)),
)
def test_it_agrees_with_trying_every_value(
    document: Policy, facts: Facts, pending: set[str]
) -> None:
    tried = set(outcomes(document, facts, pending))

    assert can_change(document, facts, pending) == (len(tried) > 1)
