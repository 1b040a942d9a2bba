"""Turn what is known about a stuck sub-problem into facts that rules can test."""

from ask_expert.confidence.signals.check_result import CheckResult
from ask_expert.question import Facts, Question


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
    if question.tried is not None:
        facts["failed_attempts"] = len(question.tried)
    if question.error is not None:
        facts["repeated_error"] = same_error + 1
    if question.stated_confidence is not None:
        facts["stated_confidence"] = question.stated_confidence
    if check is not None and check.passed is not None:
        facts["check_failed"] = not check.passed
    return facts
