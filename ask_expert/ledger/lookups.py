"""What the road asks the ledger before it decides; every query is by index."""

from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

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

IDLE_US = 30 * 60 * 1_000_000
"""A session's unnamed task ends after so many idle microseconds."""


def latest_escalated(connection: Connection, key: str) -> Answered | None:
    """Return the latest question with this key that an expert was asked."""
    row = connection.execute(
        _standings()
        .where(questions.c.key == key, escalations.c.id.is_not(None))
        .order_by(questions.c.created_us.desc(), escalations.c.position.desc())
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
    row = connection.execute(
        query.order_by(escalations.c.position.desc()).limit(1)
    ).one_or_none()
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


def is_approved(connection: Connection, key: str | None) -> bool:
    """Return whether a person approved a question with this key."""
    if key is None:
        return False
    found = connection.execute(
        select(approvals.c.id)
        .join(questions, questions.c.id == approvals.c.question_id)
        .where(questions.c.key == key)
        .limit(1)
    ).scalar_one_or_none()
    return found is not None


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
        select(questions.c.texts, escalations.c.answer)
        .join(escalations, escalations.c.question_id == questions.c.id)
        .where(questions.c.thread == thread, escalations.c.answer.is_not(None))
        .order_by(questions.c.created_us, escalations.c.position)
    ).all()
    turns: list[Turn] = []
    for row in rows:
        if row.texts and row.texts.get("sent"):
            turns.append(Turn(role="user", text=row.texts["sent"]))
            turns.append(Turn(role="assistant", text=row.answer))
    return tuple(turns)


def _in_task(task: str, caller: Caller) -> Select[int]:
    return select(func.count()).where(
        questions.c.task == task,
        questions.c.user == caller.user,
        questions.c.project == caller.project,
    )


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
        escalations.c.answer,
        escalations.c.finish,
    ).join(escalations, escalations.c.question_id == questions.c.id, isouter=True)


def _answered(connection: Connection, row: Row[*tuple[Any, ...]]) -> Answered:
    last = None
    cost_nusd = 0
    if row.escalation_id is not None:
        cost_nusd = connection.execute(
            select(func.coalesce(func.sum(tries.c.cost_nusd), 0))
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
        try_state=last.state if last else None,
        cost_nusd=int(cost_nusd),
        lease_us=last.lease_us if last else 0,
        ended_us=(last.ended_us or 0) if last else 0,
        owner=last.owner if last else "",
    )
