"""What the road asks the ledger before it decides; every query is by index."""

from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
)

from ask_expert.ledger.columns import total
from ask_expert.ledger.records import Answered, Closed
from ask_expert.ledger.tables import (
    escalations,
    outcomes,
    questions,
    threads,
    tries,
)
from ask_expert.question import Caller, Turn
from ask_expert.reply import REFUSALS

_ANSWER = func.coalesce(
    questions.c.panel_answer, escalations.c.answer, questions.c.local_answer
)
"""What a question's agent was given, as far as it is stored."""

IDLE_US = 30 * 60 * 1_000_000
"""A session's unnamed task ends after so many idle microseconds."""

_SOLVED = (
    select(outcomes.c.id)
    .where(
        outcomes.c.question_id
        == func.coalesce(questions.c.cached_from, questions.c.id),
        outcomes.c.solved,
    )
    .correlate(questions)
    .exists()
)
_CURRENT_TASK = (
    select(questions.c.task, questions.c.created_us, _SOLVED.label("solved"))
    .where(
        questions.c.session == bindparam("session"),
        questions.c.user == bindparam("user"),
        questions.c.project == bindparam("project"),
    )
    .order_by(questions.c.created_us.desc())
    .limit(1)
)


def latest_escalated(connection: Connection, key: str) -> Answered | None:
    """Return the latest question with this key that an expert was asked."""
    row = connection.execute(_latest(local=False), {"key": key}).one_or_none()
    return None if row is None else _answered(connection, row)


def latest_answerable(connection: Connection, key: str) -> Answered | None:
    """Return the latest one with this key that an expert or the local system took."""
    row = connection.execute(_latest(local=True), {"key": key}).one_or_none()
    return None if row is None else _answered(connection, row)


@cache
def _latest(*, local: bool) -> Select[*tuple[Any, ...]]:
    escalated = escalations.c.id.is_not(None)
    mine = and_(questions.c.local_passed, questions.c.cached_from.is_(None))
    return (
        _standings()
        .where(
            questions.c.key == bindparam("key"),
            or_(escalated, mine) if local else escalated,
        )
        .order_by(questions.c.created_us.desc(), *_best_first())
        .limit(1)
    )


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


def current_task(connection: Connection, caller: Caller, *, now_us: int) -> str | None:
    """Return the task of the session's last question while it goes on."""
    mine = {"session": caller.session, "user": caller.user, "project": caller.project}
    row = connection.execute(_CURRENT_TASK, mine).one_or_none()
    if row is None or row.solved or now_us - row.created_us > IDLE_US:
        return None
    return row.task


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
            _ANSWER.label("answer"),
        )
        .join(escalations, escalations.c.question_id == questions.c.id, isouter=True)
        .where(
            questions.c.thread == thread,
            questions.c.cached_from.is_(None),
            or_(
                and_(
                    questions.c.status == "answered", escalations.c.answer.is_not(None)
                ),
                questions.c.local_answer.is_not(None),
            ),
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
        _ANSWER.label("answer"),
        escalations.c.finish,
        questions.c.panel_answer,
        questions.c.confidence,
        case((questions.c.local_passed, questions.c.local_name)).label("local_name"),
        questions.c.local_model,
    ).join(escalations, escalations.c.question_id == questions.c.id, isouter=True)


def _answered(connection: Connection, row: Row[*tuple[Any, ...]]) -> Answered:
    last = None
    cost_nusd = 0
    local = row.escalation_id is None and row.local_name is not None
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
        served=last.served_model if last else (row.local_name and row.local_model),
        price_source=last.price_source if last else None,
        by_panel=row.panel_answer is not None,
        try_state=last.state if last else None,
        cost_nusd=cost_nusd,
        lease_us=last.lease_us if last else 0,
        ended_us=(last.ended_us or 0) if last else (row.created_us if local else 0),
        owner=last.owner if last else "",
        local_name=row.local_name if local else None,
        confidence=row.confidence if local else None,
    )
