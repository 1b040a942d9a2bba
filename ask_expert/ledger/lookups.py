"""What the road asks the ledger before it decides; every query is by index."""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    case,
    func,
    or_,
    select,
)

from ask_expert.ledger.columns import total
from ask_expert.ledger.records import Answered, Closed
from ask_expert.ledger.tables import (
    approvals,
    escalations,
    outcomes,
    questions,
    threads,
    tries,
)
from ask_expert.question import Caller, Turn
from ask_expert.reply import REFUSALS

TASK_WORD_US = 24 * 3600 * 1_000_000
"""A person's yes to a whole task holds so long, in microseconds."""

IDLE_US = 30 * 60 * 1_000_000
"""A session's unnamed task ends after so many idle microseconds."""


def latest_escalated(connection: Connection, key: str) -> Answered | None:
    """Return the latest question with this key that an expert was asked."""
    row = connection.execute(
        _standings()
        .where(questions.c.key == key, escalations.c.id.is_not(None))
        .order_by(questions.c.created_us.desc(), *_best_first())
        .limit(1)
    ).one_or_none()
    return None if row is None else _answered(connection, row)


def standing(
    connection: Connection, question_id: str, caller: Caller | None
) -> Answered | None:
    """Return where a question stands; None when this caller has no such question."""
    query = _standings().where(questions.c.id == question_id)
    if caller is not None:
        query = query.where(
            questions.c.user == caller.user, questions.c.project == caller.project
        )
    row = connection.execute(query.order_by(*_best_first()).limit(1)).one_or_none()
    if row is None:
        return None
    if row.cached_from is not None:
        return standing(connection, row.cached_from, None)
    return _answered(connection, row)


def times_asked(
    connection: Connection, task: str, key: str | None, caller: Caller
) -> int:
    """Return how often the same question was asked in this task before."""
    if key is None:
        return 0
    return connection.execute(
        _in_task(task, caller).where(questions.c.key == key)
    ).scalar_one()


def times_seen(
    connection: Connection, task: str, signature: str | None, caller: Caller
) -> int:
    """Return how often the same error was seen in this task before."""
    if signature is None:
        return 0
    return connection.execute(
        _in_task(task, caller).where(questions.c.error_signature == signature)
    ).scalar_one()


def approval(
    connection: Connection,
    key: str | None,
    task: str,
    caller: Caller,
    *,
    now_us: int,
) -> Row[*tuple[Any, ...]] | None:
    """
    Return what a person last said to this question or to all of its task.

    A yes to a question is used up once an expert was asked by it and may have
    billed; a yes to a task ends after a day.

    Returns:
        A row with `scope`, and `worst_case_nusd` that a yes to a question was for.
    """
    of_task = and_(
        approvals.c.scope == "task",
        approvals.c.at_us > now_us - TASK_WORD_US,
        questions.c.task == task,
        questions.c.user == caller.user,
        questions.c.project == caller.project,
    )
    mine = of_task if key is None else or_(questions.c.key == key, of_task)
    word = connection.execute(
        select(
            approvals.c.scope,
            approvals.c.at_us,
            case((approvals.c.scope == "question", questions.c.worst_case_nusd)).label(
                "worst_case_nusd"
            ),
        )
        .join(questions, questions.c.id == approvals.c.question_id)
        .where(mine)
        .order_by(approvals.c.id.desc())
        .limit(1)
    ).one_or_none()
    if word is None or word.scope != "question" or key is None:
        return word
    used = connection.execute(
        select(tries.c.id)
        .join(escalations, escalations.c.id == tries.c.escalation_id)
        .join(questions, questions.c.id == escalations.c.question_id)
        .where(
            questions.c.key == key,
            tries.c.sent_us >= word.at_us,
            tries.c.state != "released",
        )
        .limit(1)
    ).scalar_one_or_none()
    return word if used is None else None


def answered_by(
    connection: Connection,
    task: str,
    caller: Caller,
    *,
    key: str | None,
    text_key: str | None,
    error_signature: str | None,
) -> tuple[str, ...]:
    """
    Return the experts that answered the same text, or the same error, in this task.

    The very same question does not count: its answer is given again, and says
    nothing of whether it helped. Latest last, each once.
    """
    same = [
        column == value
        for column, value in (
            (questions.c.text_key, text_key),
            (questions.c.error_signature, error_signature),
        )
        if value is not None
    ]
    if not same:
        return ()
    found = connection.execute(
        select(escalations.c.expert)
        .join(questions, questions.c.id == escalations.c.question_id)
        .where(
            or_(*same),
            questions.c.task == task,
            questions.c.user == caller.user,
            questions.c.project == caller.project,
            questions.c.status == "answered",
            questions.c.key.is_distinct_from(key),
            escalations.c.finish.in_(("stop", "length", "partial", "other")),
        )
        .order_by(questions.c.created_us.desc(), escalations.c.position.desc())
    ).scalars()
    return tuple(dict.fromkeys(found))[::-1]


def thread_expert(connection: Connection, thread: str) -> str | None:
    """Return the expert that answered last in a thread."""
    return connection.execute(
        select(escalations.c.expert)
        .join(questions, questions.c.id == escalations.c.question_id)
        .where(questions.c.thread == thread, questions.c.status == "answered")
        .order_by(questions.c.created_us.desc(), escalations.c.position.desc())
        .limit(1)
    ).scalar_one_or_none()


def current_task(connection: Connection, caller: Caller, *, now_us: int) -> str | None:
    """Return the task of the session's last question while it goes on."""
    row = connection.execute(
        select(
            func.coalesce(questions.c.cached_from, questions.c.id).label("id"),
            questions.c.task,
            questions.c.created_us,
        )
        .where(
            questions.c.session == caller.session,
            questions.c.user == caller.user,
            questions.c.project == caller.project,
        )
        .order_by(questions.c.created_us.desc())
        .limit(1)
    ).one_or_none()
    if row is None or now_us - row.created_us > IDLE_US:
        return None
    solved = connection.execute(
        select(outcomes.c.id)
        .where(outcomes.c.question_id == row.id, outcomes.c.solved)
        .limit(1)
    ).scalar_one_or_none()
    return None if solved is not None else row.task


def thread_turns(
    connection: Connection, thread: str, caller: Caller
) -> tuple[Turn, ...] | Closed | None:
    """
    Return a thread's stored turns, oldest first, or that it is closed.

    None if it is not this caller's.
    """
    owned = connection.execute(
        select(threads.c.closed_us).where(
            threads.c.id == thread,
            threads.c.user == caller.user,
            threads.c.project == caller.project,
        )
    ).one_or_none()
    if owned is None:
        return None
    if owned.closed_us is not None:
        return Closed(at_us=owned.closed_us)
    rows = connection.execute(
        select(
            questions.c.id,
            questions.c.texts,
            func.coalesce(questions.c.panel_answer, escalations.c.answer).label(
                "answer"
            ),
        )
        .join(escalations, escalations.c.question_id == questions.c.id)
        .where(
            questions.c.thread == thread,
            questions.c.status == "answered",
            escalations.c.answer.is_not(None),
        )
        .order_by(questions.c.created_us, escalations.c.position)
    ).all()
    # One answer a question: the last expert's, or what a panel's answers add up to.
    said = {row.id: row for row in rows if row.texts and row.texts.get("sent")}
    turns: list[Turn] = []
    for row in said.values():
        turns.append(Turn(role="user", text=row.texts["sent"]))
        turns.append(Turn(role="assistant", text=row.answer))
    return tuple(turns)


def _in_task(task: str, caller: Caller) -> Select[int]:
    return select(func.count()).where(
        questions.c.task == task,
        questions.c.user == caller.user,
        questions.c.project == caller.project,
    )


def _best_first() -> tuple[ColumnElement[Any], ...]:
    """Order a question's escalations: one that answered first, then the latest."""
    answered = escalations.c.finish.is_not(None) & escalations.c.finish.not_in(REFUSALS)
    return case((answered, 0), else_=1), escalations.c.position.desc()


def _standings() -> Select[*tuple[Any, ...]]:
    return select(
        questions.c.id,
        questions.c.thread,
        questions.c.created_us,
        questions.c.status,
        questions.c.reason,
        questions.c.cached_from,
        escalations.c.id.label("escalation_id"),
        escalations.c.expert,
        func.coalesce(questions.c.panel_answer, escalations.c.answer).label("answer"),
        escalations.c.finish,
        questions.c.panel_answer,
    ).join(escalations, escalations.c.question_id == questions.c.id, isouter=True)


def _answered(connection: Connection, row: Row[*tuple[Any, ...]]) -> Answered:
    last = None
    cost_nusd = 0
    if row.escalation_id is not None:
        cost_nusd = connection.execute(
            select(total(tries.c.cost_nusd))
            .join(escalations, escalations.c.id == tries.c.escalation_id)
            .where(escalations.c.question_id == row.id)
        ).scalar_one()
        last = connection.execute(
            select(tries)
            .where(tries.c.escalation_id == row.escalation_id)
            .order_by(tries.c.number.desc())
            .limit(1)
        ).one_or_none()
    return Answered(
        question_id=row.id,
        thread=row.thread,
        created_us=row.created_us,
        status=row.status,
        reason=row.reason,
        answer=row.answer,
        finish=row.finish,
        expert=row.expert,
        served=last.served_model if last else None,
        price_source=last.price_source if last else None,
        by_panel=row.panel_answer is not None,
        try_state=last.state if last else None,
        cost_nusd=cost_nusd,
        lease_us=last.lease_us if last else 0,
        ended_us=(last.ended_us or 0) if last else 0,
        owner=last.owner if last else "",
    )
