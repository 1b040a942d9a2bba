"""Turn what is known about a stuck sub-problem into facts that rules can test."""

from ask_expert.confidence.measured import Measured
from ask_expert.confidence.signals.check_result import CheckResult
from ask_expert.confidence.signals.failed_attempts import failed_attempts
from ask_expert.confidence.signals.repeated_error import stalled
from ask_expert.confidence.signals.stated_confidence import stated_confidence
from ask_expert.question import Facts, Question

_GIVEN = {
    "stated_confidence": "the agent stated none",
    "failed_attempts": "the agent listed no attempts",
    "check_failed": "no check was named, or it did not end in time",
    "repeated_error": "no error was handed in",
    "stalled": "neither an error nor attempts were handed in",
}
"""Signals that need no model, and why each may be absent."""


def assess(
    question: Question, *, check: CheckResult | None, same_error: int, asked_before: int
) -> Facts:
    """
    Return the facts; one that is not known is absent, never a default.

    `confidence` is absent until there is a calibration; what the agent states is
    another fact, since it hardly predicts whether the answer is right.

    Args:
        question: The masked question.
        check: The check's result, if one was named.
        same_error: How often this error was seen in this task before.
        asked_before: How often this very question was asked in this task before.
    """
    facts: Facts = {
        "asked_before": asked_before,
        "has_answer": question.my_answer is not None,
        "has_context": question.context is not None or bool(question.files),
        "has_error": question.error is not None,
        "question_chars": len(question.text),
    }
    attempts = failed_attempts(question)
    if attempts is not None:
        facts["failed_attempts"] = attempts
    if question.error is not None:
        facts["repeated_error"] = same_error + 1
    if question.error is not None or attempts is not None:
        times = 0 if question.error is None else same_error + 1
        facts["stalled"] = stalled(times, question.tried or ())
    stated = stated_confidence(question)
    if stated is not None:
        facts["stated_confidence"] = stated
    if check is not None and check.passed is not None:
        facts["check_failed"] = not check.passed
    return facts


def given(facts: Facts) -> tuple[Measured, ...]:
    """Return the signals that cost nothing: what the agent and the ledger tell."""
    found: list[Measured] = []
    for name, why in _GIVEN.items():
        value = facts.get(name)
        if isinstance(value, str | None):
            found.append(Measured(name=name, value=None, why_absent=why))
        else:
            found.append(Measured(name=name, value=float(value)))
    return tuple(found)


def with_measured(facts: Facts, found: tuple[Measured, ...]) -> Facts:
    """Return the facts with what was measured; an absent signal stays absent."""
    return facts | {each.name: each.value for each in found if each.value is not None}
