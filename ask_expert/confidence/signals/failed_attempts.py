"""Signal: how many attempts have failed."""

from ask_expert.question import Question


def failed_attempts(question: Question) -> int | None:
    """Return how many failed attempts the agent lists; None when it lists none at all."""
    return None if question.tried is None else len(question.tried)
