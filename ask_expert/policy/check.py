"""
Find what is written in a policy and can have no effect.

The test of a rule is exact, not a list of patterns: every fact has finitely many
values that rules can tell apart, and a rule matters if there are facts for which
the policy decides differently without it.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations
from typing import Literal

from ask_expert.periods import CALENDAR
from ask_expert.policy.budgets import Budget
from ask_expert.policy.decide import OTHERWISE
from ask_expert.policy.document import Policy, Rule
from ask_expert.policy.facts import KNOWN_FACTS, plain
from ask_expert.policy.situations import Situation, box, possible, situation, within
from ask_expert.window_keys import told_apart_by
from ask_expert.yaml_file import nearest

_INSIDE = {
    "hour": {"day", "week", "month", "year", "ever"},
    "day": {"week", "month", "year", "ever"},
    "week": {"ever"},
    "month": {"year", "ever"},
    "year": {"ever"},
    "ever": set[str](),
}
"""Calendar periods that wholly contain a period; a week can lie in two months."""

_LONGER = {
    "hour": {"hour", "day", "week", "month", "year"},
    "day": {"week", "month", "year"},
    "week": {"month", "year"},
    "month": {"year"},
    "year": set[str](),
}
"""
Rolling periods that wholly contain a calendar period, or a shorter rolling one.

A day with a clock change, and a month of 31 days, are longer than a rolling one.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    One thing to mend.

    Attributes:
        severity: `error` cannot work as written; `warning` has no effect or may surprise.
        rule: Label of the rule, or the part of the document, e.g. `budgets.2`.
        message: What is wrong, as one sentence.
    """

    severity: Literal["error", "warning"]
    rule: str
    message: str


def check(
    policy: Policy,
    expert_names: Sequence[str] | None = None,
    *,
    paid_names: Collection[str] | None = None,
) -> list[Finding]:
    """
    Return what can have no effect or cannot work, in the document's order.

    Args:
        policy: The document.
        expert_names: Names of the experts in the settings; None when not known.
        paid_names: Those of them that cost money; all of them when absent.
    """
    paid = expert_names if paid_names is None else paid_names
    return [
        *_rules(policy),
        *_names(policy),
        *_ladder(policy, expert_names),
        *_measuring(policy),
        *_local_first(policy),
        *_budgets(policy.budgets),
        *_money(policy, paid or ()),
    ]


def _rules(policy: Policy) -> Iterator[Finding]:
    """Yield the rules that can all be struck out together without any effect."""
    full = situation(policy)
    boxes = [box(rule, full) for rule in policy.rules]
    found: dict[int, Finding] = {}
    for index, rule in enumerate(policy.rules):
        own = within(boxes[index], full)
        if not all(own.values()):
            found[index] = Finding(
                severity="error",
                rule=rule.label,
                message="can never hold: its comparisons contradict each other or"
                " leave the fact's range",
            )
        elif not possible(own, boxes[:index]):
            cause = _blocker(policy.rules[:index], boxes, own)
            found[index] = Finding(
                severity="warning",
                rule=rule.label,
                message=f"is never reached: {cause}",
            )
    for index in _redundant(policy, full, boxes, {*found}):
        rule = policy.rules[index]
        found[index] = Finding(
            severity="warning",
            rule=rule.label,
            message=f"changes no decision: without it the decision is {rule.then}"
            " all the same",
        )
    yield from (found[index] for index in sorted(found))


def _redundant(
    policy: Policy, full: Situation, boxes: list[Situation], dead: set[int]
) -> Iterator[int]:
    """Yield rules whose questions get the same decision below, one after another."""
    left = [index for index in range(len(boxes)) if index not in dead]
    struck = True
    while struck:
        struck = False
        for index in [*left]:
            if not _matters(policy, full, boxes, left, index):
                left.remove(index)
                struck = True
                yield index


def _matters(
    policy: Policy, full: Situation, boxes: list[Situation], left: list[int], index: int
) -> bool:
    """Return whether some facts are decided differently without the rule."""
    action = policy.rules[index].then
    own = within(boxes[index], full)
    silent = [boxes[each] for each in left if each < index]
    for other in (each for each in left if each > index):
        differs = policy.rules[other].then != action
        if differs and possible(within(boxes[other], own), silent):
            return True
        silent.append(boxes[other])
    return policy.otherwise != action and possible(own, silent)


def _blocker(above: Sequence[Rule], boxes: list[Situation], own: Situation) -> str:
    for rule, each in zip(above, boxes, strict=False):
        if not possible(own, [each]):
            return f"{rule.label!r} above it holds whenever this rule would"
    return "the rules above it together hold whenever this rule would"


def _names(policy: Policy) -> Iterator[Finding]:
    seen = {OTHERWISE}
    for rule in policy.rules:
        if rule.name in seen:
            yield Finding(
                severity="warning",
                rule=rule.label,
                message="the name is taken; reports could not tell which rule decided",
            )
        if rule.name:
            seen.add(rule.name)


def _ladder(policy: Policy, names: Sequence[str] | None) -> Iterator[Finding]:
    if names is None:
        return
    for name in policy.ladder or ():
        if name not in names:
            hint = nearest(name, [*names]) if names else "no expert is set up"
            yield Finding(
                severity="error",
                rule="ladder",
                message=f"there is no expert {name!r}; {hint}",
            )


def _measuring(policy: Policy) -> Iterator[Finding]:
    """Yield signals that a rule tests and nothing measures, and the other way round."""
    named = () if policy.assess is None else policy.assess.signals
    tested = {fact for rule in policy.rules for fact in rule.when}
    for fact, kind in KNOWN_FACTS.items():
        if kind.measured and fact in tested and fact not in named:
            yield Finding(
                severity="warning",
                rule="assess",
                message=f"{fact} is tested by a rule and never measured;"
                " name it in assess.signals",
            )
    if policy.assess is None or not policy.assess.stop_when_decided:
        return
    for fact in named:
        if fact not in tested and "confidence" not in tested:
            yield Finding(
                severity="warning",
                rule="assess",
                message=f"{fact} is tested by no rule, so it is never measured; to put"
                " it on record all the same, set stop_when_decided: false",
            )


def _local_first(policy: Policy) -> Iterator[Finding]:
    """Yield what can never let an answer of the local system pass."""
    wanted = policy.local_first
    if wanted is None:
        return
    asks = policy.otherwise == "escalate" or any(
        rule.then == "escalate" for rule in policy.rules
    )
    if not asks:
        yield _unused("no rule asks an expert, so the local system is never tried")
    if wanted.choice.needs_check:
        yield _unused(
            f"{wanted.choice.label} works only for questions that name a check with"
            " reads_answer: true"
        )
    elif wanted.bar is None:
        yield _unused(
            "without a bar, only a check with reads_answer: true lets an answer pass"
        )


def _unused(message: str) -> Finding:
    return Finding(severity="warning", rule="local_first", message=message)


def _budgets(budgets: Sequence[Budget]) -> Iterator[Finding]:
    for (first, one), (second, two) in combinations(enumerate(budgets), 2):
        if _same_windows(one, two) and one.mode == two.mode:
            yield Finding(
                severity="warning",
                rule=f"budgets.{second}",
                message=f"has the scope of budgets.{first}; write them as one",
            )
    for index, inner in enumerate(budgets):
        for unit in ("usd", "calls", "tokens"):
            outer = _tighter(inner, budgets, unit)
            if outer is not None:
                yield Finding(
                    severity="warning",
                    rule=f"budgets.{index}",
                    message=f"its {unit} can never bind: {_describe(outer, unit)}"
                    " is reached first",
                )


def _tighter(inner: Budget, budgets: Sequence[Budget], unit: str) -> Budget | None:
    """Return a budget that counts at least what `inner` counts and allows no more."""
    limit = _limit(inner, unit)
    for outer in budgets:
        other = _limit(outer, unit)
        if limit is None or other is None or limit < other:
            continue
        # Over a soft budget a person can say yes, and then the other one binds.
        stops = outer.mode != "soft" or inner.mode == "soft"
        if stops and _counts_more(outer, inner):
            return outer
    return None


def _counts_more(outer: Budget, inner: Budget) -> bool:
    """Return whether all that counts for a window of `inner` counts for one of `outer`."""
    if "call" in {outer.scope, inner.scope}:
        # A call goes to one expert, so it counts in full for that expert's budget.
        return outer.scope != "call"
    if _same_windows(outer, inner):
        return inner.mode not in {outer.mode, "hard"}
    return _owners(outer) <= _owners(inner) and _lasts_longer(outer, inner)


def _lasts_longer(outer: Budget, inner: Budget) -> bool:
    """Return whether each window of `inner` lies in one of `outer`, or is its like."""
    ours, theirs = _period(outer), _period(inner)
    if outer.rolling:
        same = inner.rolling and ours == theirs
        return same or (theirs != "ever" and ours in _LONGER[theirs])
    if inner.rolling:
        return ours == "ever"
    return ours == theirs or ours in _INSIDE[theirs]


def _same_windows(one: Budget, two: Budget) -> bool:
    first, second = (
        (each.scope == "call", _period(each), each.rolling, _owners(each))
        for each in (one, two)
    )
    return first == second


def _period(budget: Budget) -> str:
    return budget.scope if budget.scope in CALENDAR else "ever"


def _owners(budget: Budget) -> frozenset[str]:
    return told_apart_by(budget.scope, budget.per)


def _limit(budget: Budget, unit: str) -> Decimal | int | None:
    return {"usd": budget.usd, "calls": budget.calls, "tokens": budget.tokens}[unit]


def _describe(budget: Budget, unit: str) -> str:
    per = f" per {' and '.join(budget.per)}" if budget.per else ""
    rolling = "rolling " if budget.rolling else ""
    limit = _limit(budget, unit)
    amount = plain(limit) if isinstance(limit, Decimal) else str(limit)
    return f"the {rolling}{budget.scope} budget of {amount} {unit}{per}"


def _money(policy: Policy, paid: Collection[str]) -> Iterator[Finding]:
    if paid and all(budget.usd is None for budget in policy.budgets):
        yield Finding(
            severity="warning",
            rule="budgets",
            message="no budget is in USD, so nothing bounds what the experts cost",
        )
    if policy.assumed_price is not None and policy.unknown_price == "refuse":
        yield Finding(
            severity="warning",
            rule="assumed_price",
            message="is never used while unknown_price is refuse",
        )
