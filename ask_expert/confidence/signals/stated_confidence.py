"""Signal: how sure the agent says it is; logged, and seldom worth much."""

from ask_expert.question import Question


def stated_confidence(question: Question) -> float | None:
    """Return P(my answer is right) as the agent states it; None when it does not."""
    return question.stated_confidence
