"""Decide on a question: the first rule that holds; pure, so that it can be replayed."""

from dataclasses import dataclass
from decimal import Decimal

from ask_expert.policy.document import Comparison, Policy, Rule
from ask_expert.policy.facts import Value, measured, plain
from ask_expert.question import Facts

OTHERWISE = "otherwise"
"""The label of a decision that no rule made."""

DEFAULT_CHECKLIST = (
    "Read the error again, from its first line.",
    "Cut the problem down to the smallest case that still fails.",
    "Print the values you take for granted, and look at them.",
)

_STEPS: dict[tuple[str, str], str] = {
    ("check_failed", "up"): "Run the check and pass its name in `check`.",
    ("check_failed", "down"): "Mend what the check reports, then ask about the rest.",
    ("repeated_error", "up"): "Paste the exact error into `error`.",
    ("stated_confidence", "up"): "State in `confidence` how sure you are, from 0 to 1.",
    ("stated_confidence", "down"): (
        "State in `confidence` how sure you are, from 0 to 1."
    ),
    ("has_error", "up"): "Paste the exact error into `error`.",
    ("has_context", "up"): "Put the code and data that matter into `context`.",
    ("has_answer", "up"): "Put your best answer so far into `my_answer`.",
    ("question_chars", "up"): "Say what you expected and what happened instead.",
    ("question_chars", "down"): "Ask one short question; move the rest to `context`.",
}
"""
What an agent can do to push a fact up or down.

A fact that is not listed cannot be supplied by the agent: `confidence` is measured,
and nobody shall ask the same again just to raise `asked_before`.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """
    What happens with a question, and why.

    Attributes:
        action: `escalate`, `stay_local`, `refuse` or `ask_human`.
        rule: Label of the rule that decided, or `otherwise`.
        reason: One sentence with the values that decided.
        abstained: Labels of the rules passed over because a fact was absent.
        panel: How many experts are asked at once; 0 asks one after the other.
    """

    action: str
    rule: str
    reason: str
    abstained: tuple[str, ...] = ()
    panel: int = 0


def decide(policy: Policy, facts: Facts) -> Decision:
    """
    Return the decision of the first rule that holds, else `otherwise`.

    An absent fact never makes a rule hold; it is never replaced by a guess.
    """
    abstained: list[Rule] = []
    for rule in policy.rules:
        verdict = rule_holds(rule, facts)
        if verdict:
            return Decision(
                action=rule.then,
                rule=rule.label,
                reason=_reason(rule, facts),
                abstained=tuple(each.label for each in abstained),
                panel=rule.panel or 0,
            )
        if verdict is None:
            abstained.append(rule)
    return Decision(
        action=policy.otherwise,
        rule=OTHERWISE,
        reason=_otherwise_reason(abstained, facts),
        abstained=tuple(each.label for each in abstained),
    )


def rule_holds(rule: Rule, facts: Facts) -> bool | None:
    """Return whether the rule holds; None when that hangs on an absent fact."""
    absent = False
    for fact, comparison in rule.when.items():
        value = measured(facts, fact)
        if value is None:
            absent = True
        elif not comparison.holds(value):
            return False
    return None if absent else True


def advice(policy: Policy, facts: Facts) -> tuple[str, ...]:
    """
    Return what the agent can do next, in plain words; first what would change the decision.

    A rule counts if it stands before the one that decided, would ask an expert or a
    person, and lacks only what the agent can supply. Nothing is returned for a
    question that is escalated anyway.
    """
    steps: list[str] = []
    for rule in policy.rules:
        if rule_holds(rule, facts):
            if rule.then in {"escalate", "ask_human"}:
                return ()
            steps += _steps_out_of(rule, facts)
            break
        if rule.then in {"escalate", "ask_human"}:
            steps += _steps_into(rule, facts)
    else:
        if policy.otherwise in {"escalate", "ask_human"}:
            return ()
    checklist = DEFAULT_CHECKLIST if policy.checklist is None else policy.checklist
    return tuple(dict.fromkeys([*steps, *checklist]))


def _steps_into(rule: Rule, facts: Facts) -> list[str]:
    """Return what makes the rule hold; nothing if the agent cannot bring it about."""
    steps: list[str] = []
    for fact, comparison in rule.when.items():
        value = measured(facts, fact)
        if value is not None and comparison.holds(value):
            continue
        up = _up_into(comparison, value)
        step = _attempts(value, up) if fact == "failed_attempts" else None
        step = step or _step(fact, value, upwards=up is not None)
        if step is None:
            return []
        steps.append(step)
    return steps


def _steps_out_of(rule: Rule, facts: Facts) -> list[str]:
    """Return what keeps the rule from holding; any one of them does."""
    found: list[str | None] = []
    for fact, comparison in rule.when.items():
        value = measured(facts, fact)
        up = _up_out_of(comparison)
        step = _attempts(value, up) if fact == "failed_attempts" else None
        found.append(step or _step(fact, value, upwards=up is not None))
    return [step for step in found if step]


def _up_into(comparison: Comparison, value: Value | None) -> Decimal | None:
    """Return the number to rise to so that the comparison holds; None to fall."""
    targets = [
        limit + (bound == "above")
        for bound, limit in comparison.bounds
        if bound in {"at_least", "above", "equals"} and not isinstance(limit, str)
    ]
    if not targets:
        return None
    target = Decimal(max(targets))
    return target if target > (value or 0) else None


def _up_out_of(comparison: Comparison) -> Decimal | None:
    """Return the number to rise to so that the comparison fails; None to fall."""
    targets = [
        limit + (bound != "below")
        for bound, limit in comparison.bounds
        if bound in {"at_most", "below", "equals"} and not isinstance(limit, str)
    ]
    if not targets or comparison.holds(True):  # noqa: FBT003  # a fact that is true
        return None
    return Decimal(min(targets))


def _attempts(value: Value | None, target: Decimal | None) -> str | None:
    if target is None:
        return None
    missing = int(target - (value or 0))
    if missing > 1:
        return f"Try {missing} more ways and put each failed attempt in `tried`."
    return "Try once more and put the failed attempt in `tried`."


def _step(fact: str, value: Value | None, *, upwards: bool) -> str | None:
    if fact == "check_failed" and value is False and upwards:
        return "Name in `check` a check that fails while the problem is there."
    if fact == "repeated_error" and value is not None and upwards:
        return "If the same error comes back, ask with the exact text in `error`."
    return _STEPS.get((fact, "up" if upwards else "down"))


def _reason(rule: Rule, facts: Facts) -> str:
    parts: list[str] = []
    for fact, comparison in rule.when.items():
        value = measured(facts, fact)
        if isinstance(value, bool):
            parts.append(f"{fact} is {plain(value)}")
        elif value is not None:
            bounds = comparison.text.replace("_", " ")
            parts.append(f"{fact} is {plain(value)}, {bounds}")
    return "; ".join(parts) or "the rule holds for every question"


def _otherwise_reason(abstained: list[Rule], facts: Facts) -> str:
    absent = dict.fromkeys(
        fact
        for rule in abstained
        for fact in rule.when
        if measured(facts, fact) is None
    )
    if not absent:
        return "no rule holds"
    return f"no rule holds; not known: {', '.join(absent)}"
