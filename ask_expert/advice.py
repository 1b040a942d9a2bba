"""
What an agent is told to do next.

Written for weak models: one or two imperative sentences. A "no" says what would
change it, and never invites the same call again.
"""

from collections.abc import Sequence


def apply_answer(question_id: str, *, marks: bool) -> str:
    """Return what to do with an answer."""
    keep = " Keep your own values where it shows «SECRET…» marks." if marks else ""
    return (
        "Apply this advice now, in place of your earlier draft; run your check or "
        f"test; then call report_outcome with question_id {question_id!r} and solved "
        f"true or false.{keep}"
    )


def apply_local(question_id: str, *, marks: bool) -> str:
    """Return what to do with an answer of the local system."""
    return (
        "No expert was asked: this is the local system's own answer. "
        + apply_answer(question_id, marks=marks)
        + " If it does not help, report that and ask again: then the expert is asked."
    )


def apply_cached(question_id: str, *, marks: bool) -> str:
    """Return what to do with an answer that was given before."""
    return (
        "You already have this advice; asking again gives the same text. "
        + apply_answer(question_id, marks=marks)
    )


def keep_working(steps: Sequence[str]) -> str:
    """Return how to go on alone, and what evidence would change the decision."""
    numbered = " ".join(f"{n}. {step}" for n, step in enumerate(steps, 1))
    return f"Go on without the expert: {numbered}".rstrip()


def poll(question_id: str) -> str:
    """Return how to fetch an answer that is still on its way."""
    return (
        "The expert is still working. Go on with something else, then call "
        f"expert_status with question_id {question_id!r}; asking the same question "
        "again also returns the answer and costs nothing more."
    )


def ask_person(question_id: str) -> str:
    """Return what a person has to do before the expert is asked."""
    return (
        f"A person has to approve this: `ask-expert approve {question_id}`. Tell the "
        "user so, go on with what you can do alone, and ask the same question again "
        "once it is approved."
    )


def give_context(thread: str | None) -> str:
    """Return what to do when the expert says that something decisive is missing."""
    where = f" with thread {thread!r}" if thread else ""
    return (
        "Gather what the answer says is missing (read the files, run the commands), "
        f"then call ask_expert again{where} and put it in `context` or `files`."
    )


def undecided(question_id: str) -> str:
    """Return what to do when the person was asked and decided nothing."""
    return (
        "The user was asked just now and did not approve it. Go on with what you can do "
        "alone, and do not ask this question again unless the user tells you to; "
        f"`ask-expert approve {question_id}` approves it later."
    )


APPROVED_IN_VAIN = (
    "The user approved it, but it did not come again as the same question: its evidence "
    "has changed, or the settings store nothing to know it by. Go on with what you can "
    "do alone and tell the user this; approving the whole task would work."
)

DENIED = (
    "Go on without the expert and do not ask this question again. Tell the user what "
    "is missing if you cannot finish alone."
)

WITHOUT_BUDGET = (
    "Go on without the expert and do not ask again before the budget renews. Tell "
    "the user that the budget is used up if you cannot finish alone."
)

UNAVAILABLE = (
    "Go on without the expert; do not repeat the call at once. Tell the user the "
    "reason if you cannot finish alone."
)
