"""What the road asks the ledger about the local system; every query is by index."""

from sqlalchemy import and_, bindparam, or_, select

from ask_expert.ledger.tables import outcomes, questions

THREAD_SERVER = (
    select(questions.c.local_name)
    .where(
        questions.c.thread == bindparam("thread"), questions.c.local_name.is_not(None)
    )
    .order_by(questions.c.created_us.desc())
    .limit(1)
    .scalar_subquery()
)
"""The local server that a thread's conversation was before last."""

_UNSOLVED = (
    select(outcomes.c.id)
    .where(outcomes.c.question_id == questions.c.id, outcomes.c.solved.is_(False))
    .correlate(questions)
    .exists()
)
_AGAIN = and_(
    questions.c.task == bindparam("task"),
    questions.c.key.is_distinct_from(bindparam("key")),
)
_FAILED = and_(questions.c.key == bindparam("key"), _UNSOLVED)

IN_VAIN = (
    select(questions.c.id)
    .where(
        or_(
            questions.c.text_key == bindparam("text_key"),
            questions.c.error_signature == bindparam("error_signature"),
        ),
        questions.c.user == bindparam("user"),
        questions.c.project == bindparam("project"),
        questions.c.local_passed,
        or_(_AGAIN, _FAILED),
    )
    .exists()
)
"""
Whether an answer of the local system did not end it.

It answered the same text, or the same error, in this task, and the question comes
again with other evidence; or it answered this very question, and that is reported
not to have solved it.
"""
