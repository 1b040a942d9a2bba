"""What the ledger knows that bears on a new question, by one look."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    ScalarSelect,
    and_,
    bindparam,
    case,
    func,
    literal,
    or_,
    select,
)

from ask_expert.ledger import local_lookups, lookups
from ask_expert.ledger.records import Past
from ask_expert.ledger.tables import approvals, escalations, questions, tries
from ask_expert.question import Caller

TASK_WORD_US = 24 * 3600 * 1_000_000
"""A person's yes to a whole task holds so long, in microseconds."""

_ENDS_OF_ANSWERS = ("stop", "length", "partial", "other")

_MINE = (
    questions.c.task == bindparam("task"),
    questions.c.user == bindparam("user"),
    questions.c.project == bindparam("project"),
)
_SAME = questions.c.key == bindparam("key")
_SAME_ERROR = questions.c.error_signature == bindparam("error_signature")
_LATEST_FIRST = (questions.c.created_us.desc(), escalations.c.position.desc())

_WORD: ScalarSelect[int] = (
    select(approvals.c.id)
    .join(questions, questions.c.id == approvals.c.question_id)
    .where(
        or_(
            _SAME,
            and_(
                approvals.c.scope == "task",
                approvals.c.at_us > bindparam("since_us"),
                *_MINE,
            ),
        )
    )
    .order_by(approvals.c.id.desc())
    .limit(1)
    .scalar_subquery()
)
_THREAD_EXPERT: ScalarSelect[str] = (
    select(escalations.c.expert)
    .join(questions, questions.c.id == escalations.c.question_id)
    .where(questions.c.thread == bindparam("thread"), questions.c.status == "answered")
    .order_by(*_LATEST_FIRST)
    .limit(1)
    .scalar_subquery()
)
_ANSWERED_BY = (
    select(escalations.c.expert)
    .join(questions, questions.c.id == escalations.c.question_id)
    .where(
        or_(questions.c.text_key == bindparam("text_key"), _SAME_ERROR),
        *_MINE,
        questions.c.status == "answered",
        questions.c.key.is_distinct_from(bindparam("key")),
        escalations.c.finish.in_([literal(each) for each in _ENDS_OF_ANSWERS]),
    )
)
_LOOK = select(
    select(func.count()).where(*_MINE, _SAME).scalar_subquery().label("asked_before"),
    select(func.count())
    .where(*_MINE, _SAME_ERROR)
    .scalar_subquery()
    .label("same_error"),
    select(questions.c.id).where(_SAME).exists().label("same"),
    _WORD.label("word"),
    _THREAD_EXPERT.label("thread_expert"),
    _ANSWERED_BY.exists().label("answered"),
    local_lookups.THREAD_SERVER.label("local_name"),
    local_lookups.IN_VAIN.label("local_in_vain"),
)
_ANSWERED_BY_WHOM = _ANSWERED_BY.order_by(*_LATEST_FIRST)
_WORD_OF = (
    select(
        approvals.c.scope,
        approvals.c.at_us,
        case((approvals.c.scope == "question", questions.c.worst_case_nusd)).label(
            "worst_case_nusd"
        ),
    )
    .join(questions, questions.c.id == approvals.c.question_id)
    .where(approvals.c.id == bindparam("word"))
)
_ASKED_SINCE = (
    select(tries.c.id)
    .join(escalations, escalations.c.id == tries.c.escalation_id)
    .join(questions, questions.c.id == escalations.c.question_id)
    .where(_SAME, tries.c.sent_us >= bindparam("at_us"), tries.c.state != "released")
    .limit(1)
)


def past(
    connection: Connection,
    caller: Caller,
    *,
    task: str,
    same: Mapping[str, str | None],
    thread: str | None,
    now_us: int,
) -> Past:
    """
    Return what is known.

    Args:
        connection: One snapshot.
        caller: Who asks.
        task: The question's task.
        same: Its `key`, `text_key` and `error_signature`; one that is None is nobody's.
        thread: Its thread, if it goes on in one.
        now_us: The present.
    """
    key = same["key"]
    given: dict[str, object] = {
        **same,
        "task": task,
        "user": caller.user,
        "project": caller.project,
        "thread": thread,
        "since_us": now_us - TASK_WORD_US,
    }
    row = connection.execute(_LOOK, given).one()
    word = _word(connection, row.word, key) if row.word is not None else None
    return Past(
        same=lookups.latest_answerable(connection, key) if key and row.same else None,
        asked_before=row.asked_before,
        same_error=row.same_error,
        approval=word.scope if word else None,
        approved_nusd=word.worst_case_nusd if word else None,
        thread_expert=row.thread_expert,
        local_name=row.local_name,
        local_in_vain=row.local_in_vain,
        answered_by=_answered_by(connection, given) if row.answered else (),
    )


def _word(
    connection: Connection, word_id: int, key: str | None
) -> Row[*tuple[Any, ...]] | None:
    """
    Return what a person last said to this question or to all of its task.

    A yes to a question is used up once an expert was asked by it and may have
    billed; a yes to a task ends after a day.
    """
    word = connection.execute(_WORD_OF, {"word": word_id}).one()
    if word.scope != "question":
        return word
    since = {"key": key, "at_us": word.at_us}
    used = connection.execute(_ASKED_SINCE, since).scalar_one_or_none()
    return word if used is None else None


def _answered_by(connection: Connection, given: dict[str, object]) -> tuple[str, ...]:
    """
    Return the experts that answered the same text, or the same error, in this task.

    The very same question does not count: its answer is given again, and says
    nothing of whether it helped. Latest last, each once.
    """
    found = connection.execute(_ANSWERED_BY_WHOM, given).scalars()
    return tuple(dict.fromkeys(found))[::-1]
