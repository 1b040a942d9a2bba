"""
Which rules can hold, for facts of which some are open.

Every fact has finitely many values that rules can tell apart, so that this is exact.
"""

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise

from ask_expert.policy.document import Policy, Rule
from ask_expert.policy.facts import KNOWN_FACTS, Value, measured
from ask_expert.question import Facts

Values = frozenset[Value | None]
Situation = Mapping[str, Values]
"""For each fact the values it may still take; None is an absent fact."""


def can_change(policy: Policy, facts: Facts, pending: Collection[str]) -> bool:
    """
    Return whether the decision may still become another one.

    What an expert or a person would be asked counts, not the rule that says so.

    Args:
        policy: The policy.
        facts: What is known; what is not and not pending stays absent.
        pending: Facts that may still be measured, or turn out absent.
    """
    full = situation(policy)
    open_facts = {
        fact: full[fact] if fact in pending else frozenset({measured(facts, fact)})
        for fact in full
    }
    boxes = [box(rule, open_facts) for rule in policy.rules]
    decisions = {
        (rule.then, rule.panel or 0)
        for index, rule in enumerate(policy.rules)
        if possible(within(boxes[index], open_facts), boxes[:index])
    }
    if possible(open_facts, boxes):
        decisions.add((policy.otherwise, 0))
    return len(decisions) > 1


def situation(policy: Policy) -> Situation:
    """Return, for each fact named, one value of each kind that the rules tell apart."""
    limits: dict[str, set[Decimal]] = {}
    for rule in policy.rules:
        for fact, comparison in rule.when.items():
            found = limits.setdefault(fact, set())
            found |= {
                each for _, each in comparison.bounds if isinstance(each, Decimal)
            }
    return {fact: _values(fact, found) for fact, found in limits.items()}


def _values(fact: str, limits: set[Decimal]) -> Values:
    kind = KNOWN_FACTS[fact]
    absent: set[Value | None] = set() if kind.always else {None}
    if kind.kind == "bool":
        return frozenset({True, False} | absent)
    points = {kind.low, kind.high, *limits}
    if kind.kind == "int":
        points |= {each + step for each in limits for step in (-1, 1)}
    else:
        points |= {(low + high) / 2 for low, high in pairwise(sorted(points))}
    within_range = {each for each in points if kind.low <= each <= kind.high}
    return frozenset(within_range | absent)


def box(rule: Rule, full: Situation) -> Situation:
    """Return the values for which the rule holds, of the facts that it names."""
    return {
        fact: frozenset(
            value
            for value in full[fact]
            if value is not None and comparison.holds(value)
        )
        for fact, comparison in rule.when.items()
    }


def within(inner: Situation, outer: Situation) -> Situation:
    """Narrow a situation to where a rule holds."""
    return {**outer, **{fact: outer[fact] & inner[fact] for fact in inner}}


def possible(facts: Situation, silent: Sequence[Situation]) -> bool:
    """Return whether facts in a situation exist for which no rule in `silent` holds."""
    if not all(facts.values()):
        return False
    pending = [
        each for each in silent if all(facts[fact] & each[fact] for fact in each)
    ]
    if not pending:
        return True
    first = min(pending, key=len)
    rest = [each for each in pending if each is not first]
    return any(
        possible({**facts, fact: facts[fact] - first[fact]}, rest) for fact in first
    )
