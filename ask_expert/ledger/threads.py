"""Conversations as wholes: which there are, what was said in one, and closing one."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Row,
    case,
    cast,
    distinct,
    func,
    or_,
    select,
    update,
)

from ask_expert.ledger.columns import total
from ask_expert.ledger.engine import translated_errors, writing
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.summing import OPEN
from ask_expert.ledger.tables import escalations, questions, threads, tries
from ask_expert.money import SUBSCRIPTION

Rows = list[Row[*tuple[Any, ...]]]


def latest(connection: Connection, limit: int) -> Rows:
    """
    Return the threads with their sums, last used first.

    Each row has the columns of `threads`, `used_us` of its latest question, `turns`,
    which are the questions that an expert was asked or the local system answered,
    `cost_nusd` of the settled tries, `counted_nusd`, the most that open and unresolved
    ones may cost, and `by_plan`, how many tries a subscription pays for.
    """
    last_use = func.max(questions.c.created_us)
    used = (
        select(questions.c.thread, last_use.label("used_us"))
        .join(threads, threads.c.id == questions.c.thread)
        .group_by(questions.c.thread)
        .order_by(last_use.desc(), questions.c.thread)
        .limit(limit)
        .subquery()
    )
    still_counted = total(tries.c.reserved_nusd, where=tries.c.state.in_(OPEN))
    by_plan = func.count(tries.c.id).filter(tries.c.price_source == SUBSCRIPTION)
    sums = (
        select(
            questions.c.thread,
            func.count(distinct(questions.c.id)).label("turns"),
            total(tries.c.cost_nusd).label("cost_nusd"),
            still_counted.label("counted_nusd"),
            by_plan.label("by_plan"),
        )
        .join(used, used.c.thread == questions.c.thread)
        .join(escalations, escalations.c.question_id == questions.c.id, isouter=True)
        .join(tries, tries.c.escalation_id == escalations.c.id, isouter=True)
        .where(or_(tries.c.id.is_not(None), questions.c.local_passed))
        .group_by(questions.c.thread)
        .subquery()
    )
    query = (
        select(
            threads,
            used.c.used_us,
            sums.c.turns,
            sums.c.cost_nusd,
            sums.c.counted_nusd,
            sums.c.by_plan,
        )
        .join(used, used.c.thread == threads.c.id)
        .join(sums, sums.c.thread == threads.c.id)
        .order_by(used.c.used_us.desc(), threads.c.id)
    )
    return list(connection.execute(query).all())


def one(connection: Connection, thread: str) -> Row[*tuple[Any, ...]] | None:
    """Return a thread's row."""
    return connection.execute(
        select(threads).where(threads.c.id == thread)
    ).one_or_none()


def conversation(connection: Connection, thread: str) -> Rows:
    """Return a thread's questions, oldest first, a row for each expert's answer."""
    cost_nusd = (
        select(cast(func.sum(tries.c.cost_nusd), BigInteger))
        .where(tries.c.escalation_id == escalations.c.id)
        .scalar_subquery()
    )
    by_plan = (
        select(func.count())
        .where(
            tries.c.escalation_id == escalations.c.id,
            tries.c.price_source == SUBSCRIPTION,
        )
        .scalar_subquery()
    )
    query = (
        select(
            questions.c.id,
            questions.c.created_us,
            questions.c.status,
            questions.c.texts,
            questions.c.cached_from,
            escalations.c.expert,
            func.coalesce(escalations.c.answer, questions.c.local_answer).label(
                "answer"
            ),
            case((questions.c.local_passed, questions.c.local_name)).label("local"),
            cost_nusd.label("cost_nusd"),
            by_plan.label("by_plan"),
        )
        .join(escalations, escalations.c.question_id == questions.c.id, isouter=True)
        .where(questions.c.thread == thread)
        .order_by(questions.c.created_us, questions.c.id, escalations.c.position)
    )
    return list(connection.execute(query).all())


def close(ledger: Ledger, thread: str, *, now_us: int) -> int | None:
    """
    Close a thread: no later question continues it; one on its way is answered.

    Returns:
        When it was closed, microseconds since 1970: earlier than `now_us` if it was
        closed already. None when there is no such thread.

    Raises:
        LedgerError: The ledger cannot be written.
    """
    with translated_errors(ledger.path), writing(ledger.engine) as connection:
        connection.execute(
            update(threads)
            .where(threads.c.id == thread, threads.c.closed_us.is_(None))
            .values(closed_us=now_us)
        )
        return connection.execute(
            select(threads.c.closed_us).where(threads.c.id == thread)
        ).scalar_one_or_none()
